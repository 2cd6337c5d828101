//! Processors that come and go under load: what one has open when partitions are taken from it is undone (I6).

use hooklog_task::metric_names::{ABORTED, FOLDED, RESTORING, STOPPED, TRANSACTIONS};
use hooklog_test_support::records::committed;
use hooklog_test_support::{Broker, Feed, Site, Up, wait_until};

const HOOKLOG: &str = env!("CARGO_BIN_EXE_hooklog");
/// Two for each worker of three processes on two cores.
const PARTITIONS: u32 = 12;
const ANYWHERE: [&str; 4] = ["--ingest-addr", "127.0.0.1:0", "--query-addr", "127.0.0.1:0"];

/// All services of one machine: that has an address for its metrics.
fn up(site: &Site) -> Up {
    let partitions = PARTITIONS.to_string();
    let arguments = [&["up", "--partitions", &partitions], &ANYWHERE[..]].concat();
    site.service(&arguments).unwrap_or_else(|refused| panic!("{refused}"))
}

/// How many records its processor has folded, by partition: only what it has brought up grows.
fn folded(up: &Up) -> Vec<f64> {
    (0..PARTITIONS).map(|p| up.metric(FOLDED, &format!("task=\"processor\",partition=\"{p}\""))).collect()
}

/// Waits until its processor folds at least `count` partitions.
fn works_on(up: &Up, count: u32, what: &str) {
    let before = folded(up);
    wait_until(what, || {
        let grown = folded(up).iter().zip(&before).filter(|(now, before)| now > before).count();
        (grown >= count as usize).then_some(())
    });
}

/// Transactions that were undone. Nothing is refused here, so it was for the sake of a rebalance.
fn undone(up: &Up) -> f64 {
    up.metric(TRANSACTIONS, &format!("outcome=\"{ABORTED}\""))
}

/// What the group has committed, over all partitions.
fn taken_in(site: &Site, up: &Up) -> i64 {
    committed(up.brokers(), &site.group(), &site.topics().raw()).values().map(|(next, _)| next).sum()
}

fn goes_on(site: &Site, up: &Up, what: &str) {
    let before = committed(up.brokers(), &site.group(), &site.topics().raw());
    wait_until(what, || {
        let now = committed(up.brokers(), &site.group(), &site.topics().raw());
        now.iter().all(|(partition, (next, _))| before.get(partition).is_none_or(|(old, _)| next > old)).then_some(())
    });
}

/// At most so many join, until the first one had something open when partitions were taken from it: most of the time, but
/// not always, it has.
const AT_MOST: usize = 5;

#[test]
fn processors_that_join_leave_and_die_under_load_lose_and_double_nothing() {
    let first = Site::on(Broker::shared(HOOKLOG), HOOKLOG);
    let stays = up(&first);
    let raw = first.topics().raw();
    let feeds = ["here", "there", "everywhere"].map(|name| Feed::start(stays.brokers(), &raw, PARTITIONS, name));
    wait_until("the first one takes records in", || (taken_in(&first, &stays) > 200).then_some(()));
    works_on(&stays, PARTITIONS, "the first one has all of it");

    let before = undone(&stays);
    let mut others = Vec::new();
    while others.len() < 2 || undone(&stays) == before {
        assert!(others.len() < AT_MOST, "nothing was ever open when partitions were taken away");
        let site = first.beside();
        let up = up(&site);
        works_on(&up, 1, "it has partitions");
        others.push((site, up));
    }
    goes_on(&first, &stays, "every partition goes on with all of them");

    let (last, dies) = others.pop().unwrap();
    dies.program.kill();
    for (_, ends) in others {
        assert!(ends.program.stop().success());
    }
    // A static member is missed only when its session is over.
    works_on(&stays, PARTITIONS, "the first one has taken all of it over");

    let again = up(&last);
    works_on(&again, 1, "one that came back has partitions");
    goes_on(&first, &stays, "every partition goes on with one that came back");
    let sent: usize = feeds.into_iter().map(Feed::stop).sum();
    assert_eq!(first.is_exact(stays.brokers()), sent);
    for up in [&stays, &again] {
        // The client library calls it an error when the group takes partitions away; we do not.
        assert_eq!((up.metric(STOPPED, ""), up.metric(RESTORING, "processor")), (0.0, 0.0));
    }
}

#[test]
fn a_processor_that_others_leave_no_partition_is_ready() {
    let first = Site::on(Broker::shared(HOOKLOG), HOOKLOG);
    let process =
        |site: &Site| site.service(&["process", "--partitions", "1"]).unwrap_or_else(|refused| panic!("{refused}"));
    let owner = process(&first);
    let second = first.beside();
    let idle = process(&second);
    assert_eq!(idle.program.ready()["ready"], true, "{}", idle.program.ready());
    drop((owner, idle));
}
