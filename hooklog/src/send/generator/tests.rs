//! What every stream must be like, read from its bodies as a stranger would.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::status::{Status, WAYS};
use super::{Event, Generator, Plan};

fn plan(events: u64) -> Plan {
    Plan { seed: 1, events, customers: events.div_ceil(25), same_second: false, size: None }
}

fn same_second(events: u64) -> Plan {
    Plan { same_second: true, ..plan(events) }
}

fn bodies(plan: Plan) -> Vec<Value> {
    let parsed = Generator::new(plan).map(|event| {
        assert!(!event.body.contains(&b'\n'));
        let value: Value = serde_json::from_slice(&event.body).expect("every body is JSON");
        assert_eq!(value["id"], event.id.as_str());
        value
    });
    parsed.collect()
}

fn object(event: &Value) -> &Value {
    &event["data"]["object"]
}

fn kind(event: &Value) -> &str {
    event["type"].as_str().expect("every event has a type")
}

fn of_subscriptions(events: &[Value]) -> impl Iterator<Item = &Value> {
    events.iter().filter(|event| kind(event).starts_with("customer.subscription."))
}

#[test]
fn a_seed_gives_the_same_bytes_for_ever() {
    let mut hash = Sha256::new();
    for event in Generator::new(plan(1_000)) {
        hash.update(&event.body);
        hash.update(b"\n");
    }
    assert_eq!(hex::encode(hash.finalize()), "e95f81aaf923f0d8c9ce2bcf445f0bcf1075ae87c0cad3a7e6f9ad366b72b222");
}

#[test]
fn another_seed_gives_other_ids() {
    let ids = |seed| Generator::new(Plan { seed, ..plan(500) }).map(|event| event.id).collect::<HashSet<_>>();
    assert!(ids(1).is_disjoint(&ids(2)));
}

#[test]
fn as_many_events_come_as_were_asked_for_each_with_its_own_id() {
    for (events, customers) in [(1, 1), (7, 3), (10, 50), (3_000, 4), (5_000, 2_500)] {
        let ids: HashSet<_> = Generator::new(Plan { customers, ..plan(events) }).map(|event| event.id).collect();
        assert_eq!(ids.len() as u64, events);
    }
}

#[test]
fn as_many_customers_come_as_were_asked_for() {
    let created =
        bodies(Plan { customers: 123, ..plan(2_000) }).iter().filter(|event| kind(event) == "customer.created").count();
    assert_eq!(created, 123);
}

#[test]
fn a_stream_far_longer_than_its_customers_lives_still_flows() {
    let stream = Generator::new(Plan { customers: 200_000, ..plan(400_000) });
    let (mut last, mut count) = (0, 0);
    for event in stream.skip(399_000) {
        let value: Value = serde_json::from_slice(&event.body).expect("JSON");
        last = value["created"].as_i64().unwrap_or(last);
        count += 1;
    }
    assert_eq!(count, 1_000);
    assert!(last > super::BEGINNING);
}

#[test]
fn every_kind_of_event_comes_up() {
    let kinds: HashSet<_> = bodies(plan(20_000)).iter().map(|event| kind(event).to_owned()).collect();
    for expected in [
        "customer.created",
        "customer.updated",
        "customer.deleted",
        "checkout.session.completed",
        "customer.subscription.created",
        "customer.subscription.updated",
        "customer.subscription.deleted",
        "customer.subscription.trial_will_end",
        "customer.subscription.paused",
        "customer.subscription.resumed",
        "invoice.created",
        "invoice.finalized",
        "invoice.paid",
        "invoice.payment_failed",
        "payment_intent.succeeded",
        "charge.succeeded",
        "charge.refunded",
        "refund.created",
        "charge.dispute.created",
        "charge.dispute.closed",
        "payment_method.attached",
        "entitlements.active_entitlement_summary.updated",
        "product.created",
        "price.created",
        "quantum_ledger.entry_posted",
        "v2.core.event_destination.ping",
    ] {
        assert!(kinds.contains(expected), "{expected}");
    }
}

