//! Ingest against the real broker: what is answered, what stands in `raw`, and what never does.

mod served;

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::thread;

use hooklog_log::{Topics, partition_for};
use hooklog_schemas::RawPosition;
use hooklog_test_support::{Broker, Port, Program, unique_prefix, wait_until};
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use served::{Answer, Ingest, PARTITIONS, PATIENCE, SECRET, now, post, signed, v1};

const HOOKLOG: &str = env!("CARGO_BIN_EXE_hooklog");

#[test]
fn what_is_acknowledged_stands_in_raw_byte_for_byte_where_the_answer_says() {
    let ingest = Ingest::ready(Broker::shared(HOOKLOG).address());
    let bodies: [(&str, &[u8]); 9] = [
        ("evt_plain", br#"{"id":"evt_plain","type":"invoice.paid"}"#),
        ("evt_bom", b"\xef\xbb\xbf{\"id\":\"evt_bom\"}"),
        ("evt_crlf", b"{\r\n  \"id\": \"evt_crlf\"\r\n}\r\n"),
        ("evt_odd", b"\t { \"b\" :1.00 ,\n\n\"id\"\t:  \"evt_odd\",\"b\":2 }  "),
        ("evt_utf8", "{\"id\":\"evt_utf8\",\"name\":\"Zoë 東京 \u{1f600}\"}".as_bytes()),
        ("evt_latin1", b"{\"id\":\"evt_latin1\",\"name\":\"Zo\xeb\"}"),
        ("evt_newline", b"{\"id\":\"evt_newline\"}\n"),
        ("evt_thin", br#"{"id":"evt_thin","object":"v2.core.event","created":"2026-01-01T00:00:00.000Z"}"#),
        ("evt_unknown", br#"{"id":"evt_unknown","type":"never.heard.of","api_version":"3026-01-01","livemode":"?"}"#),
    ];
    let answers: Vec<Answer> = bodies.iter().map(|(_, body)| ingest.post(body)).collect();
    let raw = ingest.raw();
    assert_eq!(raw.len(), bodies.len());
    for ((id, body), answer) in bodies.iter().zip(&answers) {
        assert_eq!(answer.json()["id"], *id);
        let position = answer.position();
        let record = raw.get(&position).unwrap_or_else(|| panic!("{position} of {id} in {raw:?}"));
        assert_eq!((record.key.as_slice(), record.value.as_slice()), (id.as_bytes(), *body));
        let partition = position.parse::<RawPosition>().unwrap().partition;
        assert_eq!(partition, partition_for(id.as_bytes(), PARTITIONS));
    }
    ingest.end().unwrap();
}

#[test]
fn the_headers_in_raw_are_the_promised_ones() {
    let ingest = Ingest::ready(Broker::shared(HOOKLOG).address());
    let (before, body) = (now(), br#"{"id":"evt_1"}"#.as_slice());
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let time = now() - 100;
    let given =
        ingest.post_to("shop", &signed(SECRET, time, body), body, &format!("traceparent: {trace}\r\n")).position();
    let begun = ingest.post_to("b", &signed("whsec_b", time, body), body, "traceparent: nonsense\r\n").position();
    let raw = ingest.raw();
    let names = [
        "hooklog_namespace",
        "hooklog_source",
        "hooklog_received_at",
        "hooklog_signature_time",
        "hooklog_enc",
        "traceparent",
    ];
    for (position, source) in [(&given, "shop"), (&begun, "b")] {
        let headers = &raw[position].headers;
        assert_eq!(headers.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), names);
        let value = |at: usize| headers[at].1.as_str();
        assert_eq!((value(0), value(1), value(3), value(4)), ("stripe", source, time.to_string().as_str(), "none"));
        let received: i64 = value(2).parse().unwrap();
        assert!((before * 1000..=now() * 1000 + 999).contains(&received), "{received}");
    }
    assert_eq!(raw[&given].headers[5].1, trace);
    let begun = &raw[&begun].headers[5].1;
    assert!(begun.len() == 55 && begun.starts_with("00-") && begun.ends_with("-00"), "{begun}");
}

#[test]
fn nothing_that_is_refused_reaches_kafka() {
    let ingest = Ingest::ready(Broker::shared(HOOKLOG).address());
    let body = br#"{"id":"evt_1","type":"invoice.paid"}"#;
    let time = now();
    let good = v1(SECRET, time, body);
    let mut flipped = body.to_vec();
    flipped[8] ^= 1;
    let respaced = br#"{"id": "evt_1", "type": "invoice.paid"}"#;
    for (header, body) in [
        (String::new(), body.as_slice()),
        (format!("t={time},v0={good}"), body),
        (format!("v1={good}"), body),
        (format!("t=,v1={good}"), body),
        (format!("t={time},v1="), body),
        (format!("t={time},t={time},v1={good}"), body),
        (signed(SECRET, time - 310, body), body),
        (signed(SECRET, time + 310, body), body),
        (signed("whsec_b", time, body), body),
        (format!("t={time},v1={good}"), &flipped),
        (format!("t={time},v1={good}"), respaced),
    ] {
        let answer = ingest.post_to("shop", &header, body, "");
        assert_eq!(answer.status, 400, "{header}: {answer:?}");
    }
    for unusable in [b"[]".as_slice(), b"", b"{}", br#"{"id":1}"#, br#"{"id":"evt_1"}x"#] {
        assert_eq!(ingest.post(unusable).status, 422);
    }
    assert_eq!(ingest.post(&vec![b' '; (1 << 20) + 1]).status, 413);
    assert_eq!(ingest.post_to("none", &signed(SECRET, time, body), body, "").status, 404);
    let marker = ingest.post(br#"{"id":"evt_marker"}"#).position();
    assert_eq!(ingest.raw().keys().collect::<Vec<_>>(), [&marker]);
}

#[test]
fn every_order_of_signatures_each_secret_and_each_repetition_is_taken_in() {
    let ingest = Ingest::ready(Broker::shared(HOOKLOG).address());
    let body = br#"{"id":"evt_1"}"#;
    let other = br#"{"id":"evt_1","pending_webhooks":2}"#;
    let time = now();
    let (good, junk) = (format!("v1={}", v1(SECRET, time, body)), format!("v1={}", "0".repeat(64)));
    let mut positions = BTreeSet::new();
    for items in [[&good, &junk], [&junk, &good]] {
        let header = format!("t={time},{},{},v0=1,v9=2", items[0], items[1]);
        positions.insert(ingest.post_to("shop", &header, body, "").position());
    }
    for (secret, time, body) in [("whsec_old", time, &body[..]), (SECRET, time - 290, body), (SECRET, time, other)] {
        positions.insert(ingest.post_to("shop", &signed(secret, time, body), body, "").position());
    }
    assert_eq!(ingest.raw().keys().cloned().collect::<BTreeSet<_>>(), positions);
    assert_eq!(positions.len(), 5);
}

#[test]
fn the_largest_body_that_is_taken_fits_through_kafka() {
    let ingest = Ingest::ready(Broker::shared(HOOKLOG).address());
    // Bytes that no compression makes smaller: the topic must take them as they are.
    let mut state = 1_u64;
    let noise = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_"[(state >> 58) as usize]
    });
    let mut body = br#"{"id":"evt_large","noise":""#.to_vec();
    let room = (1 << 20) - body.len() - 2;
    body.extend(noise.take(room));
    body.extend(b"\"}");
    assert_eq!(body.len(), 1 << 20);
    let position = ingest.post(&body).position();
    assert!(ingest.raw()[&position].value == body);
}

#[test]
fn many_at_once_each_get_the_position_of_their_own_record() {
    let ingest = Ingest::ready(Broker::shared(HOOKLOG).address());
    let (address, senders, each) = (ingest.address, 16, 40);
    let threads: Vec<_> = (0..senders)
        .map(|sender| {
            thread::spawn(move || {
                let one = |n| {
                    let body = format!("{{\"id\":\"evt_{sender}_{n}\"}}");
                    let answer = post(address, "shop", &signed(SECRET, now(), body.as_bytes()), body.as_bytes(), "");
                    (answer.position(), body)
                };
                (0..each).map(one).collect::<Vec<_>>()
            })
        })
        .collect();
    let acked: BTreeMap<String, String> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
    let raw = ingest.raw();
    assert_eq!((acked.len(), raw.len()), (senders * each, senders * each));
    assert!(acked.iter().all(|(position, body)| raw[position].value == body.as_bytes()));
}

#[test]
fn without_kafka_it_lives_is_not_ready_and_answers_503_in_time() {
    let ingest = Ingest::without_raw("127.0.0.1:1", Topics::default());
    let answer = ingest.post(br#"{"id":"evt_1"}"#);
    assert_eq!((answer.status, answer.head.contains("retry-after: ")), (503, true), "{answer:?}");
    assert_eq!((ingest.get("/healthz").status, ingest.get("/readyz").status), (200, 503));
    ingest.end().unwrap();
}

#[test]
fn a_topic_that_is_not_there_is_503_and_is_not_made_by_writing_to_it() {
    let broker = Broker::shared(HOOKLOG);
    let ingest = Ingest::without_raw(broker.address(), Topics::with_prefix(unique_prefix()));
    assert_eq!(ingest.post(br#"{"id":"evt_1"}"#).status, 503);
    let readiness = ingest.get("/readyz");
    assert_eq!(readiness.status, 503);
    assert!(readiness.body.contains(&ingest.topics.raw()) || readiness.body.contains("Kafka"), "{readiness:?}");
    let consumer: BaseConsumer = broker.client().set("group.id", "e2e").create().unwrap();
    let all = consumer.fetch_metadata(None, PATIENCE).unwrap();
    assert!(!all.topics().iter().any(|topic| topic.name() == ingest.topics.raw()));
}

/// The broker answers and refuses, as it does where only reading is allowed.
#[test]
fn a_topic_that_takes_no_writes_is_503_until_it_does() {
    let broker = Broker::shared(HOOKLOG);
    let ingest = Ingest::ready(broker.address());
    let room_for = |bytes: &str| {
        let admin: AdminClient<DefaultClientContext> = broker.client().create().unwrap();
        let topic = ingest.topics.raw();
        let change = AlterConfig::new(ResourceSpecifier::Topic(&topic)).set("max.message.bytes", bytes);
        let altered = ingest.runtime.block_on(admin.alter_configs([&change], &AdminOptions::new())).unwrap();
        assert!(altered.iter().all(Result::is_ok), "{altered:?}");
    };
    room_for("10");
    let refused = wait_until("the topic refuses", || {
        let answer = ingest.post(br#"{"id":"evt_refused"}"#);
        (answer.status != 200).then_some(answer)
    });
    assert_eq!((refused.status, refused.head.contains("retry-after: ")), (503, true), "{refused:?}");
    room_for("2097152");
    let body = br#"{"id":"evt_taken"}"#;
    let position = wait_until("the topic takes it", || {
        let answer = ingest.post(body);
        (answer.status == 200).then(|| answer.position())
    });
    assert_eq!(ingest.raw()[&position].value, body);
}

#[test]
fn a_broker_that_goes_and_comes_back_costs_503s_and_nothing_that_was_acknowledged() {
    let place = tempfile::tempdir().unwrap();
    let port = Port::reserve();
    let broker = || {
        let mut command = Command::new(HOOKLOG);
        command
            .args(["broker", "run", "--kafka-port", &port.number().to_string(), "--data-dir"])
            .arg(place.path().join("data"));
        Program::spawn(command).unwrap_or_else(|refused| panic!("{refused}"))
    };
    let first = broker();
    let ingest = Ingest::ready(&port.address());
    let mut acked = vec![ingest.post(br#"{"id":"evt_before"}"#).position()];
    first.stop();
    let during = ingest.post(br#"{"id":"evt_during"}"#);
    assert_eq!((during.status, during.head.contains("retry-after: ")), (503, true), "{during:?}");
    wait_until("ingest notices", || (ingest.get("/readyz").status == 503).then_some(()));
    let second = broker();
    ingest.wait_until_ready();
    acked.push(ingest.post(br#"{"id":"evt_after"}"#).position());
    let raw = ingest.raw();
    assert!(acked.iter().all(|position| raw.contains_key(position)), "{acked:?} in {raw:?}");
    // The one without an answer may be there once, never twice.
    assert!(raw.values().filter(|record| record.key == b"evt_during").count() <= 1);
    ingest.end().unwrap();
    second.stop();
}
