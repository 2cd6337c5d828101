//! Whether the controller still counts on a broker, as its own log says: pure, but for reading the files.
//!
//! The controller of a KRaft cluster keeps every registration in `__cluster_metadata-0`: record batches as in any topic,
//! whose values begin with a frame version, a record type and its version. Only two types say whether a broker is fenced
//! (`RegisterBrokerRecord` and `BrokerRegistrationChangeRecord` of Apache Kafka's `metadata` module), and one that it is
//! gone. Everything else is passed over by its length, so that a later version of Kafka may add what it likes.

use super::Error;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

const TOPIC: &str = "__cluster_metadata-0";
/// Base offset and length.
const PREFIX: usize = 12;
/// Up to the first record.
const HEADER: usize = 61;
/// Far above what Kafka puts into one batch of metadata (8 MiB).
const LARGEST: usize = 64 << 20;
/// Bit of the attributes: what ends a term or a snapshot, of no interest here.
const CONTROL: i16 = 0x20;
const COMPRESSION: i16 = 0x07;

const REGISTER: u32 = 0;
const UNREGISTER: u32 = 1;
const CHANGE: u32 = 17;

/// What the controller knows of our broker.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Registration {
    /// It never was there.
    #[default]
    Absent,
    /// It is gone, and the controller knows.
    Fenced,
    /// The controller takes it for alive.
    Active,
}

/// What is not as Kafka writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// The controller's log of one node, read up to where it was written when it was last looked at.
#[derive(Debug)]
pub(super) struct MetadataLog {
    directory: PathBuf,
    /// Up to which byte each segment, by its base offset, is read.
    read: BTreeMap<i64, u64>,
    /// Records before this offset are in the snapshot that was read.
    from: i64,
    known: Registration,
    is_begun: bool,
}

impl MetadataLog {
    /// Of the node whose `log.dirs` this is.
    pub(super) fn of(log_dirs: &Path) -> Self {
        let directory = log_dirs.join(TOPIC);
        Self { directory, read: BTreeMap::new(), from: 0, known: Registration::Absent, is_begun: false }
    }

    /// What it says of the broker `node` now; `None` where that cannot be told.
    pub(super) fn look(&mut self, node: i32) -> Result<Option<Registration>, Error> {
        let read = self.begin(node).and_then(|()| self.go_on(node));
        match read {
            Ok(()) => Ok(Some(self.known)),
            Err(error) if error.kind() == ErrorKind::InvalidData => Ok(None),
            Err(error) => Err(Error::io("read", &self.directory)(error)),
        }
    }

    /// The newest snapshot, once: what lies before it may be deleted.
    fn begin(&mut self, node: i32) -> io::Result<()> {
        if std::mem::replace(&mut self.is_begun, true) {
            return Ok(());
        }
        let Some((from, path)) = named(&self.directory, "checkpoint")?.pop_last() else { return Ok(()) };
        let mut place = Place { file: BufReader::new(File::open(path)?), at: 0 };
        while let Some(batch) = place.next()? {
            self.known = after(self.known, &batch, 0, node).map_err(|Malformed| ErrorKind::InvalidData)?;
        }
        self.from = from;
        Ok(())
    }

    fn go_on(&mut self, node: i32) -> io::Result<()> {
        for (base, path) in named(&self.directory, "log")? {
            let at = self.read.entry(base).or_default();
            let mut file = File::open(path)?;
            file.seek(SeekFrom::Start(*at))?;
            let mut place = Place { file: BufReader::new(file), at: *at };
            while let Some(batch) = place.next()? {
                self.known = after(self.known, &batch, self.from, node).map_err(|Malformed| ErrorKind::InvalidData)?;
                *at = place.at;
            }
        }
        Ok(())
    }
}

/// Files of this kind by the offset that their name begins with.
fn named(directory: &Path, kind: &str) -> io::Result<BTreeMap<i64, PathBuf>> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(BTreeMap::new()),
        entries => entries?,
    };
    let mut files = BTreeMap::new();
    for entry in entries {
        let path = entry?.path();
        let is_kind = path.extension().is_some_and(|extension| extension == kind);
        let offset = path.file_stem().and_then(|stem| stem.to_str()?.get(..20)?.parse().ok());
        if let (true, Some(offset)) = (is_kind, offset) {
            files.insert(offset, path);
        }
    }
    Ok(files)
}

