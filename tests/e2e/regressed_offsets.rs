//! Committed offsets that regressed, or that a transaction which nobody ends holds back.

use std::collections::BTreeMap;
use std::time::Duration;

use hooklog_task::metric_names::{NEXT_OFFSET, STOPPED, VERIFIED_OFFSET};
use hooklog_test_support::records::{committed, offsets_in_transaction};
use hooklog_test_support::{Broker, Feed, Site, Up, wait_until};
use rdkafka::producer::{BaseProducer, DefaultProducerContext, Producer, ThreadedProducer};

const HOOKLOG: &str = env!("CARGO_BIN_EXE_hooklog");
const ANSWER: Duration = Duration::from_secs(30);
const OF_0: &str = "task=\"processor\",partition=\"0\"";

fn committed_of_0(site: &Site, up: &Up) -> (i64, String) {
    committed(up.brokers(), &site.group(), &site.topics().raw())[&0].clone()
}

/// A transaction in which partition 0 has this offset and stamp, under this transactional id.
fn transaction_of(site: &Site, id: &str, committed: (i64, String)) -> BaseProducer {
    let brokers = Broker::shared(HOOKLOG).address();
    offsets_in_transaction(brokers, id, &site.group(), &site.topics().raw(), &BTreeMap::from([(0, committed)]))
}

/// As a second owner of each id does it: the processor has to renew its producers, and looks at everything again.
fn fence_all(site: &Site) {
    for worker in 0..2 {
        let mut config = Broker::shared(HOOKLOG).client();
        config.set("transactional.id", site.transactional_id(worker));
        let stranger: ThreadedProducer<DefaultProducerContext> = config.create().unwrap();
        stranger.init_transactions(ANSWER).unwrap();
    }
}

#[test]
fn an_offset_that_somebody_set_back_stops_its_partition_and_repair_loses_and_doubles_nothing() {
    let site = Site::on(Broker::shared(HOOKLOG), HOOKLOG);
    let up = site.up();
    let raw = site.topics().raw();
    let feed = Feed::start(up.brokers(), &raw, 4, "before");
    wait_until("every partition has been committed", || {
        let committed = committed(up.brokers(), &site.group(), &raw);
        (committed.values().filter(|(next, _)| *next > 5).count() == 4).then_some(())
    });
    feed.stop();
    site.processed(up.brokers());
    // From then on nothing but a person can have set it back.
    wait_until("all outputs are verified", || {
        let of_0 = |name| up.metric(name, OF_0);
        (of_0(VERIFIED_OFFSET) == of_0(NEXT_OFFSET)).then_some(())
    });
    let (next, stamp) = committed_of_0(&site, &up);
    let stranger = format!("{}stranger", site.topics().prefix());
    transaction_of(&site, &stranger, (next - 1, stamp)).commit_transaction(ANSWER).unwrap();
    fence_all(&site);
    let feed = Feed::start(up.brokers(), &raw, 4, "after");
    wait_until("partition 0 stops", || (up.metric(STOPPED, OF_0) == 1.0).then_some(()));
    let all = || committed(up.brokers(), &site.group(), &raw);
    let before = all();
    wait_until("each of the others goes on", || {
        let now = all();
        (1..4).all(|partition| now[&partition].0 > before[&partition].0).then_some(())
    });
    assert_eq!(committed_of_0(&site, &up).0, next - 1, "it went on from what is not committed");
    feed.stop();
    assert!(up.program.stop().success());

    let done = site.run(&["offsets", "repair", "--apply"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    let up = site.up();
    site.is_exact(up.brokers());
}

/// As of a worker that there was on a machine with more cores.
#[test]
fn offsets_that_a_transaction_holds_back_are_released_by_repair_when_it_is_told_to() {
    let site = Site::on(Broker::shared(HOOKLOG), HOOKLOG);
    let up = site.up();
    site.send(&["--events", "100", "--seed", "5"]);
    site.processed(up.brokers());
    let (next, stamp) = committed_of_0(&site, &up);
    assert!(up.program.stop().success());

    let open = transaction_of(&site, &site.transactional_id(3), (next - 1, stamp.clone()));
    let shown = site.run(&["offsets", "repair"]);
    assert_ne!(shown.code, Some(0), "{shown:?}");
    assert!(shown.stderr.contains("committed offsets") && shown.stderr.contains("--apply"), "{shown:?}");
    let done = site.run(&["offsets", "repair", "--apply"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    drop(open);
    let up = site.up();
    assert_eq!(committed_of_0(&site, &up), (next, stamp));
    assert_eq!(site.is_exact(up.brokers()), 100);
}

/// The same, and a start alone.
#[test]
fn a_transaction_of_a_worker_that_is_no_more_keeps_no_start_waiting() {
    let site = Site::on(Broker::shared(HOOKLOG), HOOKLOG);
    let up = site.up();
    site.send(&["--events", "100", "--seed", "6"]);
    site.processed(up.brokers());
    let before = committed_of_0(&site, &up);
    assert!(up.program.stop().success());
    let open = transaction_of(&site, &site.transactional_id(3), (before.0 - 1, before.1.clone()));
    let up = site.up();
    drop(open);
    assert_eq!(committed_of_0(&site, &up), before);
    assert_eq!(site.is_exact(up.brokers()), 100);
}
