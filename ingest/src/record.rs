//! A record of `raw` before it is written.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use hooklog_schemas::{Millis, Namespace, header};

/// What one accepted webhook becomes in `raw`.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Record {
    /// The event's id: the record's key.
    pub id: String,
    /// The body as it came.
    pub body: Bytes,
    pub namespace: Namespace,
    pub source: Arc<str>,
    /// When the whole body was here.
    pub received_at: Millis,
    /// Epoch seconds, the signature's own.
    pub signature_time: i64,
    pub traceparent: String,
}

impl Record {
    /// Every header of the record. All are always there, so that a reader can tell a foreign record by a missing one.
    pub(crate) fn headers(&self) -> [(&'static str, String); 6] {
        [
            (header::NAMESPACE, self.namespace.to_string()),
            (header::SOURCE, self.source.to_string()),
            (header::RECEIVED_AT, self.received_at.to_string()),
            (header::SIGNATURE_TIME, self.signature_time.to_string()),
            (header::ENCRYPTION, header::ENCRYPTION_NONE.to_owned()),
            (header::TRACEPARENT, self.traceparent.clone()),
        ]
    }
}

/// Without the body: it tells of people.
impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = self.body.len();
        f.debug_struct("Record").field("id", &self.id).field("source", &self.source).field("size", &size).finish()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    #[test]
    fn a_record_shows_nothing_of_its_body() {
        let record = Record { body: Bytes::from_static(b"canary"), ..record("evt_1") };
        assert!(format!("{record:?}").contains("evt_1") && !format!("{record:?}").contains("canary"));
        assert!(!format!("{record:?}").contains(&format!("{:?}", b"canary")));
    }

    pub(crate) fn record(id: &str) -> Record {
        Record {
            id: id.to_owned(),
            body: Bytes::from(format!("{{\"id\":\"{id}\"}}")),
            namespace: Namespace::default(),
            source: "shop".into(),
            received_at: Millis(1_800_000_000_123),
            signature_time: 1_800_000_000,
            traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned(),
        }
    }

    #[test]
    fn the_headers_are_those_that_were_promised_for_ever() {
        let written = record("evt_1").headers().map(|(name, value)| format!("{name}={value}"));
        assert_eq!(
            written,
            [
                "hooklog_namespace=stripe",
                "hooklog_source=shop",
                "hooklog_received_at=1800000000123",
                "hooklog_signature_time=1800000000",
                "hooklog_enc=none",
                "traceparent=00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            ]
        );
    }
}
