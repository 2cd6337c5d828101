//! Commits of which nobody knows whether they happened: a new producer ends what is open, and N tells (I7). Whether they

//! did happen is left to chance here.

use std::time::Duration;

use hooklog_task::metric_names::{COMMITTED, RENEWALS, TRANSACTIONS, UNKNOWN};
use hooklog_test_support::{Broker, Feed, Site, Up, wait_until, wait_until_within};
use rdkafka::producer::{DefaultProducerContext, Producer, ThreadedProducer};
use rustix::process::Signal;

const HOOKLOG: &str = env!("CARGO_BIN_EXE_hooklog");
const ANSWER: Duration = Duration::from_secs(30);
/// More than a transaction may take. A call that has no end of its own waits for the broker instead.
const STOPPED: Duration = Duration::from_secs(14);
/// Silences at most, until one meets an open transaction.
const ROUNDS: usize = 4;

fn ended(up: &Up, outcome: &str) -> f64 {
    up.metric(TRANSACTIONS, &format!("outcome=\"{outcome}\""))
}

/// As a second owner of the id does it: whatever the first one has open is aborted, and it is refused from now on.
fn fence(site: &Site, worker: usize) {
    let mut config = Broker::shared(HOOKLOG).client();
    config.set("transactional.id", site.transactional_id(worker));
    let stranger: ThreadedProducer<DefaultProducerContext> = config.create().unwrap();
    stranger.init_transactions(ANSWER).unwrap();
}

#[test]
fn a_producer_that_is_fenced_in_the_middle_of_its_work_is_renewed_and_nothing_is_lost_or_doubled() {
    let site = Site::on(Broker::shared(HOOKLOG), HOOKLOG);
    let up = site.up();
    let feed = Feed::start(up.brokers(), &site.topics().raw(), 4, "fenced");
    for _ in 0..3 {
        let (before, renewed) = (ended(&up, COMMITTED), up.metric(RENEWALS, "processor"));
        wait_until("it commits", || (ended(&up, COMMITTED) > before).then_some(()));
        // Counted once the new producer is the owner: from then on it is that one which is fenced.
        fence(&site, 0);
        wait_until("its producer is renewed", || (up.metric(RENEWALS, "processor") > renewed).then_some(()));
    }
    let line = up.says("the transaction failed");
    assert!(line.contains("stage="), "{line}");
    let sent = feed.stop();
    assert_eq!(site.is_exact(up.brokers()), sent);
    assert!(up.program.stop().success());
}

/// Stops the broker until a transaction has failed, or for longer than one may take, and waits until it commits again.
fn silent_for_a_while(up: &Up) {
    let failures = || up.program.stderr().matches("the transaction failed").count();
    let (broker, known) = (up.broker(), failures());
    broker.signal(Signal::STOP);
    wait_until_within(STOPPED, || (failures() > known).then_some(()));
    broker.signal(Signal::CONT);
    let before = ended(up, COMMITTED);
    wait_until("it commits again", || (ended(up, COMMITTED) > before).then_some(()));
}

#[test]
fn a_broker_that_is_silent_for_longer_than_a_transaction_may_take_costs_time_and_nothing_else() {
    let site = Site::alone(HOOKLOG);
    let up = site.up();
    let feed = Feed::start(up.brokers(), &site.topics().raw(), 4, "silent");
    wait_until("something is committed", || (ended(&up, COMMITTED) > 10.0).then_some(()));
    // Now and then nothing is open at the moment of silence: then there is no outcome to be unknown.
    let silenced = (0..ROUNDS).any(|_| {
        silent_for_a_while(&up);
        ended(&up, UNKNOWN) > 0.0
    });
    assert!(silenced, "no silence ever met an open transaction");
    let sent = feed.stop();
    assert_eq!(site.is_exact(up.brokers()), sent);
    assert!(up.program.stop().success());
}
