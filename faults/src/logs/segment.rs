//! The file of one partition, cut and changed while the broker is away: for tests that need a log as a crash leaves it.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::PathBuf;

use hooklog_test_support::Site;

use super::batches::{Batch, Kind};
use super::whole::split;

/// The first segment of a partition: batches, one behind the other.
#[derive(Clone, Debug)]
pub struct Segment(pub PathBuf);

/// A batch, and its bytes in the file.
pub type Placed = (Batch, Range<usize>);

impl Segment {
    /// Of a partition of a site's own broker, such as `hooklog.events-0`.
    pub fn of(site: &Site, partition: &str) -> Self {
        Self(site.data_dir().join("broker/kafka").join(partition).join("00000000000000000000.log"))
    }

    /// Of a site's own broker, with the processor's committed offsets: the largest partition of them.
    ///
    /// # Panics
    /// There is none.
    #[track_caller]
    pub fn of_offsets(site: &Site) -> Self {
        let all = (0..8).map(|n| Self::of(site, &format!("__consumer_offsets-{n}")));
        let size = |segment: &Self| fs::metadata(&segment.0).map_or(0, |metadata| metadata.len());
        all.max_by_key(size).expect("the broker has run here")
    }

    /// Every batch of the file.
    ///
    /// # Panics
    /// The file cannot be read, or is not what Kafka writes.
    #[track_caller]
    pub fn batches(&self) -> Vec<Placed> {
        let bytes = fs::read(&self.0).expect("the segment is there");
        let batches = split(&bytes).expect("the segment is what Kafka writes");
        batches.into_iter().map(|whole| (whole.batch, whole.at)).collect()
    }

    /// Loses everything from `place` on.
    ///
    /// # Panics
    /// The file cannot be written.
    #[track_caller]
    pub fn cut(&self, place: usize) {
        let file = fs::OpenOptions::new().write(true).open(&self.0).expect("the segment is there");
        file.set_len(place as u64).expect("it can be cut");
    }

    /// Loses the later half. What is left ends with a batch of this kind: with a commit, its last transaction is whole; with
    /// records, it has no end.
    ///
    /// # Panics
    /// There are too few transactions.
    #[track_caller]
    pub fn lose_half(&self, last: Kind) {
        let batches = self.batches();
        let keep = batches[..batches.len() / 2].iter().rfind(|(batch, _)| batch.kind == last);
        self.cut(keep.expect("several transactions").1.end);
    }

    /// Loses everything behind the last whole transaction that ends before `offset`.
    #[track_caller]
    pub fn lose_from(&self, offset: i64) {
        let batches = self.batches();
        let kept = batches.iter().rfind(|(batch, _)| batch.kind.is_marker() && batch.offset < offset);
        self.cut(kept.map_or(0, |(_, at)| at.end));
    }

    /// Loses the last batch.
    ///
    /// # Panics
    /// There is none.
    #[track_caller]
    pub fn lose_last_batch(&self) {
        let (_, at) = self.batches().pop().expect("a batch");
        self.cut(at.start);
    }

    /// Takes the ends from the last `count` commits of every producer, and leaves all else where it is: the markers become
    /// those of producers that do not exist.
    ///
    /// # Panics
    /// Nothing was committed, or the file cannot be written.
    #[track_caller]
    pub fn hide_last_commit_markers(&self, count: usize) {
        let (batches, mut bytes) = (self.batches(), fs::read(&self.0).expect("the segment is there"));
        let mut hidden: BTreeMap<i64, usize> = BTreeMap::new();
        for (batch, at) in batches.iter().rev().filter(|(batch, _)| batch.kind == Kind::Commit) {
            let of_this = hidden.entry(batch.producer).or_default();
            *of_this += 1;
            if *of_this <= count {
                give_to_nobody(&mut bytes[at.clone()], batch.producer);
            }
        }
        assert!(!hidden.is_empty(), "nothing was committed in {}", self.0.display());
        fs::write(&self.0, bytes).expect("it can be written");
    }
}

fn give_to_nobody(batch: &mut [u8], producer: i64) {
    batch[43..51].copy_from_slice(&(producer + (1 << 40)).to_be_bytes());
    let sum = crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&sum.to_be_bytes());
}

/// The checksum of a batch, over all from its attributes on (Castagnoli's polynomial).
fn crc32c(bytes: &[u8]) -> u32 {
    let step = |sum: u32, byte: &u8| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| if sum & 1 == 1 { (sum >> 1) ^ 0x82f6_3b78 } else { sum >> 1 })
    };
    !bytes.iter().fold(!0, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_castagnolis() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }
}