#[test]
fn connect_accounts_test_mode_and_both_shapes_come_up() {
    let events = bodies(plan(5_000));
    let has = |what: &dyn Fn(&Value) -> bool| events.iter().any(what);
    assert!(has(&|event| event["account"].is_string()));
    assert!(has(&|event| event["livemode"] == false) && has(&|event| event["livemode"] == true));
    assert!(has(&|event| object(event)["parent"]["subscription_details"]["subscription"].is_string()));
    assert!(has(&|event| object(event)["object"] == "invoice" && object(event)["subscription"].is_string()));
    assert!(has(&|event| object(event)["items"]["data"][0]["current_period_end"].is_i64()));
    assert!(has(&|event| object(event)["object"] == "subscription" && object(event)["current_period_end"].is_i64()));
    assert!(has(&|event| object(event)["items"]["data"][1].is_object()));
    assert!(has(&|event| object(event)["entitlements"]["has_more"] == true));
}

#[test]
fn statuses_only_go_the_ways_of_the_table() {
    let named = |name: &Value| -> Status {
        let found = WAYS.iter().find(|(status, _)| *name == status.name());
        found.unwrap_or_else(|| panic!("{name} is a status")).0
    };
    for plan in [plan(20_000), same_second(20_000)] {
        let mut statuses: HashMap<String, Status> = HashMap::new();
        for event in of_subscriptions(&bodies(plan)) {
            let status = named(&object(event)["status"]);
            if let Some(before) = statuses.insert(object(event)["id"].to_string(), status) {
                assert!(before == status || before.leads_to(status), "{before:?} to {status:?}");
            }
        }
        let ends: HashSet<_> = statuses.into_values().collect();
        assert_eq!(ends.len(), WAYS.len(), "every status is somebody's last one: {ends:?}");
    }
}

/// Whether `object` shows what `previous` says: objects by the keys that are named, everything else whole.
fn shows(object: &Value, previous: &Value) -> bool {
    match (object, previous) {
        (Value::Object(object), Value::Object(previous)) => {
            previous.iter().all(|(key, value)| object.get(key).is_some_and(|object| shows(object, value)))
        }
        (object, previous) => object == previous,
    }
}

fn changed<'a>(before: &'a Map<String, Value>, now: &'a Map<String, Value>) -> impl Iterator<Item = &'a String> {
    now.iter().filter(|(key, value)| before.get(*key) != Some(value)).map(|(key, _)| key)
}

#[test]
fn previous_attributes_are_what_was_before_and_all_of_it() {
    for plan in [plan(10_000), same_second(10_000)] {
        let mut objects: HashMap<String, Value> = HashMap::new();
        let mut checked = 0;
        for event in bodies(plan) {
            let now = object(&event).clone();
            let Some(id) = now["id"].as_str().map(ToOwned::to_owned) else { continue };
            let before = objects.insert(id, now.clone());
            let Some(previous) = event["data"]["previous_attributes"].as_object() else { continue };
            let before = before.unwrap_or_else(|| panic!("{} is no object's first event", event["id"]));
            assert!(!previous.is_empty(), "{event}");
            assert!(shows(&before, &event["data"]["previous_attributes"]), "{event}\nbefore: {before}");
            let (before, now) = (before.as_object().expect("an object"), now.as_object().expect("an object"));
            for key in changed(before, now).filter(|key| *key != "metadata") {
                assert!(previous.contains_key(key), "{key} changed unsaid: {event}");
            }
            checked += 1;
        }
        assert!(checked > 500, "{checked}");
    }
}

#[test]
fn created_grows_strictly_for_each_object_unless_asked_otherwise() {
    let mut last: HashMap<String, i64> = HashMap::new();
    for event in bodies(plan(8_000)) {
        let (Some(id), Some(created)) = (object(&event)["id"].as_str(), event["created"].as_i64()) else { continue };
        if let Some(before) = last.insert(id.to_owned(), created) {
            assert!(before < created, "{event}");
        }
    }
}

#[test]
fn the_whole_stream_is_in_order_of_time() {
    let times: Vec<_> = bodies(plan(5_000)).iter().filter_map(|event| event["created"].as_i64()).collect();
    assert!(times.is_sorted());
}

/// Events of one subscription in one second, in their true order.
fn seconds(events: &[Value]) -> HashMap<(String, i64), Vec<&Value>> {
    let mut seconds: HashMap<_, Vec<_>> = HashMap::new();
    for event in of_subscriptions(events) {
        let created = event["created"].as_i64().expect("a snapshot event");
        seconds.entry((object(event)["id"].to_string(), created)).or_default().push(event);
    }
    seconds
}

