//! The short form of `make chaos`: the fault harness itself, with ten cycles that follow each other quickly.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use hooklog_faults::options::{Options, Scenario};
use hooklog_faults::{Place, Standing, Stop, run};

const HOOKLOG: &str = env!("CARGO_BIN_EXE_hooklog");
const CYCLES: u64 = 10;

#[test]
fn ten_kills_of_hooklog_its_broker_or_both_under_load_lose_and_double_nothing_and_each_time_it_is_ready_again() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options { cycles: CYCLES, check_every: 5, hurry: true, rate: 300, ..Options::of(Scenario::Crash) };
    let place = Place { hooklog: HOOKLOG.into(), directory: directory.path().to_owned(), report: None };
    let report = run(options, place, &Stop::default()).unwrap();
    assert_eq!(report.standing, Standing::Passed, "{}\n{:#?}", report.table(), report.findings);
    assert_eq!((report.cycles.len() as u64, report.restarts["all"].count, report.checks), (CYCLES, CYCLES, 2));
    // A harness that posts nothing, or reads no transactions, finds nothing either.
    let (load, log) = (&report.load[&1], &report.logs[&1].judgement);
    assert!(load.acknowledged > 1_000 && load.answers.len() > 1, "{load:?}");
    assert!(log.transactions > 100 && log.markers > log.transactions, "{log:?}");
}
