//! A record of `events`, heard.

use std::borrow::Cow;

use hooklog_schemas::{Envelope, Offset, Partition};

use crate::fold::event::{Label, Parsed, Wanted, parse, wanted};
use crate::fold::scope::Scope;
use crate::stripe::json::Json;
use crate::stripe::repair_json::repaired;

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
    // A thin event carries no object, whatever stands in its data.
    let wanted = wanted(kind, envelope.object.kind.as_deref()).filter(|_| !envelope.thin);
    let Some(wanted) = wanted else { return Ok(None) };
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
    pub fn parse(&self, body: &[u8]) -> Parsed {
        let text: Cow<'_, str> = String::from_utf8_lossy(body);
        match Json::read(&text) {
            Ok(tree) => self.hear_tree(&tree),
            Err(_) => Json::read(&repaired(&text))
                .map_or(Parsed::NotUnderstood("the body cannot be read"), |tree| self.hear_tree(&tree)),
        }
    }

    fn hear_tree(&self, tree: &Json<'_>) -> Parsed {
        let kind = self.envelope.kind.as_deref().unwrap_or_default();
        let label = Label { id: &self.envelope.id, kind, created: tree.get("created").second() };
        parse(label, self.wanted, tree.get("data"))
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
            assert!(matches!(opened.parse(&body), Parsed::Subscription { second: 5, .. }));
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
    fn what_ingest_skips_over_keeps_no_event_from_being_heard() {
        let nested = format!("{}{}", "[".repeat(9000), "]".repeat(9000));
        for odd in [nested.as_str(), r#""half a pair \ud83d""#, "1e999", r#"{"created":-1E+999}"#] {
            let body = BODY.replace("\"active\"", &format!("\"active\",\"x\":{odd}"));
            let record = record("stripe/live/cus_1", body.as_bytes());
            let heard = open(&record).unwrap().unwrap().parse(body.as_bytes());
            assert!(matches!(heard, Parsed::Subscription { second: 5, .. }), "{odd} {heard:?}");
        }
    }

    #[test]
    fn an_object_without_its_type_is_what_the_events_type_says() {
        let body = BODY.replace(r#""object":"subscription","#, "");
        let record = record("stripe/live/sub_1", body.as_bytes());
        let opened = open(&record).unwrap().unwrap();
        assert_eq!((opened.wanted, opened.id()), (Wanted::Subscription, Some("sub_1")));
        assert!(matches!(opened.parse(body.as_bytes()), Parsed::Subscription { .. }));
    }

    #[test]
    fn a_thin_event_is_kept_apart_whatever_it_carries() {
        let body = BODY.replace(r#""id":"evt_1","#, r#""id":"evt_1","object":"v2.core.event","#);
        assert!(open(&record("stripe/live/evt_1", body.as_bytes())).unwrap().is_none());
    }

    #[test]
    fn other_events_are_not_wanted() {
        let invoice = br#"{"id":"evt_1","type":"invoice.paid","data":{"object":{"object":"invoice","id":"in_1"}}}"#;
        assert!(open(&record("whatever", invoice)).unwrap().is_none());
    }
}
