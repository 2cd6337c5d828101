//! The batches of a partition, read from its segments: headers of format v2 and the type of control batches. What is in a
//! batch reads `whole`.
//! <https://kafka.apache.org/documentation/#recordbatch>

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::fields::Fields;

/// From the base offset to the count of records.
pub(super) const HEADER: usize = 61;
/// Enough of a batch to hold its header and, of a control batch, the record's key.
const LOOKED_AT: usize = HEADER + 32;
/// Base offset and length are not counted in the length.
const BEFORE_LENGTH: u64 = 12;
const MAGIC: i8 = 2;
const TRANSACTIONAL: i16 = 0x10;
const CONTROL: i16 = 0x20;

/// What is known of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// The offset of its first record.
    pub offset: i64,
    /// -1 where it has none.
    pub producer: i64,
    /// The producer's.
    pub epoch: i16,
    /// Its latest record's, epoch ms.
    pub time: i64,
    /// What it is.
    pub kind: Kind,
}

/// A header, and what only its segment needs.
pub(super) struct Header {
    pub(super) batch: Batch,
    /// The offset of the last record.
    pub(super) last: i64,
    /// Of the whole batch, in bytes.
    pub(super) size: u64,
}

/// What a batch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Records outside of transactions.
    Plain,
    /// Records of a transaction.
    Transactional,
    /// The marker of a commit.
    Commit,
    /// The marker of an abort.
    Abort,
    /// Another control batch.
    Control,
}

impl Kind {
    /// Whether it ends a transaction.
    pub fn is_marker(self) -> bool {
        matches!(self, Kind::Commit | Kind::Abort)
    }
}

/// A partition, as far as its segments go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// In their order.
    pub batches: Vec<Batch>,
    /// Epoch ms: what is older may have been cleaned away.
    pub whole_from: Option<i64>,
}

impl Log {
    /// Reads `directory`, such as `kafka/hooklog.events-3`; `is_compacted` is of its topic.
    pub fn read(directory: &Path, is_compacted: bool) -> Result<Self> {
        let (mut log, segments) = (Self::default(), segments(directory)?);
        for segment in &segments {
            let begin = log.batches.len();
            read_segment(segment, &mut log.batches).with_context(|| format!("cannot read {}", segment.display()))?;
            // The cleaner takes all segments but the last.
            if is_compacted && segments.len() > 1 {
                log.whole_from = log.batches.get(begin).map(|first| first.time);
            }
        }
        Ok(log)
    }
}

/// The segments of the partition whose directory this is, in their order.
///
/// # Errors
/// The directory cannot be read.
pub fn segments(directory: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "log"));
    paths.sort();
    Ok(paths)
}

/// Until the end, or a batch that a crash has left half written: the broker cuts that off at its next start.
fn read_segment(path: &Path, batches: &mut Vec<Batch>) -> Result<()> {
    let file = File::open(path)?;
    let (length, mut at) = (file.metadata()?.len(), 0);
    while at + HEADER as u64 <= length {
        let mut bytes = [0; LOOKED_AT];
        let count = read_some(&file, &mut bytes, at)?;
        let Some(header) = parse(&bytes[..count])? else { break };
        if at + header.size > length {
            break;
        }
        batches.push(header.batch);
        at += header.size;
    }
    Ok(())
}

fn read_some(file: &File, into: &mut [u8], at: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < into.len() {
        match file.read_at(&mut into[filled..], at + filled as u64)? {
            0 => break,
            count => filled += count,
        }
    }
    Ok(filled)
}

/// The header at the beginning of `bytes`; `None` where nothing was written.
pub(super) fn parse(bytes: &[u8]) -> Result<Option<Header>> {
    let mut fields = Fields(bytes);
    let (offset, length) = (fields.i64()?, fields.i32()?);
    if length == 0 {
        return Ok(None);
    }
    fields.skip(4)?; // the leader's epoch
    let magic = fields.i8()?;
    ensure!(magic == MAGIC && length > 0, "a batch of format {magic} and length {length}: only format 2 can be read");
    fields.skip(4)?; // crc
    let attributes = fields.i16()?;
    let last = offset + i64::from(fields.i32()?);
    fields.skip(8)?; // the first time
    let (time, producer, epoch) = (fields.i64()?, fields.i64()?, fields.i16()?);
    fields.skip(8)?; // sequence and count
    let kind = match (attributes & CONTROL != 0, attributes & TRANSACTIONAL != 0) {
        (true, _) => control(fields)?,
        (false, true) => Kind::Transactional,
        (false, false) => Kind::Plain,
    };
    let size = BEFORE_LENGTH + u64::from(length.unsigned_abs());
    Ok(Some(Header { batch: Batch { offset, producer, epoch, time, kind }, last, size }))
}

