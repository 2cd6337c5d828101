//! A partition's file as Kafka writes it: batches, one behind the other, with the producer that wrote each.
//! <https://kafka.apache.org/documentation/#recordbatch>

use std::fs;
use std::path::{Path, PathBuf};

/// The producer of a batch: its id and epoch.
pub type ProducerId = (i64, i16);

/// One batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The offset of its first record.
    pub base: i64,
    /// The offset of its last one.
    pub last: i64,
    /// Who wrote it; `(-1, -1)` where nobody says.
    pub producer: ProducerId,
    /// What it is.
    pub kind: Kind,
    /// Key and value of each record, where they are not compressed.
    pub records: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

/// What a batch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Written outside of any transaction.
    Plain,
    /// Records of a transaction.
    Records,
    /// The marker of a commit.
    Commit,
    /// The marker of an abort.
    Abort,
}

/// The batches of the partition whose directory this is, in order.
///
/// # Panics
/// It is not there, or not what Kafka writes.
#[track_caller]
pub fn batches(partition: &Path) -> Vec<Batch> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(partition).expect("the partition").map(|e| e.expect("a file").path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "log"));
    files.sort();
    files.iter().flat_map(|file| of_file(&fs::read(file).expect("a segment"))).collect()
}

/// The directories of all partitions of `topic` below the broker's.
///
/// # Panics
/// The broker's directory is not there.
#[track_caller]
pub fn partitions(broker: &Path, topic: &str) -> Vec<(i32, PathBuf)> {
    let entries = fs::read_dir(broker).expect("the broker's directory").map(|entry| entry.expect("an entry").path());
    let number = |path: &PathBuf| path.file_name()?.to_str()?.strip_prefix(topic)?.strip_prefix('-')?.parse().ok();
    let mut found: Vec<_> = entries.filter_map(|path| Some((number(&path)?, path))).collect();
    found.sort();
    found
}

fn of_file(bytes: &[u8]) -> Vec<Batch> {
    let (mut rest, mut batches) = (Cursor(bytes), Vec::new());
    // Behind the last batch a file may be filled with zeros.
    while rest.0.len() > 61 {
        let base = rest.i64();
        let length = usize::try_from(rest.i32()).expect("a length");
        if length == 0 {
            break;
        }
        batches.push(of_batch(base, rest.take(length)));
    }
    batches
}

fn of_batch(base: i64, mut bytes: Cursor<'_>) -> Batch {
    bytes.take(4 + 1 + 4);
    let attributes = bytes.i16();
    let last = base + i64::from(bytes.i32());
    bytes.take(8 + 8);
    let producer = (bytes.i64(), bytes.i16());
    bytes.take(4);
    let count = bytes.i32();
    let is_compressed = attributes & 0x07 != 0;
    let records: Vec<_> = if is_compressed { Vec::new() } else { (0..count).map(|_| record(&mut bytes)).collect() };
    let kind = match (attributes & 0x30, records.first()) {
        (0x00, _) => Kind::Plain,
        (0x10, _) => Kind::Records,
        (_, Some((key, _))) if key[3] == 1 => Kind::Commit,
        _ => Kind::Abort,
    };
    Batch { base, last, producer, kind, records }
}

fn record(batch: &mut Cursor<'_>) -> (Vec<u8>, Option<Vec<u8>>) {
    let length = batch.varint();
    let mut record = batch.take(usize::try_from(length).expect("a length"));
    record.take(1);
    record.varint();
    record.varint();
    let key = record.nullable().unwrap_or_default();
    (key, record.nullable())
}

/// Reads what Kafka's protocol writes, from front to back.
#[derive(Clone, Copy, Debug)]
pub struct Cursor<'b>(pub &'b [u8]);

impl<'b> Cursor<'b> {
    /// The next `count` bytes.
    ///
    /// # Panics
    /// There are fewer; so do all others here.
    pub fn take(&mut self, count: usize) -> Cursor<'b> {
        let (taken, rest) = self.0.split_at(count);
        self.0 = rest;
        Cursor(taken)
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        self.take(N).0.try_into().expect("as many as were taken")
    }

    /// One byte.
    pub fn i8(&mut self) -> i8 {
        i8::from_be_bytes(self.array())
    }

    /// Two bytes.
    pub fn i16(&mut self) -> i16 {
        i16::from_be_bytes(self.array())
    }

    /// Four bytes.
    pub fn i32(&mut self) -> i32 {
        i32::from_be_bytes(self.array())
    }

    /// Eight bytes.
    pub fn i64(&mut self) -> i64 {
        i64::from_be_bytes(self.array())
    }

    /// A number of seven bits a byte, without a sign.
    pub fn uvarint(&mut self) -> u64 {
        let (mut value, mut shift) = (0, 0);
        loop {
            let [byte] = self.array();
            value |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                return value;
            }
        }
    }

    /// The same with a sign.
    pub fn varint(&mut self) -> i64 {
        let value = self.uvarint();
        (value >> 1).cast_signed() ^ -((value & 1).cast_signed())
    }

    /// A text with its length in two bytes.
    pub fn string(&mut self) -> String {
        let length = usize::try_from(self.i16()).expect("a length");
        String::from_utf8(self.take(length).0.to_vec()).expect("text")
    }

    fn nullable(&mut self) -> Option<Vec<u8>> {
        let length = usize::try_from(self.varint()).ok()?;
        Some(self.take(length).0.to_vec())
    }
}
