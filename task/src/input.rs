//! A record as a fold sees it: bytes, its place, and time as the log tells it.

use hooklog_schemas::{Millis, Offset, Partition};
use hooklog_store::{Applied, LastRecord};
use rdkafka::message::{Headers, Message};
use sha2::{Digest, Sha256};

/// How many bytes of values are held at once, whatever the number of records: bodies of a megabyte are allowed.
pub(crate) const BATCH_BYTES: usize = 64 << 20;

/// One record of the input. Nothing here knows the wall clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input<'a> {
    /// Its partition.
    pub partition: Partition,
    /// Its offset.
    pub offset: Offset,
    /// T': the record's time, or the latest time of any record before it where that is later.
    pub time: Millis,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its value; empty where there is none.
    pub value: &'a [u8],
    /// Its headers in order.
    pub headers: Vec<(&'a str, &'a [u8])>,
}

impl<'a> Input<'a> {
    /// `message` as the next record of its partition, where stream time stands at `stream_time`.
    pub fn read(message: &'a impl Message, stream_time: Millis) -> Input<'a> {
        Input {
            partition: Partition(message.partition()),
            offset: Offset(message.offset()),
            time: stream_time.max(time(message)),
            key: message.key(),
            value: message.payload().unwrap_or_default(),
            headers: headers(message),
        }
    }

    /// Where a store stands that has folded everything up to this record.
    pub fn reached(&self) -> Applied {
        let last = Some(LastRecord { offset: self.offset, digest: self.digest() });
        Applied { next: self.offset.next(), stream_time: self.time, last }
    }

    /// Tells this record from any other one that could stand at its place: headers say when it was received, or of which record
    /// it was made.
    fn digest(&self) -> [u8; 16] {
        let mut digest = Sha256::new();
        let mut add = |part: &[u8]| {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        };
        add(self.key.unwrap_or_default());
        add(self.value);
        for (name, value) in &self.headers {
            add(name.as_bytes());
            add(value);
        }
        *digest.finalize().first_chunk().expect("SHA-256 has 32 bytes")
    }

    /// The first header called `name`.
    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        self.headers.iter().find(|(n, _)| *n == name).map(|(_, value)| *value)
    }

    /// The first header called `name`, where it is text.
    pub fn text_header(&self, name: &str) -> Option<&'a str> {
        self.header(name).and_then(|value| std::str::from_utf8(value).ok())
    }
}

/// The time that the record carries; a record without one does not advance stream time.
pub(crate) fn time(message: &impl Message) -> Millis {
    message.timestamp().to_millis().map_or(Millis::MIN, Millis)
}

fn headers(message: &impl Message) -> Vec<(&str, &[u8])> {
    let Some(headers) = message.headers() else { return Vec::new() };
    headers.iter().map(|header| (header.key, header.value.unwrap_or_default())).collect()
}
