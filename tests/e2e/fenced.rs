//! A processor whose place in the group was given away takes it again: after the coordinator's death it may be its own

//! repeated request that fenced it.

use std::time::Duration;

use hooklog_test_support::records::committed;
use hooklog_test_support::{Broker, Feed, Site, Up, wait_until};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

const HOOKLOG: &str = env!("CARGO_BIN_EXE_hooklog");
const PARTITIONS: u32 = 4;

/// Joins the group under the id of the processor's first worker.
fn usurper(site: &Site, up: &Up) -> BaseConsumer {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", up.brokers())
        .set("group.id", site.group())
        .set("group.instance.id", site.transactional_id(0))
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("session.timeout.ms", "15000")
        .set("enable.auto.commit", "false")
        .create()
        .unwrap();
    consumer.subscribe(&[&site.topics().raw()]).unwrap();
    consumer
}

fn taken_in(site: &Site, up: &Up) -> i64 {
    committed(up.brokers(), &site.group(), &site.topics().raw()).values().map(|(next, _)| next).sum()
}

#[test]
fn a_processor_that_is_fenced_takes_its_place_again_and_loses_and_doubles_nothing() {
    let site = Site::on(Broker::shared(HOOKLOG), HOOKLOG);
    let up = site.service(&["process", "--partitions", "4"]).unwrap_or_else(|refused| panic!("{refused}"));
    let feed = Feed::start(up.brokers(), &site.topics().raw(), PARTITIONS, "all along");
    wait_until("records are taken in", || (taken_in(&site, &up) > 200).then_some(()));

    let other = usurper(&site, &up);
    wait_until("the processor takes its place again", || {
        drop(other.poll(Duration::from_millis(50)));
        up.program.stderr().contains("Taking the place in the group again").then_some(())
    });
    drop(other);
    let before = taken_in(&site, &up);
    wait_until("it goes on", || (taken_in(&site, &up) > before + 200).then_some(()));
    let sent = feed.stop();
    assert_eq!(site.is_exact(up.brokers()), sent);
}
