//! What `events` must hold, given `raw`.

use std::collections::HashMap;

use serde_json::Value;

use crate::fields::{id, is_live, is_thin, object, parse, text};

/// An identity is a duplicate while it was seen within so many milliseconds: 35 days.
pub const WINDOW_MS: i64 = 35 * 24 * 60 * 60 * 1_000;

/// A record of `raw`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawRecord {
    /// Of `raw`.
    pub partition: i32,
    /// Of the record itself.
    pub offset: i64,
    /// Its header `hooklog_namespace`.
    pub namespace: String,
    /// Its key, the event's id.
    pub id: String,
    /// The body.
    pub value: Vec<u8>,
    /// The record's timestamp, epoch milliseconds.
    pub timestamp_ms: i64,
}

/// A record that must be in `events`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// `<scope>/<live|test>/<subject>`
    pub key: String,
    /// The event's id.
    pub id: String,
    /// The first body with this identity, byte for byte.
    pub value: Vec<u8>,
    /// Partition and offset in `raw`, as `hooklog_position` names them.
    pub position: (i32, i64),
    /// T': the record's timestamp, or the largest before it in its partition.
    pub time_ms: i64,
}

/// What `events` must hold once all of `raw` is processed, in the order of `raw`'s partitions and offsets. Once per identity
/// in any 35 days: a repeat within them is dropped, and counts as seen.
///
/// # Panics
/// Where one identity is on two partitions: ingest's partitioner forbids it, and no per-partition dedup could find it.
pub fn expected_events(raw: &[RawRecord]) -> Vec<Expected> {
    let mut ordered: Vec<&RawRecord> = raw.iter().collect();
    ordered.sort_by_key(|record| (record.partition, record.offset));
    let mut newest: HashMap<i32, i64> = HashMap::new();
    let mut seen: HashMap<(&str, &str), (i32, i64)> = HashMap::new();
    let mut expected = Vec::new();
    for record in ordered {
        let newest = newest.entry(record.partition).or_insert(record.timestamp_ms);
        let time_ms = record.timestamp_ms.max(*newest);
        *newest = time_ms;
        let before = seen.insert((&record.namespace, &record.id), (record.partition, time_ms));
        assert!(
            before.is_none_or(|(partition, _)| partition == record.partition),
            "{} is on two partitions of raw",
            record.id
        );
        if before.is_none_or(|(_, last)| last <= time_ms - WINDOW_MS) {
            expected.push(expect(record, time_ms));
        }
    }
    expected
}

fn expect(record: &RawRecord, time_ms: i64) -> Expected {
    Expected {
        key: key(record),
        id: record.id.clone(),
        value: record.value.clone(),
        position: (record.partition, record.offset),
        time_ms,
    }
}

fn key(record: &RawRecord) -> String {
    let event = parse(&record.value).unwrap_or(Value::Null);
    let scope = account(&event).unwrap_or_else(|| record.namespace.clone());
    let mode = if is_live(&event) { "live" } else { "test" };
    let subject = subject(&event).unwrap_or_else(|| record.id.clone());
    format!("{scope}/{mode}/{subject}")
}

/// The Connect account: `account`, and of a thin event the last one on the path `context`.
fn account(event: &Value) -> Option<String> {
    let path = event["context"].as_str().filter(|_| is_thin(event)).unwrap_or_default();
    let last = path.split('/').rfind(|part| part.len() > 5 && part.starts_with("acct_"));
    last.map(str::to_owned).or_else(|| text(&event["account"]))
}

/// What hangs on a customer, by the type of its object alone.
const OF_A_CUSTOMER: &[&str] = &[
    "tax_id",
    "discount",
    "source",
    "cash_balance",
    "subscription",
    "subscription_schedule",
    "subscription_item",
    "invoice",
    "invoiceitem",
    "credit_note",
    "entitlements.active_entitlement_summary",
    "billing_portal.session",
];

/// What hangs on a payment.
const OF_A_PAYMENT: &[&str] =
    &["charge", "refund", "dispute", "review", "radar.early_fraud_warning", "invoice_payment"];

fn subject(event: &Value) -> Option<String> {
    if is_thin(event) {
        return id(&event["related_object"]);
    }
    let object = object(event);
    let kind = object["object"].as_str().unwrap_or_default();
    let named = if OF_A_CUSTOMER.contains(&kind) {
        id(&object["customer"])
    } else if kind == "charge" {
        id(&object["payment_intent"])
    } else if OF_A_PAYMENT.contains(&kind) {
        payment_root(object)
    } else {
        None
    };
    named.or_else(|| text(&object["id"]))
}

