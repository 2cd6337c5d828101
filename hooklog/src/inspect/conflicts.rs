//! Which record of `raw` says something else than the first one of its identity, as far as `tail` can know: from the records
//! that it has read itself, and from what the running `hooklog` has found.

use std::collections::HashMap;

use hooklog_schemas::content::Digest;
use hooklog_schemas::ids::Span;
use hooklog_schemas::{DedupKey, Millis, Namespace, Offset, Partition, RawPosition, header};
use rdkafka::message::{Headers, Message};
use serde_json::Value;

/// So many identities are remembered: about 100 MB.
const AT_MOST: usize = 1_000_000;

/// Goes through the records in the order of each partition.
pub(super) struct Marker {
    window: Span,
    at_most: usize,
    seen: HashMap<DedupKey, Seen>,
    /// What somebody else has found: the first record of each.
    known: HashMap<RawPosition, RawPosition>,
}

/// An identity, as the processor remembers it.
struct Seen {
    last: Millis,
    first: RawPosition,
    content: Digest,
}

impl Marker {
    /// With the conflicts that `status` of a running `hooklog` names, if one runs.
    pub(super) fn new(window: Span, status: &Value) -> Marker {
        let place = |value: &Value| value.as_str().and_then(|text| text.parse().ok());
        let pair = |one: &Value| Some((place(&one["again"])?, place(&one["first"])?));
        let known = status["conflicts"]["last"].as_array().into_iter().flatten().filter_map(pair).collect();
        Marker { window, at_most: AT_MOST, seen: HashMap::new(), known }
    }

    /// The record that `record` contradicts.
    pub(super) fn mark(&mut self, record: &impl Message) -> Option<RawPosition> {
        let (partition, offset) = (Partition(record.partition()), Offset(record.offset()));
        let this = RawPosition { partition, offset };
        let time = record.timestamp().to_millis().map_or(Millis::MIN, Millis);
        let content = Digest::of(record.payload().unwrap_or_default());
        let identity = DedupKey::of(namespace(record).as_bytes(), record.key()?);
        let found = match self.seen.get_mut(&identity) {
            Some(seen) if seen.last > time.before(self.window) => {
                seen.last = seen.last.max(time);
                content.contradicts(&seen.content).then_some(seen.first)
            }
            Some(seen) => {
                *seen = Seen { last: time, first: this, content };
                None
            }
            None => {
                if self.seen.len() < self.at_most {
                    self.seen.insert(identity, Seen { last: time, first: this, content });
                }
                None
            }
        };
        self.known.get(&this).copied().or(found)
    }
}

fn namespace(record: &impl Message) -> String {
    let headers = record.headers().into_iter().flat_map(Headers::iter);
    let named = headers.into_iter().find(|header| header.key == header::NAMESPACE).and_then(|header| header.value);
    named.map_or_else(|| Namespace::DEFAULT.to_owned(), |value| String::from_utf8_lossy(value).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rdkafka::message::{OwnedMessage, Timestamp};
    use serde_json::json;

    fn record(offset: i64, day: i64, body: &str) -> OwnedMessage {
        let time = Timestamp::LogAppendTime(Span::days(day).0);
        OwnedMessage::new(Some(body.into()), Some("evt_1".into()), "p.raw".to_owned(), time, 2, offset, None)
    }

    fn at(offset: i64) -> RawPosition {
        RawPosition { partition: Partition(2), offset: Offset(offset) }
    }

    const ONE: &str = r#"{"id":"evt_1","type":"a","pending_webhooks":1}"#;
    const SAME: &str = r#"{"id":"evt_1","pending_webhooks":0,"type":"a"}"#;
    const OTHER: &str = r#"{"id":"evt_1","type":"b"}"#;

    #[test]
    fn what_contradicts_the_first_record_of_its_id_is_marked_until_the_window_has_passed() {
        let mut marker = Marker::new(Span::days(35), &Value::Null);
        let all = [(0, 0, ONE), (1, 1, SAME), (2, 2, OTHER), (3, 36, OTHER), (4, 72, OTHER), (5, 73, ONE)];
        let marks = all.map(|(offset, day, body)| marker.mark(&record(offset, day, body)));
        assert_eq!(marks, [None, None, Some(at(0)), Some(at(0)), None, Some(at(4))]);
    }

    #[test]
    fn what_the_running_process_has_found_is_marked_though_its_first_record_was_not_read() {
        let status = json!({ "conflicts": { "last": [{ "first": "raw/2/1", "again": "raw/2/9" }, { "first": "x" }] } });
        let mut marker = Marker::new(Span::days(35), &status);
        assert_eq!(marker.mark(&record(9, 0, OTHER)), Some(at(1)));
        assert_eq!(marker.mark(&record(10, 0, OTHER)), None);
    }
}
