//! What a store holds, as one number: two stores at the same position are the same if and only if it is.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use hooklog_schemas::Millis;
use rocksdb::IteratorMode;
use sha2::{Digest, Sha256};

use super::Store;
use super::read::Entry;
use crate::error::Error;
use crate::layout::Family;

/// The next entry of a column: its key, the column's age (the newest is 0), its value. The least key comes first.
type Head = Reverse<(Box<[u8]>, usize, Box<[u8]>)>;

impl Store {
    /// SHA-256 over every family's keys and values in the order of their keys, as they count at this stream time: of a
    /// family with buckets the newest value of a key, where it is within the window. How keys lie in buckets, and what
    /// waits to be dropped, makes no difference.
    ///
    /// # Errors
    /// [`Error::Rocks`].
    pub fn content_hash(&self, stream_time: Millis) -> Result<[u8; 32], Error> {
        let mut sha = Sha256::new();
        for family in self.layout.families() {
            sha.update([family.0]);
            self.each_live(family, stream_time, |key, value| {
                for part in [key, value] {
                    sha.update((part.len() as u64).to_be_bytes());
                    sha.update(part);
                }
            })?;
        }
        Ok(sha.finalize().into())
    }

    /// Merges the columns of a family by key; of equal keys the one from the newest bucket counts.
    fn each_live(&self, family: Family, stream_time: Millis, mut take: impl FnMut(&[u8], &[u8])) -> Result<(), Error> {
        let names = self.columns_to_search(family);
        let columns = names.iter().map(|name| self.column(name)).collect::<Result<Vec<_>, _>>()?;
        let mut streams: Vec<_> = columns.iter().map(|c| self.db.iterator_cf(c, IteratorMode::Start)).collect();
        let mut heads = BinaryHeap::new();
        for (age, stream) in streams.iter_mut().enumerate() {
            self.pull(stream, age, &mut heads)?;
        }
        let mut last: Option<Box<[u8]>> = None;
        while let Some(Reverse((key, age, value))) = heads.pop() {
            self.pull(&mut streams[age], age, &mut heads)?;
            if last.as_ref() == Some(&key) {
                continue;
            }
            if self.counts(family, &value, stream_time) {
                take(&key, &value);
            }
            last = Some(key);
        }
        Ok(())
    }

    fn pull(
        &self,
        stream: &mut impl Iterator<Item = Result<Entry, rocksdb::Error>>,
        age: usize,
        heads: &mut BinaryHeap<Head>,
    ) -> Result<(), Error> {
        if let Some(entry) = stream.next() {
            let (key, value) = entry.map_err(self.failed("scan"))?;
            heads.push(Reverse((key, age, value)));
        }
        Ok(())
    }

    /// In a family with buckets a value begins with its moment; what is out of the window counts no more.
    fn counts(&self, family: Family, value: &[u8], stream_time: Millis) -> bool {
        match (self.window_of(family), value.first_chunk::<8>()) {
            (Some(window), Some(at)) => i64::from_be_bytes(*at) > stream_time.before(window).0,
            _ => true,
        }
    }
}
