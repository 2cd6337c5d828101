//! From `hooklog send` to `events`: what `raw` says must be there, each once, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hooklog_log::{native, partition_for};
use hooklog_oracle::{Expected, expected_events};
use hooklog_test_support::{Broker, Record, Site};
use rdkafka::admin::AdminClient;
use rdkafka::client::DefaultClientContext;
use serde_json::Value;

const HOOKLOG: &str = env!("CARGO_BIN_EXE_hooklog");
const PARTITIONS: u32 = 4;
const EVENTS: usize = 2_000;

/// What an earlier part of the pipeline says of a record: everything but the headers.
type Content<'r> = (&'r str, &'r [u8], (i32, i64), i64);

fn position(event: &Record) -> (i32, i64) {
    let text = event.header("hooklog_position").expect("every event has its position");
    let (partition, offset) = text.strip_prefix("raw/").and_then(|rest| rest.split_once('/')).expect(text);
    (partition.parse().expect(text), offset.parse().expect(text))
}

fn of_event(event: &Record) -> Content<'_> {
    (&event.key, &event.value, position(event), event.timestamp)
}

fn of_expected(expected: &Expected) -> Content<'_> {
    (&expected.key, &expected.value, expected.position, expected.time_ms)
}

fn holds_what_raw_says(raw: &[Record], events: &[Record]) {
    let raw: Vec<_> = raw.iter().map(Record::as_raw).collect();
    let expected = expected_events(&raw);
    let mut found: Vec<_> = events.iter().map(of_event).collect();
    found.sort_by_key(|(_, _, position, _)| *position);
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.into_iter().zip(expected.iter().map(of_expected)) {
        assert_eq!(found, expected);
    }
}

fn positions_only_grow(events: &[Record]) {
    let mut highest: BTreeMap<(i32, i32), i64> = BTreeMap::new();
    for event in events {
        let (from, offset) = position(event);
        let before = highest.insert((event.partition, from), offset);
        assert!(before.is_none_or(|before| before < offset), "{offset} after {before:?} in {event:?}");
    }
}

fn stands_where_javas_default_partitioner_puts_it(event: &Record) {
    assert_eq!(event.partition, partition_for(event.key.as_bytes(), PARTITIONS).0, "{event:?}");
}

/// RFC 3339, from epoch seconds or ISO 8601.
fn time(created: &Value) -> String {
    let moment = match created.as_i64() {
        Some(seconds) => jiff::Timestamp::from_second(seconds).unwrap(),
        None => created.as_str().unwrap().parse().unwrap(),
    };
    moment.to_string()
}

fn topic_id(topic: &str) -> String {
    let admin: AdminClient<DefaultClientContext> = Broker::shared(HOOKLOG).client().create().unwrap();
    let ids = native::topic_ids(admin.inner(), &[topic], Duration::from_secs(30)).unwrap();
    ids[0].clone().expect("the topic is there").0
}

/// Worked out from the parsed body, by the names of the contract.
fn own_headers(event: &Record, log: &str) -> BTreeMap<String, String> {
    let body: Value = serde_json::from_slice(&event.value).unwrap();
    let text = |value: &Value| value.as_str().map(str::to_owned);
    // Thin events have no data object, and their time as text.
    let is_thin = body["object"] == "v2.core.event";
    let about = if is_thin { &body["related_object"]["id"] } else { &body["data"]["object"]["id"] };
    // An account alone, in what `send` makes up.
    let account = if is_thin { &body["context"] } else { &body["account"] };
    let position = position(event);
    let all = [
        ("ce_specversion", Some("1.0".to_owned())),
        ("ce_id", text(&body["id"])),
        ("ce_type", text(&body["type"])),
        ("ce_source", Some("/sources/stripe".to_owned())),
        ("ce_time", Some(time(&body["created"]))),
        ("ce_subject", text(about)),
        ("content-type", Some("application/json".to_owned())),
        ("hooklog_position", Some(format!("raw/{}/{}", position.0, position.1))),
        ("hooklog_log", Some(log.to_owned())),
        ("hooklog_account", text(account)),
        ("hooklog_livemode", Some((body["livemode"] == true).to_string())),
    ];
    all.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

fn raws_headers_are_whole(raw: &Record) {
    let header = |name| raw.header(name).unwrap_or_else(|| panic!("no {name}: {raw:?}"));
    assert_eq!((header("hooklog_namespace"), header("hooklog_source")), ("stripe", "stripe"));
    assert_eq!(header("hooklog_enc"), "none");
    let (received, signed): (i64, i64) =
        (header("hooklog_received_at").parse().unwrap(), header("hooklog_signature_time").parse().unwrap());
    assert!((received / 1_000 - signed).abs() < 300, "{raw:?}");
    let trace: Vec<usize> = header("traceparent").split('-').map(str::len).collect();
    assert_eq!(trace, [2, 32, 16, 2], "{raw:?}");
    assert_eq!(raw.headers.len(), 6, "{raw:?}");
}

fn headers_are_raws_and_our_own(event: &Record, raw: &Record, log: &str) {
    let mut expected: BTreeMap<String, String> = raw.headers.iter().cloned().collect();
    expected.extend(own_headers(event, log));
    assert_eq!(event.headers.len(), expected.len(), "one too many or too few: {event:?}");
    assert_eq!(event.headers.iter().cloned().collect::<BTreeMap<_, _>>(), expected);
}

#[test]
fn what_was_sent_twice_and_out_of_order_is_in_events_once_as_raw_says_with_every_header() {
    let site = Site::on(Broker::shared(HOOKLOG), HOOKLOG);
    let up = site.up();
    let acks = site.file("acks");
    let sent = ["--events", "2000", "--duplicates", "0.2", "--shuffle", "--seed", "1", "--concurrency", "96", "--acks"];
    let report = site.send(&[&sent[..], &[acks.to_str().unwrap()]].concat());
    assert_eq!(
        (&report["posts"], &report["acked"], &report["acked_events"]),
        (&2400.into(), &2400.into(), &2000.into())
    );
    let (raw, events) = site.processed(up.brokers());
    assert_eq!((raw.len(), events.len()), (2_400, EVENTS));
    holds_what_raw_says(&raw, &events);
    positions_only_grow(&events);
    let log = topic_id(&site.topics().raw());
    let by_position: BTreeMap<_, _> = raw.iter().map(|record| ((record.partition, record.offset), record)).collect();
    raw.iter().for_each(raws_headers_are_whole);
    for event in &events {
        stands_where_javas_default_partitioner_puts_it(event);
        headers_are_raws_and_our_own(event, by_position[&position(event)], &log);
    }
    let acked = std::fs::read_to_string(acks).unwrap();
    let acked: BTreeSet<&str> = acked.lines().collect();
    assert_eq!(acked, events.iter().map(|event| event.header("ce_id").unwrap()).collect());
    let audit = site.audit();
    assert_eq!((&audit["raw"], &audit["unique"], &audit["events"]), (&2400.into(), &2000.into(), &2000.into()));
}
