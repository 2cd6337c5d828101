//! Processors that come and go under load: what one has open when partitions are taken from it is undone (I6).

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use hooklog_task::measure::{ABORTED, RESTORING, STOPPED, TRANSACTIONS};
use hooklog_test_support::records::committed;
use hooklog_test_support::{Broker, Feed, Site, Up, wait_until};
use serde_json::Value;

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

/// How many partitions its processor has brought up.
fn owned(site: &Site) -> usize {
    let done = site.run(&["status", "--json"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    let status = done.json();
    let rows = status["processor"].as_object().unwrap_or_else(|| panic!("no processor in {status}"));
    rows.values().filter(|row| row["restoring"] == Value::Bool(false) && row["stopped"].is_null()).count()
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
    assert_eq!(owned(&first), PARTITIONS as usize);

    let before = undone(&stays);
    let mut others = Vec::new();
    while others.len() < 2 || undone(&stays) == before {
        assert!(others.len() < AT_MOST, "nothing was ever open when partitions were taken away");
        let site = first.beside();
        let up = up(&site);
        wait_until("it has partitions", || (owned(&site) > 0).then_some(()));
        others.push((site, up));
    }
    wait_until("all partitions have an owner", || {
        let all = others.iter().map(|(site, _)| site).chain([&first]);
        (all.map(owned).sum::<usize>() == PARTITIONS as usize).then_some(())
    });
    goes_on(&first, &stays, "every partition goes on with all of them");

    let (last, dies) = others.pop().unwrap();
    dies.program.kill();
    for (_, ends) in others {
        assert!(ends.program.stop().success());
    }
    // A static member is missed only when its session is over.
    wait_until("the first one has taken all of it over", || (owned(&first) == PARTITIONS as usize).then_some(()));
    goes_on(&first, &stays, "every partition goes on with the first one alone");

    let again = up(&last);
    wait_until("one that came back has partitions", || (owned(&last) > 0).then_some(()));
    goes_on(&first, &stays, "every partition goes on with one that came back");
    let sent: usize = feeds.into_iter().map(Feed::stop).sum();
    assert_eq!(first.is_exact(stays.brokers()), sent);
    for up in [&stays, &again] {
        // The client library calls it an error when the group takes partitions away; we do not.
        assert_eq!((up.metric(STOPPED, ""), up.metric(RESTORING, "processor")), (0.0, 0.0));
    }
}