/// Of the updates of one second, no later one could be taken for an earlier one's predecessor: their order is one only.
#[test]
fn within_a_second_the_order_can_be_told_from_the_bodies() {
    let events = bodies(same_second(20_000));
    let (mut bursts, mut longest) = (0, 0);
    for second in seconds(&events).values().filter(|second| second.len() > 1) {
        bursts += 1;
        longest = longest.max(second.len());
        let updates: Vec<_> = second.iter().filter(|event| event["data"]["previous_attributes"].is_object()).collect();
        for (place, update) in updates.iter().enumerate() {
            for later in &updates[place..] {
                assert!(!shows(object(later), &update["data"]["previous_attributes"]), "{later}\n{update}");
            }
        }
    }
    assert!(bursts > 500 && (4..=6).contains(&longest), "{bursts} bursts, the longest of {longest}");
}

#[test]
fn two_partial_refunds_add_up() {
    let events = bodies(plan(8_000));
    let mut refunded: HashMap<String, Vec<i64>> = HashMap::new();
    for event in events.iter().filter(|event| kind(event) == "charge.refunded") {
        let amount = object(event)["amount_refunded"].as_i64().expect("a number");
        refunded.entry(object(event)["id"].to_string()).or_default().push(amount);
    }
    assert!(refunded.values().any(|amounts| amounts.len() == 2 && amounts[1] == 2 * amounts[0]));
}

#[test]
fn bodies_are_as_large_as_real_ones_and_can_be_made_larger() {
    let sizes = |of: &str| {
        let events = bodies(plan(3_000));
        let sizes: Vec<_> =
            events.iter().filter(|event| object(event)["object"] == of).map(|event| event.to_string().len()).collect();
        assert!(sizes.iter().all(|size| (1_500..7_500).contains(size)), "{of}: {sizes:?}");
    };
    sizes("subscription");
    sizes("invoice");
    let padded = |event: Event| event.body.len() >= 2_048;
    assert!(Generator::new(Plan { size: Some(2_048), ..plan(3_000) }).all(padded));
}

#[test]
fn padding_changes_nothing_else() {
    let plain = bodies(plan(300));
    let padded = bodies(Plan { size: Some(5_000), ..plan(300) });
    for (plain, mut padded) in plain.into_iter().zip(padded) {
        for place in ["/data/object/metadata", "/data/object", "/data"] {
            if let Some(object) = padded.pointer_mut(place).and_then(Value::as_object_mut) {
                object.shift_remove("padding");
            }
        }
        assert_eq!(plain, padded);
    }
}

#[test]
fn the_digit_of_pending_webhooks_is_where_it_is_said_to_be() {
    for event in Generator::new(Plan { size: Some(2_048), ..plan(2_000) }) {
        let Some(at) = event.pending_webhooks_at else { continue };
        let mut body = event.body;
        assert!(body[..at].ends_with(br#""pending_webhooks":"#));
        body[at] = b'7';
        let value: Value = serde_json::from_slice(&body).expect("JSON");
        assert_eq!(value["pending_webhooks"], 7);
    }
}

#[test]
fn an_oracle_finds_customers_with_and_without_access_and_some_that_hang_on_the_rules() {
    let oracle = hooklog_oracle::Oracle::from_ordered(Generator::new(plan(20_000)).map(|event| event.body));
    let (lenient, strict) = (oracle.customers(true), oracle.customers(false));
    let granted =
        |customers: &std::collections::BTreeMap<_, bool>| customers.values().filter(|access| **access).count();
    assert_eq!(lenient.len(), 800);
    assert!((200..700).contains(&granted(&lenient)), "{}", granted(&lenient));
    assert!(granted(&strict) + 10 < granted(&lenient), "{} {}", granted(&strict), granted(&lenient));
}

/// The oracle and the pipeline's own table were written apart from each other: here they meet.
#[test]
fn every_event_gets_the_same_subject_from_the_pipeline_and_from_the_oracle() {
    let raw: Vec<_> = Generator::new(plan(20_000))
        .zip(0..)
        .map(|(event, offset)| hooklog_oracle::RawRecord {
            partition: 0,
            offset,
            namespace: "stripe".to_owned(),
            id: event.id,
            value: event.body,
            timestamp_ms: offset,
        })
        .collect();
    let expected = hooklog_oracle::expected_events(&raw);
    assert_eq!(expected.len(), raw.len());
    for event in &expected {
        let envelope = hooklog_schemas::Envelope::read(&event.value).expect("the generator's bodies are usable");
        assert_eq!(envelope.id, event.id);
        assert_eq!(hooklog_schemas::Subject::of(&envelope, "stripe").to_string(), event.key);
    }
}
