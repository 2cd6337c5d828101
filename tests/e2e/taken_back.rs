//! Offsets as a coordinator leaves them that acknowledged a commit without ending it everywhere: taken back, or held back.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::time::Duration;

use hooklog_task::measure::{ABORTED, TRANSACTIONS};
use hooklog_test_support::records::{committed, offsets_in_transaction};
use hooklog_test_support::settings::{AS_MADE, TOO_SMALL, alter};
use hooklog_test_support::{Broker, Feed, Site, Up, wait_until};
use rdkafka::producer::{BaseProducer, Producer};

const HOOKLOG: &str = env!("CARGO_BIN_EXE_hooklog");
const ANSWER: Duration = Duration::from_secs(30);

fn ended(up: &Up, outcome: &str) -> f64 {
    up.metric(TRANSACTIONS, &format!("outcome=\"{outcome}\""))
}

fn committed_of_0(site: &Site, up: &Up) -> (i64, String) {
    committed(up.brokers(), &site.group(), &site.topics().raw())[&0].clone()
}

/// A transaction in which partition 0 has this offset and stamp, under the id of one of the processor's workers.
fn transaction_of(site: &Site, worker: usize, committed: (i64, String)) -> BaseProducer {
    let (brokers, id) = (Broker::shared(HOOKLOG).address(), site.transactional_id(worker));
    offsets_in_transaction(brokers, &id, &site.group(), &site.topics().raw(), &BTreeMap::from([(0, committed)]))
}

#[test]
fn an_offset_that_goes_back_stops_its_partition_at_the_next_abort_and_repair_loses_and_doubles_nothing() {
    let site = Site::on(Broker::shared(HOOKLOG), HOOKLOG);
    let up = site.up();
    let (raw, events) = (site.topics().raw(), site.topics().events());
    let feed = Feed::start(up.brokers(), &raw, 4, "taken back");
    wait_until("every partition has been committed", || {
        let committed = committed(up.brokers(), &site.group(), &raw);
        (committed.values().filter(|(next, _)| *next > 5).count() == 4).then_some(())
    });

    // From now on nothing is committed that could replace it.
    alter(up.brokers(), &events, &TOO_SMALL);
    let (next, stamp) = wait_until("partition 0 stands still while transactions are aborted", || {
        let (known, before) = (committed_of_0(&site, &up), ended(&up, ABORTED));
        wait_until("transactions are aborted", || (ended(&up, ABORTED) >= before + 6.0).then_some(()));
        (committed_of_0(&site, &up) == known).then_some(known)
    });
    transaction_of(&site, 99, (next - 1, stamp.clone())).commit_transaction(ANSWER).unwrap();
    let line = up.says("stopped, while others go on");
    assert!(line.contains("partition 0: ") && line.contains("hooklog offsets repair"), "{line}");
    alter(up.brokers(), &events, &AS_MADE);

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

/// As of a worker that there was on a machine with more cores, or one whose end the coordinator believes to have written.
#[test]
fn offsets_that_a_transaction_holds_back_are_let_go_by_repair_when_it_is_told_to() {
    let site = Site::on(Broker::shared(HOOKLOG), HOOKLOG);
    let up = site.up();
    site.send(&["--events", "100", "--seed", "5"]);
    site.processed(up.brokers());
    let (next, stamp) = committed_of_0(&site, &up);
    assert!(up.program.stop().success());

    let open = transaction_of(&site, 3, (next - 1, stamp.clone()));
    let shown = site.run(&["offsets", "repair"]);
    assert_ne!(shown.code, Some(0), "{shown:?}");
    assert!(shown.stderr.contains("holds the offsets") && shown.stderr.contains("--apply"), "{shown:?}");
    let done = site.run(&["offsets", "repair", "--apply"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    drop(open);
    let up = site.up();
    assert_eq!(committed_of_0(&site, &up), (next, stamp));
    assert_eq!(site.is_exact(up.brokers()), 100);
}
