//! The group's offsets, lost or turned by somebody else's tool while hooklog was stopped.

use std::collections::BTreeMap;
use std::time::Duration;

use hooklog_oracle::expected_events;
use hooklog_test_support::records::{committed, delete_group, ends, offsets_in_transaction};
use hooklog_test_support::{Broker, Record, Site};
use rdkafka::producer::Producer;

const HOOKLOG: &str = env!("CARGO_BIN_EXE_hooklog");
const ANSWER: Duration = Duration::from_secs(20);
const FIRST: [&str; 6] = ["--events", "160", "--seed", "1", "--customers", "16"];
/// The events of `FIRST` again, and half as many new ones.
const MORE: [&str; 6] = ["--events", "240", "--seed", "1", "--customers", "16"];

/// What a plain client leaves: an offset, and metadata or none.
type Offsets = BTreeMap<i32, (i64, String)>;

/// A site whose processor has taken in a part of `raw`, and is stopped.
fn stopped_with_work_left() -> Site {
    let site = Site::on(Broker::shared(HOOKLOG), HOOKLOG);
    let up = site.up();
    site.send(&FIRST);
    site.processed(up.brokers());
    assert!(up.program.stop().success());
    let ingest = site.service(&["ingest", "--ingest-addr", "127.0.0.1:0"]).unwrap();
    let done = site.run(&[&["send", "--retry", "--url", ingest.address("ingest")], &MORE[..]].concat());
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(ingest.program.stop().success());
    site
}

/// Starts again, sends the first ones once more, and looks at what there is.
fn goes_on_exactly(site: &Site) {
    let up = site.up();
    site.send(&FIRST);
    let (raw, events) = site.processed(up.brokers());
    let raw: Vec<_> = raw.iter().map(Record::as_raw).collect();
    let mut found: Vec<_> = events.iter().map(|event| event.header("hooklog_position").unwrap().to_owned()).collect();
    let position = |(partition, offset): (i32, i64)| format!("raw/{partition}/{offset}");
    let mut expected: Vec<_> = expected_events(&raw).iter().map(|event| position(event.position)).collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
    assert!(events.len() > 160, "nothing new was there to be lost");
    site.audit();
}

fn brokers() -> &'static str {
    Broker::shared(HOOKLOG).address()
}

/// To what `kafka-consumer-groups --reset-offsets` leaves. That waits until the group is empty, for static members the
/// length of a session; who commits in a transaction and is no member is not asked to.
fn reset(site: &Site, offsets: &Offsets) {
    let id = format!("{}stranger", site.topics().prefix());
    let stranger = offsets_in_transaction(brokers(), &id, &site.group(), &site.topics().raw(), offsets);
    stranger.commit_transaction(ANSWER).unwrap();
    assert_eq!(&committed(brokers(), &site.group(), &site.topics().raw()), offsets);
}

fn delete(site: &Site) {
    delete_group(brokers(), &site.group());
    assert_eq!(committed(brokers(), &site.group(), &site.topics().raw()), Offsets::new());
}

/// Without metadata, as other tools commit.
fn plain(offset: impl Fn(i64) -> i64, site: &Site) -> Offsets {
    let ends = ends(brokers(), &site.topics().raw());
    ends.into_iter().map(|(partition, end)| (partition, (offset(end), String::new()))).collect()
}

#[test]
fn deleted_offsets_double_nothing_and_lose_nothing() {
    let site = stopped_with_work_left();
    delete(&site);
    goes_on_exactly(&site);
}

#[test]
fn offsets_that_were_reset_to_the_beginning_double_nothing() {
    let site = stopped_with_work_left();
    reset(&site, &plain(|_| 0, &site));
    goes_on_exactly(&site);
}

#[test]
fn offsets_that_were_reset_to_the_end_lose_nothing() {
    let site = stopped_with_work_left();
    reset(&site, &plain(|end| end, &site));
    goes_on_exactly(&site);
}

#[test]
fn offsets_lost_together_with_the_store_are_found_again_in_events() {
    let site = stopped_with_work_left();
    delete(&site);
    std::fs::remove_dir_all(site.data_dir().join("processor")).unwrap();
    goes_on_exactly(&site);
}

#[test]
fn an_offset_of_ours_that_lies_before_the_store_stops_it_with_the_way_out() {
    let site = stopped_with_work_left();
    let ours = committed(brokers(), &site.group(), &site.topics().raw());
    let behind = ours.iter().map(|(partition, (next, stamp))| (*partition, (next - 1, stamp.clone()))).collect();
    reset(&site, &behind);
    let refused = site.try_up(&[]).expect_err("it went on and would have emitted events twice");
    assert!(refused.stderr.contains("hooklog offsets repair"), "{refused}");
    assert_eq!(refused.code, Some(3), "{refused}");
    // Until the session of the one that stopped is over, the group has members: the command says so, and waits.
    let repaired = site.run(&["offsets", "repair", "--apply"]);
    assert_eq!(repaired.code, Some(0), "{repaired:?}");
    assert!(repaired.stderr.contains("members"), "{repaired:?}");
    goes_on_exactly(&site);
}
