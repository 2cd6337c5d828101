//! Starts of a processor that has lost its store, on logs whose beginning was deleted: what cannot be known is not guessed.

use std::collections::BTreeMap;
use std::fs;

use hooklog_test_support::records::{delete_group, ends, records};
use hooklog_test_support::truncate::delete_before;
use hooklog_test_support::{Broker, Site};

const HOOKLOG: &str = env!("CARGO_BIN_EXE_hooklog");
const SENT: [&str; 6] = ["--events", "200", "--seed", "3", "--customers", "20"];
const EVENTS: usize = 200;

/// Everything is sent and processed; then hooklog is stopped, and its stores are gone.
fn without_a_store() -> Site {
    let site = Site::on(Broker::shared(HOOKLOG), HOOKLOG);
    let up = site.up();
    site.send(&SENT);
    assert_eq!(site.processed(up.brokers()).1.len(), EVENTS);
    assert!(up.program.stop().success());
    fs::remove_dir_all(site.stores()).unwrap();
    site
}

fn brokers() -> &'static str {
    Broker::shared(HOOKLOG).address()
}

fn events(site: &Site) -> usize {
    records(brokers(), &site.topics().events()).len()
}

/// Of each partition, the beginning up to a share of it.
fn truncate(topic: &str, share: impl Fn(i64) -> i64) {
    let offsets: BTreeMap<i32, i64> = ends(brokers(), topic).into_iter().map(|(p, end)| (p, share(end))).collect();
    delete_before(brokers(), topic, &offsets);
}

#[test]
fn a_start_that_would_forget_deleted_webhooks_of_the_window_stops_and_goes_on_when_that_is_accepted() {
    let site = without_a_store();
    truncate(&site.topics().raw(), |end| end / 2);
    for _ in 0..2 {
        let refused = site.try_up(&[]).expect_err("it forgot what the window needs");
        assert_eq!(refused.code, Some(3), "{refused}");
        assert!(refused.stderr.contains("hooklog offsets repair --apply"), "{refused}");
    }
    let shown = site.run(&["offsets", "repair", "--json"]);
    assert_eq!((shown.code, &shown.json()["changes"]), (Some(0), &4.into()), "{shown:?}");
    let done = site.run(&["offsets", "repair", "--apply"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    let up = site.up();
    assert_eq!(events(&site), EVENTS, "nothing old was emitted again");
    site.send(&["--events", "20", "--seed", "4"]);
    site.processed(up.brokers());
    assert_eq!(events(&site), EVENTS + 20);
    assert!(up.program.stop().success());
}

#[test]
fn a_raw_that_was_deleted_up_to_the_committed_offset_does_not_look_like_a_new_one() {
    let site = without_a_store();
    truncate(&site.topics().raw(), |end| end);
    let refused = site.try_up(&[]).expect_err("it would emit what comes again once more");
    assert_eq!(refused.code, Some(3), "{refused}");
    assert!(refused.stderr.contains("hooklog offsets repair --apply"), "{refused}");
    let done = site.run(&["offsets", "repair", "--apply"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    let up = site.up();
    site.send(&["--events", "20", "--seed", "4"]);
    site.processed(up.brokers());
    assert_eq!(events(&site), EVENTS + 20);
    assert!(up.program.stop().success());
}

#[test]
fn a_start_of_which_nothing_tells_where_it_was_stops_until_somebody_decides() {
    let site = without_a_store();
    truncate(&site.topics().events(), |end| end);
    delete_group(brokers(), &site.group());
    let refused = site.try_up(&[]).expect_err("it emitted all of history again, or left something out");
    assert_eq!(refused.code, Some(3), "{refused}");
    assert!(refused.stderr.contains("--unknown-at end"), "{refused}");
    assert_eq!(events(&site), 0);
    let undecided = site.run(&["offsets", "repair", "--apply", "--json"]);
    assert_eq!((undecided.code, &undecided.json()["changes"]), (Some(0), &0.into()), "{undecided:?}");
    let decided = site.run(&["offsets", "repair", "--apply", "--unknown-at", "end"]);
    assert_eq!(decided.code, Some(0), "{decided:?}");
    let up = site.up();
    site.send(&["--events", "20", "--seed", "4"]);
    site.send(&SENT);
    site.processed(up.brokers());
    assert_eq!(events(&site), 20, "what raw holds is known, and new webhooks are emitted");
    assert!(up.program.stop().success());
}