struct Place<R> {
    file: R,
    at: u64,
}

impl<R: Read> Place<R> {
    /// The next batch that is there as a whole; what a kill cut off is none, and Kafka cuts it off as well.
    fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut batch = vec![0; PREFIX];
        if !is_whole(self.file.read_exact(&mut batch))? {
            return Ok(None);
        }
        let length = i32::from_be_bytes(*batch[8..].first_chunk().expect("twelve bytes"));
        let Some(length) = usize::try_from(length).ok().filter(|length| (HEADER - PREFIX..=LARGEST).contains(length))
        else {
            return Ok(None);
        };
        batch.resize(PREFIX + length, 0);
        if !is_whole(self.file.read_exact(&mut batch[PREFIX..]))? {
            return Ok(None);
        }
        self.at += batch.len() as u64;
        Ok(Some(batch))
    }
}

fn is_whole(read: io::Result<()>) -> io::Result<bool> {
    match read {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        read => read.map(|()| true),
    }
}

/// What is known of the broker `node` after the records of `batch` that do not lie before `from`.
fn after(before: Registration, batch: &[u8], from: i64, node: i32) -> Result<Registration, Malformed> {
    let mut bytes = Bytes(batch);
    let base = bytes.i64()?;
    bytes.skip(21 - 8)?;
    let attributes = bytes.i16()?;
    bytes.skip(57 - 23)?;
    let count = bytes.i32()?;
    if attributes & CONTROL != 0 {
        return Ok(before);
    }
    if attributes & COMPRESSION != 0 {
        return Err(Malformed);
    }
    let mut known = before;
    for _ in 0..count {
        let length = bytes.signed()?;
        let mut record = Bytes(bytes.take(usize::try_from(length).map_err(|_| Malformed)?)?);
        record.skip(1)?;
        let _time = record.signed()?;
        let offset = base + record.signed()?;
        let key = record.signed()?;
        record.skip(usize::try_from(key).unwrap_or(0))?;
        let value = record.signed()?;
        let value = record.take(usize::try_from(value).map_err(|_| Malformed)?)?;
        if offset >= from {
            known = with(known, Bytes(value), node)?;
        }
    }
    Ok(known)
}

/// What is known after one record of metadata.
fn with(before: Registration, mut value: Bytes<'_>, node: i32) -> Result<Registration, Malformed> {
    let (_frame, kind, version) = (value.unsigned()?, value.unsigned()?, value.unsigned()?);
    if ![REGISTER, UNREGISTER, CHANGE].contains(&kind) || value.i32()? != node {
        return Ok(before);
    }
    match kind {
        REGISTER => registered(value, version),
        UNREGISTER => Ok(Registration::Absent),
        _ => changed(before, value),
    }
}

fn registered(mut value: Bytes<'_>, version: u32) -> Result<Registration, Malformed> {
    // Whether it came from ZooKeeper, its incarnation, its epoch.
    value.skip(usize::from(version >= 2) + 16 + 8)?;
    for _ in 1..value.unsigned()? {
        // An endpoint: name, host, port, protocol.
        value.text()?;
        value.text()?;
        value.skip(2 + 2)?;
        value.tags(|_, _| Ok(()))?;
    }
    for _ in 1..value.unsigned()? {
        // A feature: name, least and highest version.
        value.text()?;
        value.skip(2 + 2)?;
        value.tags(|_, _| Ok(()))?;
    }
    // Its rack.
    value.text()?;
    Ok(if value.take(1)? == [0] { Registration::Active } else { Registration::Fenced })
}

fn changed(before: Registration, mut value: Bytes<'_>) -> Result<Registration, Malformed> {
    let mut known = before;
    // Its epoch.
    value.skip(8)?;
    value.tags(|tag, field| {
        match (tag, field) {
            (0, [1]) => known = Registration::Fenced,
            (0, [0xff]) => known = Registration::Active,
            _ => {}
        }
        Ok(())
    })?;
    Ok(known)
}

