//! A commit that Kafka acknowledged and took back: the offset lies before the store, while everything runs.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::time::Duration;

use hooklog_task::measure::{ABORTED, COMMITTED, TRANSACTIONS};
use hooklog_test_support::records::committed;
use hooklog_test_support::settings::alter;
use hooklog_test_support::{Broker, Feed, Site, Up, wait_until};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, Producer};
use rdkafka::{Offset, TopicPartitionList};

const HOOKLOG: &str = env!("CARGO_BIN_EXE_hooklog");
const ANSWER: Duration = Duration::from_secs(30);
/// Smaller than any event, and larger than the markers that end a transaction; and what it is made with.
const TOO_SMALL: [(&str, &str); 1] = [("max.message.bytes", "150")];
const AS_MADE: [(&str, &str); 1] = [("max.message.bytes", "2097152")];

fn ended(up: &Up, outcome: &str) -> f64 {
    up.metric(TRANSACTIONS, &format!("outcome=\"{outcome}\""))
}

fn next_of(site: &Site, up: &Up, partition: i32) -> (i64, String) {
    committed(up.brokers(), &site.group(), &site.topics().raw())[&partition].clone()
}

/// What is committed for `partition` is again what it was one record before, stamp and all. Only in a transaction can
/// somebody who is no member of the group do that.
fn take_back(site: &Site, up: &Up, partition: i32) -> i64 {
    let (next, stamp) = next_of(site, up, partition);
    let mut config = Broker::shared(HOOKLOG).client();
    let group: BaseConsumer = config.clone().set("group.id", site.group()).create().unwrap();
    let stranger: BaseProducer = config.set("transactional.id", site.transactional_id(99)).create().unwrap();
    let mut offsets = TopicPartitionList::new();
    let mut element = offsets.add_partition(&site.topics().raw(), partition);
    element.set_offset(Offset::Offset(next - 1)).unwrap();
    element.set_metadata(&stamp);
    stranger.init_transactions(ANSWER).unwrap();
    stranger.begin_transaction().unwrap();
    stranger.send_offsets_to_transaction(&offsets, &group.group_metadata().unwrap(), ANSWER).unwrap();
    stranger.commit_transaction(ANSWER).unwrap();
    next - 1
}

#[test]
fn after_an_abort_a_partition_whose_commit_is_gone_stops_and_its_repair_loses_and_doubles_nothing() {
    let site = Site::on(Broker::shared(HOOKLOG), HOOKLOG);
    let up = site.up();
    let (raw, events) = (site.topics().raw(), site.topics().events());
    let feed = Feed::start(up.brokers(), &raw, 4, "taken back");
    wait_until("every partition has been committed", || {
        (committed(up.brokers(), &site.group(), &raw).values().filter(|(next, _)| *next > 5).count() == 4).then_some(())
    });

    // From now on nothing is committed that could replace it.
    alter(up.brokers(), &events, &TOO_SMALL);
    let before = ended(&up, ABORTED);
    wait_until("transactions are aborted", || (ended(&up, ABORTED) >= before + 3.0).then_some(()));
    let next = take_back(&site, &up, 0);
    let line = up.says("stopped, while others go on");
    assert!(line.contains("partition 0: ") && line.contains("hooklog offsets repair"), "{line}");
    alter(up.brokers(), &events, &AS_MADE);

    let before = ended(&up, COMMITTED);
    wait_until("the others go on", || (ended(&up, COMMITTED) > before + 3.0).then_some(()));
    assert_eq!(next_of(&site, &up, 0).0, next, "it went on from what is not committed");
    feed.stop();
    assert!(up.program.stop().success());

    let done = site.run(&["offsets", "repair", "--apply"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    let up = site.up();
    site.is_exact(up.brokers());
}
