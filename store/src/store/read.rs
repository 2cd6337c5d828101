//! Looking things up.

use std::collections::BTreeMap;
use std::sync::Arc;

use hooklog_schemas::ids::Span;
use rocksdb::{BoundColumnFamily, DBPinnableSlice, Direction, IteratorMode, SnapshotWithThreadMode};

use super::{Db, Store};
use crate::applied::{Applied, TopicPartition};
use crate::error::Error;
use crate::layout::{Family, Kind};
use crate::meta;
use crate::writes::Keys;

impl Store {
    /// The position of `source`; [`Applied::NOTHING`] where the store holds nothing of it.
    ///
    /// # Errors
    /// [`Error::Rocks`] or [`Error::Damaged`].
    pub fn applied(&self, source: &TopicPartition) -> Result<Applied, Error> {
        let value = self.db.get_cf(&self.column(meta::META)?, meta::applied_key(source));
        match value.map_err(self.failed("read its position"))? {
            Some(bytes) => Applied::from_bytes(&bytes).ok_or_else(|| self.damaged("its position is unreadable".into())),
            None => Ok(Applied::NOTHING),
        }
    }

    /// Every position that the store holds.
    ///
    /// # Errors
    /// [`Error::Rocks`] or [`Error::Damaged`].
    pub fn applied_all(&self) -> Result<BTreeMap<TopicPartition, Applied>, Error> {
        let mut all = BTreeMap::new();
        for entry in self.db.iterator_cf(&self.column(meta::META)?, IteratorMode::Start) {
            let (key, value) = entry.map_err(self.failed("read its positions"))?;
            if meta::is_applied(&key) {
                let entry = meta::applied_entry(&key, &value);
                all.extend([entry.ok_or_else(|| self.damaged("a position is unreadable".into()))?]);
            }
        }
        Ok(all)
    }

    /// The values of `keys`, in their order. In a family with buckets the newest value counts.
    ///
    /// # Errors
    /// [`Error::Rocks`].
    pub fn multi_get(&self, keys: &Keys) -> Result<Vec<Option<Vec<u8>>>, Error> {
        let mut values = vec![None; keys.len()];
        for family in self.layout.families() {
            let mut asked: Vec<usize> = (0..keys.len()).filter(|n| keys.get(*n).0 == family).collect();
            asked.sort_unstable_by_key(|n| keys.get(*n).1);
            for name in self.columns_to_search(family) {
                if asked.is_empty() {
                    break;
                }
                self.look_up(&self.column(&name)?, keys, &asked, &mut values)?;
                asked.retain(|n| values[*n].is_none());
            }
        }
        Ok(values)
    }

    /// The value of one key of a plain family.
    ///
    /// # Errors
    /// [`Error::Rocks`].
    pub fn get(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        self.db.get_cf(&self.column(self.layout.name(family))?, key).map_err(self.failed("read"))
    }

    /// A view of plain families and positions that stays as it is while writes go on.
    pub fn snapshot(&self) -> Snapshot<'_> {
        Snapshot { store: self, inner: self.db.snapshot() }
    }

    pub(super) fn columns_to_search(&self, family: Family) -> Vec<String> {
        match self.layout.kind(family) {
            Kind::Plain => vec![self.layout.name(family).to_owned()],
            Kind::Buckets { .. } => self.bucket_names(family),
        }
    }

    fn look_up(
        &self,
        column: &Arc<BoundColumnFamily<'_>>,
        keys: &Keys,
        sorted: &[usize],
        values: &mut [Option<Vec<u8>>],
    ) -> Result<(), Error> {
        let found = self.db.batched_multi_get_cf(column, sorted.iter().map(|n| keys.get(*n).1), true);
        for (n, value) in sorted.iter().zip(found) {
            let value: Option<DBPinnableSlice<'_>> = value.map_err(self.failed("read"))?;
            values[*n] = value.map(|bytes| bytes.to_vec());
        }
        Ok(())
    }

    pub(super) fn window_of(&self, family: Family) -> Option<Span> {
        match self.layout.kind(family) {
            Kind::Plain => None,
            Kind::Buckets { window, .. } => Some(window),
        }
    }
}

/// A view of a [`Store`] at one moment.
pub struct Snapshot<'s> {
    store: &'s Store,
    inner: SnapshotWithThreadMode<'s, Db>,
}

impl Snapshot<'_> {
    /// The value of one key of a plain family.
    ///
    /// # Errors
    /// [`Error::Rocks`].
    pub fn get(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let column = self.store.column(self.store.layout.name(family))?;
        self.inner.get_cf(&column, key).map_err(self.store.failed("read"))
    }

    /// Up to `limit` entries of a plain family whose keys begin with `prefix`, from `from` on (itself included), in the
    /// order of their keys.
    ///
    /// # Errors
    /// [`Error::Rocks`].
    pub fn scan(&self, family: Family, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<Entry>, Error> {
        let column = self.store.column(self.store.layout.name(family))?;
        let start = std::cmp::max(prefix, from);
        let entries = self.inner.iterator_cf(&column, IteratorMode::From(start, Direction::Forward));
        let within = |entry: &Result<Entry, _>| entry.as_ref().map_or(true, |(key, _)| key.starts_with(prefix));
        entries.take_while(within).take(limit).map(|entry| entry.map_err(self.store.failed("scan"))).collect()
    }

    /// The position of `source` in this view.
    ///
    /// # Errors
    /// [`Error::Rocks`] or [`Error::Damaged`].
    pub fn applied(&self, source: &TopicPartition) -> Result<Applied, Error> {
        let value = self.inner.get_cf(&self.store.column(meta::META)?, meta::applied_key(source));
        match value.map_err(self.store.failed("read its position"))? {
            Some(bytes) => {
                Applied::from_bytes(&bytes).ok_or_else(|| self.store.damaged("its position is unreadable".into()))
            }
            None => Ok(Applied::NOTHING),
        }
    }
}

/// A key and its value.
pub type Entry = (Box<[u8]>, Box<[u8]>);
