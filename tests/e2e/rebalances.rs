//! Processors that come and go under load: what one has open when partitions are taken from it is undone (I6).

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;

use hooklog_test_support::records::committed;
use hooklog_test_support::{Broker, Feed, Site, Up, wait_until};

const HOOKLOG: &str = env!("CARGO_BIN_EXE_hooklog");
/// Two for each worker of three processes on two cores.
const PARTITIONS: u32 = 12;

fn process(site: &Site) -> Up {
    let partitions = PARTITIONS.to_string();
    site.service(&["process", "--partitions", &partitions]).unwrap_or_else(|refused| panic!("{refused}"))
}

/// The partitions that a process said it brought up.
fn brought_up(up: &Up) -> BTreeSet<String> {
    let stderr = up.program.stderr();
    let resumed = stderr.lines().filter(|line| line.contains(" resuming "));
    resumed.filter_map(|line| Some(line.split_once("partition=")?.1.split(' ').next()?.to_owned())).collect()
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

/// The proof that there was something to undo when partitions were taken away: in the callback, or, where the group was
/// quicker, because the commit was refused.
const UNDONE: [&str; 2] = ["partitions are given up: what is open is undone", "(IllegalGeneration, Abortable)"];
/// At most so many join, until that was met: most of the time, but not always, there is something open.
const AT_MOST: usize = 5;

#[test]
fn processors_that_join_leave_and_die_under_load_lose_and_double_nothing() {
    let first = Site::on(Broker::shared(HOOKLOG), HOOKLOG);
    let stays = process(&first);
    let raw = first.topics().raw();
    let feeds = ["here", "there", "everywhere"].map(|name| Feed::start(stays.brokers(), &raw, PARTITIONS, name));
    wait_until("the first one takes records in", || (taken_in(&first, &stays) > 200).then_some(()));

    let undone = |others: &[(Site, Up)]| {
        let all = others.iter().map(|(_, up)| up).chain([&stays]);
        all.into_iter().any(|up| UNDONE.iter().any(|words| up.program.stderr().contains(words)))
    };
    let mut others = Vec::new();
    while others.len() < 2 || !undone(&others) {
        assert!(others.len() < AT_MOST, "nothing was ever open when partitions were taken away");
        let site = first.beside();
        let up = process(&site);
        wait_until("it has partitions", || (!brought_up(&up).is_empty()).then_some(()));
        others.push((site, up));
    }
    goes_on(&first, &stays, "every partition goes on with all of them");

    let (last, dies) = others.pop().unwrap();
    dies.program.kill();
    for (_, ends) in others {
        assert!(ends.program.stop().success());
    }
    // A static member is missed only when its session is over.
    goes_on(&first, &stays, "the first one has taken all of it over");
    let all: BTreeSet<String> = (0..PARTITIONS).map(|partition| partition.to_string()).collect();
    assert_eq!(brought_up(&stays), all);

    let again = process(&last);
    goes_on(&first, &stays, "every partition goes on with one that came back");
    let sent: usize = feeds.into_iter().map(Feed::stop).sum();
    assert_eq!(first.is_exact(stays.brokers()), sent);
    for up in [&stays, &again] {
        // The client library calls it an error when the group takes partitions away; we do not.
        assert!(!up.program.stderr().contains("stopped, while others go on"), "{}", up.program.stderr());
    }
}
