//! An append of the local broker fails under a running `up`: services stop, the log is checked, they start again; whatever happens
//! meanwhile.

use std::fs;
use std::path::PathBuf;

use hooklog_test_support::{Process, Site, Up, failed_append, wait_until};

const HOOKLOG: &str = env!("CARGO_BIN_EXE_hooklog");
const EVENTS: usize = 1000;

fn used() -> (Site, Up) {
    let site = Site::alone(HOOKLOG);
    let up = site.up();
    site.send(&["--events", &EVENTS.to_string(), "--seed", "4", "--concurrency", "16"]);
    assert_eq!(site.processed(up.brokers()).1.len(), EVENTS);
    (site, up)
}

fn mark(site: &Site) -> PathBuf {
    site.data_dir().join("broker/power-loss")
}

/// Its disk refuses an append; then it ends.
fn fail_to_append(site: &Site) -> Process {
    failed_append::say(&site.data_dir());
    let broker = site.recorded_broker().unwrap();
    broker.kill();
    broker
}

fn until_it_is_checked(up: &Up) {
    wait_until("the log is checked", || {
        let body = up.get("/readyz").json();
        body["reasons"][0].as_str().is_some_and(|why| why.contains("its log is checked")).then_some(())
    });
}

#[test]
fn a_log_whose_broker_fails_again_while_it_is_checked_is_checked_again_before_anything_is_served() {
    let (site, up) = used();
    fail_to_append(&site);
    until_it_is_checked(&up);
    let first = fs::read(mark(&site)).unwrap();
    fail_to_append(&site);
    let second =
        wait_until("the second failure is marked", || fs::read(mark(&site)).ok().filter(|mark| *mark != first));
    assert_eq!(up.post(br#"{"id":"evt_meanwhile","type":"customer.created"}"#).status, 503);
    assert_eq!(fs::read(mark(&site)).ok(), Some(second), "served, or the mark is gone, before it was checked");
    wait_until("it is ready again", || (up.get("/readyz").status == 200).then_some(()));
    assert!(!mark(&site).exists(), "its log was not checked");
    site.audit();
    assert_eq!(site.processed(up.brokers()).1.len(), EVENTS);
    up.views_follow();
    assert!(up.program.stop().success());
}

#[test]
fn a_broker_that_is_given_up_while_its_log_is_checked_ends_up_and_leaves_the_mark() {
    let (site, up) = used();
    let mut broker = fail_to_append(&site);
    until_it_is_checked(&up);
    for _ in 0..2 {
        broker = wait_until("another broker runs", || site.recorded_broker().filter(|other| *other != broker));
        broker.kill();
    }
    let end = up.program.ended();
    assert_eq!(end.code, Some(3), "{}", end.stderr);
    assert!(end.stderr.contains("died 3 times"), "{}", end.stderr);
    assert!(mark(&site).exists(), "nobody would check its log");
    let up = site.up();
    assert!(!mark(&site).exists(), "its log was not checked");
    site.audit();
    assert_eq!(site.processed(up.brokers()).1.len(), EVENTS);
    assert!(up.program.stop().success());
}
