//! Fingerprints: what an event has to be like by its record in `raw`, and what it is like.
//!
//! Subject, key and headers are worked out here anew from the contract, so that a slip of the processor shows up. Two records
//! with the same fingerprint are taken for the same: the value's part is 128 bits of a SHA-256.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use hooklog_log::partition_for;
use hooklog_schemas::content::Digest;
use hooklog_schemas::{DedupKey, Envelope, Millis, Namespace, Partition, RawPosition, Subject, header, time};
use rdkafka::message::{Headers, Message};
use sha2::{Digest as _, Sha256};

/// One record, shrunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fingerprint {
    /// Of the event's id.
    pub(super) id: u64,
    /// Of the value.
    pub(super) value: [u8; 16],
    /// Of key, partition, time and all other headers.
    pub(super) rest: u64,
}

impl Fingerprint {
    pub(super) fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&self.id.to_be_bytes());
        bytes[8..24].copy_from_slice(&self.value);
        bytes[24..].copy_from_slice(&self.rest.to_be_bytes());
        bytes
    }

    pub(super) fn of_bytes(bytes: &[u8; 32]) -> Fingerprint {
        let word = |at: usize| u64::from_be_bytes(*bytes[at..].first_chunk().expect("32 bytes"));
        Fingerprint { id: word(0), value: *bytes[8..].first_chunk().expect("32 bytes"), rest: word(24) }
    }

    /// Whether the two are different events, not one that was altered.
    pub(super) fn is_another(&self, other: &Fingerprint) -> bool {
        self.id != other.id && self.value != other.value
    }

    /// Which part is not as `expected`.
    pub(super) fn difference(&self, expected: &Fingerprint) -> Option<&'static str> {
        if self.value != expected.value {
            Some("its value differs from raw's")
        } else if self.id != expected.id {
            Some("its ce_id is not the id of its record")
        } else if self.rest != expected.rest {
            Some("its key, partition, time or headers are not those that its record asks for")
        } else {
            None
        }
    }
}

/// The headers that the contract names for `events`, but for position, log and id, which are looked at one by one.
const NAMES: [&str; 14] = [
    header::NAMESPACE,
    header::SOURCE,
    header::RECEIVED_AT,
    header::SIGNATURE_TIME,
    header::ENCRYPTION,
    header::TRACEPARENT,
    header::CE_SPECVERSION,
    header::CE_TYPE,
    header::CE_SOURCE,
    header::CE_TIME,
    header::CE_SUBJECT,
    header::CONTENT_TYPE,
    header::ACCOUNT,
    header::LIVEMODE,
];
/// How many of them `raw` has, too.
const CARRIED: usize = 6;

/// A record's headers as far as the contract names them; of two of one name the first.
#[derive(Default)]
pub(super) struct Named<'a> {
    values: [Option<&'a [u8]>; NAMES.len()],
    pub(super) id: Option<&'a [u8]>,
    position: Option<&'a [u8]>,
    log: Option<&'a [u8]>,
    /// Whether `hooklog repair` wrote it.
    pub(super) repaired: bool,
}

impl<'a> Named<'a> {
    pub(super) fn of<M: Message>(message: &'a M) -> Named<'a> {
        let mut named = Named::default();
        let headers = message.headers().into_iter().flat_map(Headers::iter);
        headers.for_each(|header| named.note(header.key, header.value.unwrap_or_default()));
        named
    }

    fn note(&mut self, name: &str, value: &'a [u8]) {
        match name {
            header::CE_ID => _ = self.id.get_or_insert(value),
            header::POSITION => _ = self.position.get_or_insert(value),
            header::LOG => _ = self.log.get_or_insert(value),
            header::REPAIRED => self.repaired = true,
            _ => {
                if let Some(at) = NAMES.iter().position(|known| *known == name) {
                    self.values[at].get_or_insert(value);
                }
            }
        }
    }

    /// Where the event comes from, where today's `raw` is `log` and these were `raw` before it.
    pub(super) fn origin(&self, log: &str, former: &BTreeSet<String>) -> Origin {
        let text = |value: Option<&'a [u8]>| value.and_then(|value| std::str::from_utf8(value).ok());
        match text(self.log) {
            Some(named) if named == log => {
                let position = text(self.position).and_then(|text| text.parse().ok());
                position.map_or(Origin::Nowhere("it names no position in raw"), Origin::Record)
            }
            Some(named) if former.contains(named) => Origin::Former,
            _ => Origin::Nowhere(
                "it names another log than today's raw; where that one was adopted, `hooklog offsets repair --apply` records it",
            ),
        }
    }

    /// Who the event says it is.
    pub(super) fn identity(&self) -> DedupKey {
        let namespace = self.text(0).unwrap_or(Namespace::DEFAULT);
        DedupKey::of(namespace.as_bytes(), self.id.unwrap_or_default())
    }

    fn text(&self, at: usize) -> Option<&'a str> {
        self.values[at].and_then(|value| std::str::from_utf8(value).ok())
    }
}