/// Bytes that are read from the front, as Kafka writes them.
struct Bytes<'b>(&'b [u8]);

impl<'b> Bytes<'b> {
    fn take(&mut self, count: usize) -> Result<&'b [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn skip(&mut self, count: usize) -> Result<(), Malformed> {
        self.take(count).map(drop)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        self.take(N)?.first_chunk().copied().ok_or(Malformed)
    }

    fn i16(&mut self) -> Result<i16, Malformed> {
        self.array().map(i16::from_be_bytes)
    }

    fn i32(&mut self) -> Result<i32, Malformed> {
        self.array().map(i32::from_be_bytes)
    }

    fn i64(&mut self) -> Result<i64, Malformed> {
        self.array().map(i64::from_be_bytes)
    }

    /// A number of seven bits a byte, the lowest first.
    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Malformed)
    }

    fn unsigned(&mut self) -> Result<u32, Malformed> {
        u32::try_from(self.varint()?).map_err(|_| Malformed)
    }

    /// With the sign in the lowest bit.
    fn signed(&mut self) -> Result<i64, Malformed> {
        let number = self.varint()?;
        Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }

    /// A compact text; its length is written one larger, and 0 is none.
    fn text(&mut self) -> Result<(), Malformed> {
        let length = self.unsigned()?;
        self.skip(length.saturating_sub(1) as usize)
    }

    fn tags(&mut self, mut each: impl FnMut(u32, &[u8]) -> Result<(), Malformed>) -> Result<(), Malformed> {
        for _ in 0..self.unsigned()? {
            let (tag, length) = (self.unsigned()?, self.unsigned()?);
            each(tag, self.take(length as usize)?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Registration::{Absent, Active, Fenced};
    use proptest::prelude::*;

    /// As Apache Kafka 4.3.1 wrote them: the registration of a broker that has yet to catch up, and what followed.
    const REGISTERED: &str = "0100040000000100\
        56080bf541574b97b3a2efcc8e4e0b32000000000000000c02064b41464b410a3132372e302e302e315264000000080e73686172652e7665727369\
        6f6e0000000100116d657461646174612e76657273696f6e0007001e0021656c696769626c652e6c65616465722e7265706c696361732e7665727369\
        6f6e0000000100147472616e73616374696f6e2e76657273696f6e00000002001073747265616d732e76657273696f6e00000001000e67726f75702e\
        76657273696f6e00000001000e6b726166742e76657273696f6e000000010000010001001102d758b6c8cedb62db2e4daf1666b9d87d";
    const LOG_DIRS: &str = "01110300000001000000000000000c01030101";
    const UNFENCED: &str = "01110000000001000000000000000c010001ff";
    const FENCED: &str = "01110000000001000000000000000c01000101";
    const NO_OP: &str = "01140000";

    fn batch(base: i64, values: &[&str]) -> Vec<u8> {
        let mut bytes = base.to_be_bytes().to_vec();
        bytes.extend([0; HEADER - 8]);
        bytes[57..61].copy_from_slice(&i32::try_from(values.len()).unwrap().to_be_bytes());
        for (n, value) in values.iter().enumerate() {
            let value = hex::decode(value).unwrap();
            let mut record = vec![0, 0];
            record.extend([u8::try_from(n * 2).unwrap(), 1]);
            record.extend(varint(value.len() as u64 * 2));
            record.extend(value);
            record.push(0);
            bytes.extend(varint(record.len() as u64 * 2));
            bytes.extend(record);
        }
        let length = i32::try_from(bytes.len() - PREFIX).unwrap();
        bytes[8..12].copy_from_slice(&length.to_be_bytes());
        bytes
    }

    fn varint(mut number: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        while number >= 0x80 {
            bytes.push((number & 0x7f) as u8 | 0x80);
            number >>= 7;
        }
        bytes.push(number as u8);
        bytes
    }

    fn known(values: &[&str]) -> Registration {
        after(Absent, &batch(0, values), 0, 1).unwrap()
    }

    #[test]
    fn a_broker_is_active_from_when_it_was_let_in_until_it_was_fenced() {
        assert_eq!(known(&[NO_OP]), Absent);
        assert_eq!(known(&[REGISTERED, LOG_DIRS]), Fenced);
        assert_eq!(known(&[REGISTERED, LOG_DIRS, UNFENCED]), Active);
        assert_eq!(known(&[REGISTERED, UNFENCED, NO_OP, FENCED]), Fenced);
        assert_eq!(known(&[REGISTERED, UNFENCED, FENCED, REGISTERED, UNFENCED]), Active);
        assert_eq!(known(&[REGISTERED, UNFENCED, "0101000000000100"]), Absent, "it was unregistered");
    }

    #[test]
    fn other_brokers_and_control_batches_say_nothing() {
        let batch = batch(0, &[REGISTERED, UNFENCED]);
        assert_eq!(after(Absent, &batch, 0, 2), Ok(Absent));
        let mut control = batch;
        control[22] |= 0x20;
        assert_eq!(after(Absent, &control, 0, 1), Ok(Absent));
    }

    #[test]
    fn what_is_in_the_snapshot_already_is_not_counted_again() {
        let batch = batch(10, &[REGISTERED, UNFENCED, FENCED]);
        assert_eq!(after(Active, &batch, 13, 1), Ok(Active));
        assert_eq!(after(Active, &batch, 12, 1), Ok(Fenced));
    }

    fn log(files: &[(&str, Vec<u8>)]) -> (tempfile::TempDir, MetadataLog) {
        let dir = tempfile::tempdir().unwrap();
        let log = MetadataLog::of(dir.path());
        fs::create_dir_all(&log.directory).unwrap();
        files.iter().for_each(|(name, bytes)| fs::write(log.directory.join(name), bytes).unwrap());
        (dir, log)
    }

    #[test]
    fn the_log_is_read_on_from_where_it_was_read_to() {
        let first = "00000000000000000000.log";
        let (_dir, mut log) = log(&[(first, batch(0, &[REGISTERED, UNFENCED]))]);
        assert_eq!(log.look(1).unwrap(), Some(Active));
        let mut cut = fs::read(log.directory.join(first)).unwrap();
        let whole = batch(2, &[FENCED]);
        cut.extend(&whole[..whole.len() - 1]);
        fs::write(log.directory.join(first), &cut).unwrap();
        assert_eq!(log.look(1).unwrap(), Some(Active), "half a batch is none");
        cut.push(whole[whole.len() - 1]);
        fs::write(log.directory.join(first), &cut).unwrap();
        assert_eq!(log.look(1).unwrap(), Some(Fenced));
        fs::write(log.directory.join("00000000000000000003.log"), batch(3, &[REGISTERED, UNFENCED])).unwrap();
        assert_eq!(log.look(1).unwrap(), Some(Active));
    }

    #[test]
    fn the_newest_snapshot_is_where_reading_begins() {
        let (_dir, mut log) = log(&[
            ("00000000000000000000-0000000000.checkpoint", batch(0, &[REGISTERED])),
            ("00000000000000000009-0000000002.checkpoint", batch(0, &[REGISTERED, UNFENCED])),
            ("00000000000000000005.log", batch(5, &[FENCED])),
            ("00000000000000000006.snapshot", vec![1, 2, 3]),
        ]);
        assert_eq!(log.look(1).unwrap(), Some(Active));
    }

    #[test]
    fn where_there_is_no_log_there_is_no_broker_and_a_strange_one_tells_nothing() {
        assert_eq!(MetadataLog::of(Path::new("/nowhere")).look(1).unwrap(), Some(Absent));
        let mut strange = batch(0, &[REGISTERED]);
        let last = strange.len() - 1;
        strange[61] = 0xff;
        strange[last] = 0xff;
        let (_dir, mut log) = log(&[("00000000000000000000.log", strange)]);
        assert_eq!(log.look(1).unwrap(), None);
    }

    proptest! {
        #[test]
        fn no_bytes_at_all_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = after(Absent, &bytes, 0, 1);
            let _ = with(Absent, Bytes(&bytes), 1);
        }
    }
}