/// The payment intent, else the charge; an `invoice_payment` has them one level down.
fn payment_root(object: &Value) -> Option<String> {
    let either = |of: &Value, field: &str| id(&of[field]).or_else(|| id(&of["payment"][field]));
    either(object, "payment_intent").or_else(|| either(object, "charge"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const DAY: i64 = 24 * 60 * 60 * 1_000;

    fn record(offset: i64, id: &str, timestamp_ms: i64) -> RawRecord {
        let value = format!(r#"{{"id":"{id}","offset":{offset}}}"#).into_bytes();
        RawRecord { partition: 0, offset, namespace: "stripe".to_owned(), id: id.to_owned(), value, timestamp_ms }
    }

    fn kept(raw: &[RawRecord]) -> Vec<i64> {
        expected_events(raw).iter().map(|expected| expected.position.1).collect()
    }

    fn key_of(event: &Value) -> String {
        let value = event.to_string().into_bytes();
        expected_events(&[RawRecord { value, ..record(0, "evt_1", 0) }]).remove(0).key
    }

    fn with_object(object: &Value) -> String {
        key_of(&json!({"id": "evt_1", "object": "event", "livemode": true, "data": {"object": object}}))
    }

    #[test]
    fn the_first_body_of_an_identity_is_kept() {
        let raw = [record(0, "a", 0), record(1, "b", 0), record(2, "a", 5)];
        assert_eq!(kept(&raw), [0, 1]);
        assert_eq!(expected_events(&raw)[0].value, raw[0].value);
    }

    #[test]
    fn a_repeat_refreshes_the_window() {
        assert_eq!(kept(&[record(0, "a", 0), record(1, "a", 20 * DAY), record(2, "a", 36 * DAY)]), [0]);
        assert_eq!(kept(&[record(0, "a", 0), record(1, "a", 20 * DAY), record(2, "a", 56 * DAY)]), [0, 2]);
    }

    #[test]
    fn the_window_ends_after_exactly_thirty_five_days() {
        assert_eq!(kept(&[record(0, "a", 0), record(1, "a", WINDOW_MS - 1)]), [0]);
        assert_eq!(kept(&[record(0, "a", 0), record(1, "a", WINDOW_MS)]), [0, 1]);
    }

    #[test]
    fn time_never_runs_backwards_within_a_partition() {
        let raw = [record(0, "a", 50 * DAY), record(1, "b", 0), record(2, "b", 36 * DAY)];
        assert_eq!(kept(&raw), [0, 1]);
        assert_eq!(expected_events(&raw)[1].time_ms, 50 * DAY);
        let other = RawRecord { partition: 1, ..record(3, "c", 7) };
        assert_eq!(expected_events(&[&raw[..], &[other]].concat())[2].time_ms, 7);
    }

    #[test]
    fn records_are_taken_by_offset_and_namespaces_are_apart() {
        assert_eq!(kept(&[record(2, "a", 9), record(1, "a", 9)]), [1]);
        let other = RawRecord { namespace: "other".to_owned(), ..record(1, "a", 0) };
        assert_eq!(kept(&[record(0, "a", 0), other]), [0, 1]);
    }

    #[test]
    #[should_panic(expected = "two partitions")]
    fn one_identity_on_two_partitions_is_loud() {
        expected_events(&[record(0, "a", 0), RawRecord { partition: 1, ..record(0, "a", 0) }]);
    }

    #[test]
    fn what_hangs_on_a_customer_goes_to_it() {
        assert_eq!(with_object(&json!({"object": "customer", "id": "cus_1"})), "stripe/live/cus_1");
        assert_eq!(
            with_object(&json!({"object": "subscription", "id": "sub_1", "customer": "cus_1"})),
            "stripe/live/cus_1"
        );
        assert_eq!(
            with_object(&json!({"object": "invoice", "id": "in_1", "customer": {"id": "cus_2"}})),
            "stripe/live/cus_2"
        );
        assert_eq!(
            with_object(&json!({"object": "entitlements.active_entitlement_summary", "customer": "cus_1"})),
            "stripe/live/cus_1"
        );
    }

    #[test]
    fn payments_go_to_their_root_and_never_to_a_customer() {
        let charge = json!({"object": "charge", "id": "ch_1", "payment_intent": "pi_1", "customer": "cus_1"});
        assert_eq!(with_object(&charge), "stripe/live/pi_1");
        assert_eq!(with_object(&json!({"object": "charge", "id": "ch_1", "payment_intent": null})), "stripe/live/ch_1");
        assert_eq!(
            with_object(&json!({"object": "payment_intent", "id": "pi_1", "customer": "c"})),
            "stripe/live/pi_1"
        );
        assert_eq!(with_object(&json!({"object": "refund", "id": "re_1", "charge": "ch_1"})), "stripe/live/ch_1");
        assert_eq!(with_object(&json!({"object": "dispute", "id": "du_1"})), "stripe/live/du_1");
        let nested = json!({"object": "invoice_payment", "id": "inpay_1", "payment": {"payment_intent": "pi_1"}});
        assert_eq!(with_object(&nested), "stripe/live/pi_1");
    }

    #[test]
    fn the_rest_goes_by_its_own_id_else_by_the_events() {
        let session = json!({"object": "checkout.session", "id": "cs_1", "customer": "cus_1"});
        assert_eq!(with_object(&session), "stripe/live/cs_1");
        assert_eq!(with_object(&json!({"object": "novelty"})), "stripe/live/evt_1");
        assert_eq!(with_object(&json!({"object": "subscription_item", "id": "si_1"})), "stripe/live/si_1");
    }

    #[test]
    fn thin_events_go_by_what_they_are_about() {
        let thin = |related: Value| key_of(&json!({"object": "v2.core.event", "related_object": related}));
        assert_eq!(thin(json!({"id": "ed_1"})), "stripe/test/ed_1");
        assert_eq!(thin(Value::Null), "stripe/test/evt_1");
        let within = |context: Value| key_of(&json!({"object": "v2.core.event", "context": context}));
        assert_eq!(within(json!("acct_1")), "acct_1/test/evt_1");
        assert_eq!(within(json!("org_1/acct_1")), "acct_1/test/evt_1");
        assert_eq!(within(json!("org_1")), "stripe/test/evt_1");
    }

    #[test]
    fn the_account_is_the_scope_and_a_mark_before_the_body_is_no_hindrance() {
        let body = "\u{feff}{\"account\":\"acct_1\",\"livemode\":true,\"data\":{\"object\":{\"object\":\"price\",\"id\":\"p\"}}}\r\n";
        let raw = [RawRecord { value: body.into(), ..record(0, "evt_1", 0) }];
        assert_eq!(expected_events(&raw)[0].key, "acct_1/live/p");
        assert_eq!(expected_events(&raw)[0].value, body.as_bytes());
    }
}
