//! A record of `events`, heard.

use std::borrow::Cow;

use hooklog_schemas::{Envelope, Offset, Partition};

use crate::fold::event::{Heard, Label, Wanted, hear, wanted};
use crate::fold::scope::Scope;
use crate::stripe::json::Json;

/// What the views need of a record.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Where it stands.
    pub partition: Partition,
    /// Where it stands.
    pub offset: Offset,
    /// Its key; empty where it has none.
    pub key: &'a [u8],
    /// The event's body.
    pub value: &'a [u8],
}

/// An event that a view wants, before its data are read.
#[derive(Clone, Debug)]
pub struct Opened<'a> {
    /// Whose it is.
    pub scope: Scope,
    /// Which view.
    pub wanted: Wanted,
    /// The event's own fields.
    pub envelope: Envelope<'a>,
}

/// Reads as much of a record as decides whether it is wanted and by what key.
///
/// # Errors
/// In words for the tally. What is not wanted is `Ok(None)`.
pub fn open<'a>(record: &Record<'a>) -> Result<Option<Opened<'a>>, &'static str> {
    let envelope = Envelope::read(record.value).map_err(|_| "the body is no event")?;
    let kind = envelope.kind.as_deref().unwrap_or_default();
    let Some(wanted) = wanted(kind, envelope.object.kind.as_deref())? else { return Ok(None) };
    let key = std::str::from_utf8(record.key).unwrap_or_default();
    let scope = Scope::of(key, envelope.account.as_deref(), envelope.livemode);
    Ok(Some(Opened { scope: scope.ok_or("the record's key does not fit its event")?, wanted, envelope }))
}

impl Opened<'_> {
    /// The id of the subscription or customer, if it has a usable one.
    pub fn id(&self) -> Option<&str> {
        self.envelope.object.id.as_deref()
    }

    /// Reads the event's data from the body it was opened from. Total.
    pub fn hear(&self, body: &[u8]) -> Heard {
        let text: Cow<'_, str> = String::from_utf8_lossy(body);
        let Ok(tree) = Json::read(&text) else { return Heard::NotUnderstood("the body is nested too deeply") };
        let created = self.envelope.created.map(|moment| moment.0.div_euclid(1000));
        let kind = self.envelope.kind.as_deref().unwrap_or_default();
        hear(Label { id: &self.envelope.id, kind, created }, self.wanted, tree.get("data"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = "\u{feff}{\"id\":\"evt_1\",\"type\":\"customer.subscription.updated\",\"created\":5,\"livemode\":true,\r\n
        \"data\":{\"object\":{\"id\":\"sub_1\",\"object\":\"subscription\",\"customer\":\"cus_1\",\"status\":\"active\"}}}\n";

    fn record<'a>(key: &'a str, value: &'a [u8]) -> Record<'a> {
        Record { partition: Partition(0), offset: Offset(0), key: key.as_bytes(), value }
    }

    #[test]
    fn a_wanted_event_is_heard_also_with_a_byte_order_mark_and_broken_text() {
        for body in [BODY.as_bytes().to_vec(), [&BODY.as_bytes()[..BODY.len() - 2], b",\"x\":\"\xff\"}"].concat()] {
            let record = record("stripe/live/cus_1", &body);
            let opened = open(&record).unwrap().unwrap();
            assert_eq!((opened.id(), opened.scope.name.as_str()), (Some("sub_1"), "stripe"));
            assert!(matches!(opened.hear(&body), Heard::Subscription { second: 5, .. }));
        }
    }

    #[test]
    fn what_cannot_be_told_apart_is_said_in_words() {
        let error = |key, body| open(&record(key, body)).unwrap_err();
        assert_eq!(error("stripe/live/cus_1", b"[]"), "the body is no event");
        assert_eq!(error("cus_1", BODY.as_bytes()), "the record's key does not fit its event");
        assert_eq!(error("stripe/test/cus_1", BODY.as_bytes()), "the record's key does not fit its event");
    }

    #[test]
    fn a_body_nested_without_end_is_not_understood_and_no_crash() {
        let deep = BODY.replace("\"active\"", &format!("\"active\",\"x\":{}{}", "[".repeat(9000), "]".repeat(9000)));
        let record = record("stripe/live/cus_1", deep.as_bytes());
        let opened = open(&record).unwrap().unwrap();
        assert_eq!(opened.hear(deep.as_bytes()), Heard::NotUnderstood("the body is nested too deeply"));
    }

    #[test]
    fn other_events_are_not_wanted() {
        let invoice = br#"{"id":"evt_1","type":"invoice.paid","data":{"object":{"object":"invoice","id":"in_1"}}}"#;
        assert!(open(&record("whatever", invoice)).unwrap().is_none());
    }
}
