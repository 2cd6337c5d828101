//! The file of one partition as Kafka writes it, read and cut while the broker is away.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::PathBuf;

/// The first segment of a partition: batches, one behind the other.
#[derive(Clone, Debug)]
pub struct Log(pub PathBuf);

/// One batch, and where it is in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Its bytes in the file.
    pub at: Range<usize>,
    /// The offset of its first record.
    pub base: i64,
    /// Who wrote it, where it is part of a transaction; -1 otherwise.
    pub producer: i64,
    /// What it is.
    pub kind: Kind,
}

/// What a batch is to transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Records outside of any transaction.
    Plain,
    /// Records of a transaction.
    Records,
    /// Ends a transaction that is committed.
    Commit,
    /// Ends a transaction that is aborted.
    Abort,
}

impl Kind {
    /// Whether it ends a transaction.
    pub fn is_marker(self) -> bool {
        matches!(self, Kind::Commit | Kind::Abort)
    }
}

/// Bytes of a batch before its records.
/// <https://kafka.apache.org/documentation/#recordbatch>
const HEADER: usize = 61;

impl Log {
    /// Every batch of the file.
    ///
    /// # Panics
    /// The file cannot be read.
    #[track_caller]
    pub fn batches(&self) -> Vec<Batch> {
        let bytes = fs::read(&self.0).expect("the segment is there");
        let (mut at, mut batches) = (0, Vec::new());
        while let Some(header) = bytes.get(at..at + HEADER) {
            let length = u32::from_be_bytes(field(header, 8)) as usize;
            if length == 0 {
                break;
            }
            let end = at + 12 + length;
            let kind = kind(u16::from_be_bytes(field(header, 21)), bytes.get(at + HEADER..end).unwrap_or_default());
            let (base, producer) = (i64::from_be_bytes(field(header, 0)), i64::from_be_bytes(field(header, 43)));
            batches.push(Batch { at: at..end, base, producer, kind });
            at = end;
        }
        batches
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
        let keep = batches[..batches.len() / 2].iter().rposition(|batch| batch.kind == last);
        self.cut(batches[keep.expect("several transactions")].at.end);
    }

    /// Loses everything behind the last whole transaction that ends before `offset`.
    #[track_caller]
    pub fn lose_from(&self, offset: i64) {
        let batches = self.batches();
        let kept = batches.iter().rfind(|batch| batch.kind.is_marker() && batch.base < offset);
        self.cut(kept.map_or(0, |batch| batch.at.end));
    }

    /// Loses the last batch.
    ///
    /// # Panics
    /// There is none.
    #[track_caller]
    pub fn lose_last_batch(&self) {
        let last = self.batches().pop().expect("a batch");
        self.cut(last.at.start);
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
        for batch in batches.iter().rev().filter(|batch| batch.kind == Kind::Commit) {
            let of_this = hidden.entry(batch.producer).or_default();
            *of_this += 1;
            if *of_this <= count {
                give_to_nobody(&mut bytes[batch.at.clone()], batch.producer);
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

fn kind(attributes: u16, records: &[u8]) -> Kind {
    match attributes & 0x30 {
        0x00 => Kind::Plain,
        0x10 => Kind::Records,
        // One record: length, attributes, two deltas, the length of its key (a byte each); then a version and the type.
        _ if records.get(7..9) == Some(&[0, 1]) => Kind::Commit,
        _ => Kind::Abort,
    }
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    *bytes[at..].first_chunk().expect("a whole header")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_castagnolis() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }
}