/// The type of a control record is in its key: version, type.
fn control(mut record: Fields<'_>) -> Result<Kind> {
    record.varint()?; // length
    record.skip(1)?; // attributes
    record.varint()?; // time
    record.varint()?; // offset
    record.varint()?; // the key's length
    record.i16()?; // the key's version
    Ok(match record.i16()? {
        0 => Kind::Abort,
        1 => Kind::Commit,
        _ => Kind::Control,
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A batch as Kafka writes it, with these attributes and records.
    pub(in super::super) fn written(offset: i64, attributes: i16, producer: i64, records: &[u8]) -> Vec<u8> {
        let length = i32::try_from(HEADER - 12 + records.len()).unwrap();
        let mut bytes = Vec::new();
        bytes.extend(offset.to_be_bytes());
        bytes.extend(length.to_be_bytes());
        bytes.extend(0_i32.to_be_bytes()); // leader epoch
        bytes.push(2); // magic
        bytes.extend(0_u32.to_be_bytes()); // crc
        bytes.extend(attributes.to_be_bytes());
        bytes.extend(0_i32.to_be_bytes()); // last offset delta
        bytes.extend(1_000_i64.to_be_bytes());
        bytes.extend(1_234_i64.to_be_bytes());
        bytes.extend(producer.to_be_bytes());
        bytes.extend(5_i16.to_be_bytes());
        bytes.extend((-1_i32).to_be_bytes());
        bytes.extend(1_i32.to_be_bytes());
        bytes.extend(records);
        bytes
    }

    pub(in super::super) fn marker(offset: i64, producer: i64, kind: u8) -> Vec<u8> {
        // length, attributes, time, offset, key length (4), key (version, type), value length (6), value, headers
        written(offset, 0x30, producer, &[0x20, 0, 0, 0, 8, 0, 0, 0, kind, 12, 0, 0, 0, 0, 0, 9, 0])
    }

    fn read(bytes: &[u8]) -> Vec<Batch> {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("00000000000000000000.log"), bytes).unwrap();
        Log::read(dir.path(), false).unwrap().batches
    }

    #[test]
    fn headers_and_markers_are_read_and_records_are_passed_over() {
        let plain = written(0, 0, -1, &[0; 300]);
        let records = written(3, 0x10, 77, &[1; 500]);
        let read = read(&[plain, records, marker(9, 77, 1), marker(10, 78, 0)].concat());
        let batch = |offset, producer, kind| Batch { offset, producer, epoch: 5, time: 1_234, kind };
        assert_eq!(
            read,
            [
                batch(0, -1, Kind::Plain),
                batch(3, 77, Kind::Transactional),
                batch(9, 77, Kind::Commit),
                batch(10, 78, Kind::Abort)
            ]
        );
    }

    #[test]
    fn a_batch_that_is_half_written_and_room_that_is_not_written_end_the_log() {
        let whole = marker(0, 1, 1);
        let torn = written(1, 0x10, 1, &[1; 500]);
        assert_eq!(read(&[&whole[..], &torn[..200]].concat()).len(), 1);
        assert_eq!(read(&[&whole[..], &torn[..20]].concat()).len(), 1);
        assert_eq!(read(&[&whole[..], &[0; 4_096]].concat()).len(), 1);
        assert_eq!(read(&[]).len(), 0);
    }

    #[test]
    fn another_format_is_an_error_and_no_empty_log() {
        let mut bytes = written(0, 0, -1, &[]);
        bytes[16] = 1;
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("00000000000000000000.log"), bytes).unwrap();
        assert!(Log::read(dir.path(), false).is_err());
    }

    #[test]
    fn of_a_compacted_topic_only_the_last_segment_is_sure_to_be_whole() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("00000000000000000000.log"), marker(0, 1, 1)).unwrap();
        assert_eq!(Log::read(dir.path(), true).unwrap().whole_from, None);
        fs::write(dir.path().join("00000000000000000009.log"), marker(9, 1, 1)).unwrap();
        assert_eq!(Log::read(dir.path(), true).unwrap().whole_from, Some(1_234));
        assert_eq!(
            Log::read(dir.path(), false).unwrap(),
            Log { whole_from: None, ..Log::read(dir.path(), true).unwrap() }
        );
    }
}