/// Where an event comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// A record of today's `raw`.
    Record(RawPosition),
    /// A log that was `raw` before this one: nothing is left to judge it by.
    Former,
    /// Nothing that is known: why.
    Nowhere(&'static str),
}

/// What is hashed into [`Fingerprint::rest`].
#[derive(Hash)]
struct Rest<'a> {
    key: &'a [u8],
    partition: i32,
    time: i64,
    headers: [Option<&'a [u8]>; NAMES.len()],
}

/// A record of `raw`: its identity, the partition that its event belongs to, what it has to be like, and what the record
/// says. `time` is its T'.
pub(super) fn expected<M: Message>(
    message: &M,
    time: Millis,
    partitions: u32,
) -> (DedupKey, Partition, Fingerprint, Digest) {
    let named = Named::of(message);
    let place =
        RawPosition { partition: Partition(message.partition()), offset: hooklog_schemas::Offset(message.offset()) };
    // Without a key a record is its own event, known by its place.
    let own_id = message.key().map_or_else(|| Cow::Owned(place.to_string()), String::from_utf8_lossy);
    let namespace = named.text(0).unwrap_or(Namespace::DEFAULT);
    let value = message.payload().unwrap_or_default();
    let read = Envelope::read(value).ok();
    let content = Digest::with(value, read.as_ref());
    let event = read.unwrap_or_else(|| Envelope { id: own_id.clone(), ..Envelope::default() });
    let identity = DedupKey::of(namespace.as_bytes(), message.key().unwrap_or(own_id.as_bytes()));
    let key = Subject::of(&event, namespace).to_string();
    let partition = partition_for(key.as_bytes(), partitions);
    let fingerprint = Fingerprint {
        id: hashed(event.id.as_bytes()),
        value: digest(value),
        rest: expected_rest(&named, &event, &key, partition, time),
    };
    (identity, partition, fingerprint, content)
}

fn expected_rest(named: &Named<'_>, event: &Envelope<'_>, key: &str, partition: Partition, time: Millis) -> u64 {
    let source = format!("/sources/{}", named.text(1).unwrap_or("unknown"));
    let created = event.created.and_then(time::rfc3339);
    let about = if event.thin { &event.related } else { &event.object.id };
    let mut headers = [None; NAMES.len()];
    headers[..CARRIED].copy_from_slice(&named.values[..CARRIED]);
    let ours = [
        Some(header::CE_SPECVERSION_VALUE),
        Some(event.kind.as_deref().unwrap_or(header::CE_TYPE_UNKNOWN)),
        Some(&source),
        created.as_deref(),
        about.as_deref(),
        Some(header::APPLICATION_JSON),
        event.account.as_deref(),
        Some(if event.livemode { "true" } else { "false" }),
    ];
    for (slot, text) in headers[CARRIED..].iter_mut().zip(ours) {
        *slot = text.map(str::as_bytes);
    }
    hashed(&Rest { key: key.as_bytes(), partition: partition.0, time: time.0, headers })
}

/// What an event is like.
pub(super) fn found<M: Message>(message: &M, named: &Named<'_>) -> Fingerprint {
    let rest = Rest {
        key: message.key().unwrap_or_default(),
        partition: message.partition(),
        time: message.timestamp().to_millis().unwrap_or(Millis::MIN.0),
        headers: named.values,
    };
    Fingerprint {
        id: hashed(named.id.unwrap_or_default()),
        value: digest(message.payload().unwrap_or_default()),
        rest: hashed(&rest),
    }
}

fn digest(value: &[u8]) -> [u8; 16] {
    *Sha256::digest(value).first_chunk().expect("SHA-256 has 32 bytes")
}

/// Never leaves the process, so it need not be the same in the next release.
fn hashed(value: &(impl Hash + ?Sized)) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hooklog_schemas::Offset;

    #[test]
    fn an_event_comes_from_todays_raw_from_a_log_before_it_or_from_nowhere() {
        let former = BTreeSet::from(["old".to_owned()]);
        let origin = |log: &'static str, position: &'static str| {
            let named = Named { log: Some(log.as_bytes()), position: Some(position.as_bytes()), ..Named::default() };
            named.origin("new", &former)
        };
        let record = RawPosition { partition: Partition(3), offset: Offset(9) };
        assert_eq!(origin("new", "raw/3/9"), Origin::Record(record));
        assert_eq!((origin("old", "raw/3/9"), origin("old", "")), (Origin::Former, Origin::Former));
        for (log, position) in [("new", ""), ("new", "raw/3"), ("other", "raw/3/9"), ("", "raw/3/9")] {
            assert!(matches!(origin(log, position), Origin::Nowhere(_)), "{log} {position}");
        }
        assert!(matches!(Named::default().origin("new", &former), Origin::Nowhere(_)), "an event without headers");
    }
}
