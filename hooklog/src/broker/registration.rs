//! Whether the controller still counts on a broker, as its own log says: pure, but for reading the files.
//!
//! The controller of a KRaft cluster keeps every registration in `__cluster_metadata-0`: record batches as in any topic,
//! whose values begin with a frame version, a record type and its version. Only two types say whether a broker is fenced
//! (`RegisterBrokerRecord` and `BrokerRegistrationChangeRecord` of Apache Kafka's `metadata` module), and one that it is
//! gone. Everything else is passed over by its length, so that a later version of Kafka may add what it likes.

mod bytes;

use bytes::Bytes;
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
        Self::at(log_dirs.join(TOPIC))
    }

    fn at(directory: PathBuf) -> Self {
        Self { directory, read: BTreeMap::new(), from: 0, known: Registration::Absent, is_begun: false }
    }

    /// What it says of the broker `node` now; `None` where that cannot be told, whatever keeps it from being read. The next
    /// look then begins anew: what was read in part tells nothing.
    pub(super) fn look(&mut self, node: i32) -> Option<Registration> {
        match self.begin(node).and_then(|()| self.go_on(node)) {
            Ok(()) => Some(self.known),
            Err(error) => {
                tracing::debug!(%error, "{} cannot be read", self.directory.display());
                *self = Self::at(std::mem::take(&mut self.directory));
                None
            }
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

#[cfg(test)]
pub(super) mod tests;
