use hooklog_schemas::{Offset, Partition};
use hooklog_store::{Registry, Store};
use hooklog_task::Record;
use hooklog_task::fold::testing::fold_and_apply;
use proptest::prelude::*;

use super::*;

const BODY: &[u8] = br#"{"id":"evt_1","object":"event","created":1767225600,"livemode":true,"type":"invoice.paid",
"data":{"object":{"id":"in_1","object":"invoice","customer":"cus_1"}}}"#;

fn dedup() -> Dedup {
    Dedup { window: WINDOW, partitions: 4, log: "log-id".to_owned() }
}

fn input<'a>(offset: i64, time: Millis, key: &'a str, value: &'a [u8]) -> Input<'a> {
    let headers = vec![(header::NAMESPACE, &b"stripe"[..]), (header::SOURCE, b"main"), (header::RECEIVED_AT, b"7")];
    Input { partition: Partition(2), offset: Offset(offset), time, key: Some(key.as_bytes()), value, headers }
}

/// A real store in a directory of its own.
fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Registry::with_memory(32 << 20).open(&dir.path().join("s"), dedup().layout(), "t").expect("a store");
    (dir, store)
}

fn fold(store: &Store, batch: &[Input<'_>]) -> Vec<i64> {
    effects(store, batch).0
}

/// What a batch suspects: first and again.
fn suspects(store: &Store, batch: &[Input<'_>]) -> Vec<(i64, i64)> {
    effects(store, batch).1
}

/// The offsets that are emitted, and those that are suspected.
fn effects(store: &Store, batch: &[Input<'_>]) -> (Vec<i64>, Vec<(i64, i64)>) {
    let effects = fold_and_apply(&dedup(), store, batch).expect("folded");
    let position = |record: &Record<'_>| header_of(record, header::POSITION).rsplit('/').next().map(str::to_owned);
    let emitted =
        effects.produce.iter().map(|record| position(record).and_then(|o| o.parse().ok()).expect("an offset"));
    let suspects = effects.suspects.iter().map(|suspect| (suspect.first.0, suspect.again.0));
    (emitted.collect(), suspects.collect())
}

fn header_of(record: &Record<'_>, name: &str) -> String {
    let found = record.headers.iter().find(|(n, _)| *n == name);
    String::from_utf8(found.map(|(_, v)| v.to_vec()).unwrap_or_default()).expect("text")
}

fn day(n: i64) -> Millis {
    Millis(Span::days(n).0)
}

#[test]
fn an_event_goes_out_under_its_subject_with_all_its_headers() {
    let (_dir, store) = store();
    let inputs = [input(5, Millis(9), "evt_1", BODY)];
    let effects = fold_and_apply(&dedup(), &store, &inputs).expect("folded");
    let [record] = &effects.produce[..] else { panic!("one record") };
    assert_eq!((record.key.as_str(), record.value, record.time), ("stripe/live/cus_1", BODY, Millis(9)));
    assert_eq!(record.partition, hooklog_log::partition_for(b"stripe/live/cus_1", 4));
    let headers: Vec<_> = record.headers.iter().map(|(n, v)| format!("{n}={}", String::from_utf8_lossy(v))).collect();
    assert_eq!(
        headers,
        [
            "hooklog_namespace=stripe",
            "hooklog_source=main",
            "hooklog_received_at=7",
            "ce_specversion=1.0",
            "ce_id=evt_1",
            "ce_type=invoice.paid",
            "ce_source=/sources/main",
            "ce_time=2026-01-01T00:00:00Z",
            "ce_subject=in_1",
            "content-type=application/json",
            "hooklog_position=raw/2/5",
            "hooklog_log=log-id",
            "hooklog_livemode=true",
        ]
    );
}

#[test]
fn a_thin_event_goes_out_under_the_account_of_its_context_in_key_and_header() {
    let (_dir, store) = store();
    let body = br#"{"id":"evt_2","object":"v2.core.event","created":"2026-01-01T00:00:00.246Z","livemode":true,
"type":"v2.core.account.closed","context":"org_1/acct_7","related_object":{"id":"acct_9","type":"v2.core.account"}}"#;
    let inputs = [input(5, Millis(9), "evt_2", body)];
    let effects = fold_and_apply(&dedup(), &store, &inputs).expect("folded");
    let [record] = &effects.produce[..] else { panic!("one record") };
    assert_eq!(record.key.as_str(), "acct_7/live/acct_9");
    assert_eq!(header_of(record, header::ACCOUNT), "acct_7");
    assert_eq!(header_of(record, header::CE_SUBJECT), "acct_9");
}

#[test]
fn the_second_one_is_dropped_in_the_same_batch_and_in_a_later_one() {
    let (_dir, store) = store();
    let other_bytes = [BODY, b" "].concat();
    assert_eq!(fold(&store, &[input(0, day(0), "evt_1", BODY), input(1, day(0), "evt_1", &other_bytes)]), [0]);
    assert_eq!(fold(&store, &[input(2, day(34), "evt_1", BODY), input(3, day(34), "evt_2", BODY)]), [3]);
}

#[test]
fn a_repeat_with_other_bytes_is_suspected_beside_the_first_one_and_equal_ones_are_not() {
    let (_dir, store) = store();
    let other = [BODY, b" "].concat();
    assert_eq!(suspects(&store, &[input(0, day(0), "evt_1", BODY), input(1, day(0), "evt_1", BODY)]), []);
    assert_eq!(suspects(&store, &[input(2, day(1), "evt_1", &other)]), [(0, 2)]);
    assert_eq!(suspects(&store, &[input(3, day(2), "evt_1", BODY)]), [], "it is as the first one");
    assert_eq!(suspects(&store, &[input(4, day(3), "evt_1", &other), input(5, day(3), "evt_2", BODY)]), [(0, 4)]);
}

#[test]
fn past_the_window_the_record_that_is_emitted_is_the_first_one() {
    let (_dir, store) = store();
    let other = [BODY, b" "].concat();
    assert_eq!(suspects(&store, &[input(0, day(0), "evt_1", BODY), input(1, day(35), "evt_1", &other)]), []);
    assert_eq!(suspects(&store, &[input(2, day(36), "evt_1", &other), input(3, day(37), "evt_1", BODY)]), [(1, 3)]);
}

#[test]
fn a_repeat_refreshes_the_window() {
    let (_dir, store) = store();
    assert_eq!(fold(&store, &[input(0, day(0), "evt_1", BODY), input(1, day(20), "evt_1", BODY)]), [0]);
    assert_eq!(fold(&store, &[input(2, day(36), "evt_1", BODY)]), [0; 0], "16 days after it was last seen");
    assert_eq!(fold(&store, &[input(3, day(71), "evt_1", BODY)]), [3], "35 days after it was last seen");
}

#[test]
fn namespaces_do_not_share_ids() {
    let (_dir, store) = store();
    let mut foreign = input(1, day(0), "evt_1", BODY);
    foreign.headers[0].1 = b"other";
    assert_eq!(fold(&store, &[input(0, day(0), "evt_1", BODY), foreign]), [0, 1]);
}

#[test]
fn what_ingest_would_never_have_written_is_emitted_all_the_same() {
    let (_dir, store) = store();
    let bare = |offset| Input { key: None, headers: vec![], ..input(offset, day(0), "", b"\xff not json") };
    let effects_of = [bare(0), bare(1), input(2, day(0), "evt_9", b"[]")];
    let effects = fold_and_apply(&dedup(), &store, &effects_of).expect("folded");
    let keys: Vec<_> = effects.produce.iter().map(|record| record.key.as_str()).collect();
    assert_eq!(keys, ["stripe/test/raw/2/0", "stripe/test/raw/2/1", "stripe/test/evt_9"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// I10, and the promise itself: whatever the batches, each id once within any window of its last sighting.
    #[test]
    fn batches_make_no_difference(records in proptest::collection::vec((0..6_u8, 0..12_i64, 0..2_usize), 1..20), cut in 0..20_usize) {
        let mut clock = 0;
        let timed: Vec<(String, Millis)> = records.iter().map(|(id, gap, _)| { clock += gap; (format!("evt_{id}"), day(clock)) }).collect();
        let bodies = [BODY.to_vec(), [BODY, b" "].concat()];
        let body = |offset: usize| bodies[records[offset].2].as_slice();
        let inputs: Vec<_> = (0..).zip(&timed).enumerate().map(|(n, (offset, (id, time)))| input(offset, *time, id, body(n))).collect();
        let cut = cut.min(inputs.len());
        let ((_a, whole), (_b, parts)) = (store(), store());
        let (at_once, suspected) = effects(&whole, &inputs);
        let two = [effects(&parts, &inputs[..cut]), effects(&parts, &inputs[cut..])];
        let in_two = two.iter().flat_map(|(emitted, _)| emitted.clone()).collect::<Vec<_>>();
        prop_assert_eq!(&suspected, &two.iter().flat_map(|(_, suspects)| suspects.clone()).collect::<Vec<_>>());
        prop_assert_eq!(&at_once, &in_two);
        prop_assert_eq!(&at_once, &naive(&timed));
        let differs = |(first, again): &(i64, i64)| body(usize::try_from(*first).expect("small")) != body(usize::try_from(*again).expect("small"));
        prop_assert!(suspected.iter().all(|pair| differs(pair) && at_once.contains(&pair.0) && !at_once.contains(&pair.1)));
        let end = timed.last().map_or(Millis::MIN, |(_, time)| *time);
        prop_assert_eq!(whole.content_hash(end).expect("hash"), parts.content_hash(end).expect("hash"));
    }
}

/// The promise, said in the simplest words.
fn naive(records: &[(String, Millis)]) -> Vec<i64> {
    let mut last = std::collections::HashMap::new();
    let mut out = Vec::new();
    for (offset, (id, time)) in (0..).zip(records) {
        let known = last.insert(id, time.0).is_some_and(|seen| time.0 - seen < WINDOW.0);
        if !known {
            out.push(offset);
        }
    }
    out
}
