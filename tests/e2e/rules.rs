//! What a status gives stands in a file; a rebuild makes it hold.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;

use hooklog_oracle::{Of, Oracle};
use hooklog_test_support::{Broker, Done, Site, Up};
use serde_json::Value;

const HOOKLOG: &str = env!("CARGO_BIN_EXE_hooklog");
const DEFAULT: &str = include_str!("../../rules/default.toml");
const SENT: [&str; 6] = ["--events", "900", "--customers", "70", "--seed", "5"];

/// `up` with a rules file of its own, and views that hold all that was sent.
struct House {
    site: Site,
    up: Up,
    oracle: Oracle,
}

impl House {
    fn open() -> House {
        let site = Site::on(Broker::shared(HOOKLOG), HOOKLOG);
        let rules = site.file("rules.toml");
        std::fs::write(&rules, DEFAULT).unwrap();
        let manners = ["--shuffle", "--duplicates", "0.1", "--concurrency", "96"];
        let (up, oracle) = site.filled(&["--rules", rules.to_str().unwrap()], &SENT, &manners);
        House { site, up, oracle }
    }

    fn rule(&self, text: &str) {
        std::fs::write(self.site.file("rules.toml"), text).unwrap();
    }

    fn rebuild(&self) -> Done {
        self.site.run(&["rebuild", "--json"])
    }

    fn rebuilt(&self) -> Value {
        let done = self.rebuild();
        assert_eq!(done.code, Some(0), "{done:?}");
        done.json()
    }

    fn losers(&self) -> BTreeSet<Of> {
        let (with, without) = (self.oracle.customers(true), self.oracle.customers(false));
        with.into_iter().filter(|(of, access)| *access && !without[of]).map(|(of, _)| of).collect()
    }
}

fn without_past_due() -> String {
    let changed = DEFAULT.replacen("access = true\nreason = \"past_due\"", "access = false\nreason = \"past_due\"", 1);
    assert_ne!(changed, DEFAULT);
    changed
}

#[test]
fn a_rebuild_without_access_for_past_due_takes_it_from_exactly_the_oracles_customers_and_gives_it_back() {
    let house = House::open();
    let losers = house.losers();
    assert!(
        !losers.is_empty() && losers.len() < house.oracle.customers(true).len(),
        "the seed shows nothing: {losers:?}"
    );
    house.up.equals(&house.oracle, true);
    house.rule(&without_past_due());
    house.up.equals(&house.oracle, true);
    let taken = house.rebuilt();
    assert_eq!(taken["same"], false, "{taken}");
    house.up.equals(&house.oracle, false);
    house.rule(DEFAULT);
    house.up.equals(&house.oracle, false);
    let back = house.rebuilt();
    assert_eq!(back["content"], taken["previous_content"], "{back}");
    assert_ne!(back["content"], taken["content"], "{back}");
    house.up.equals(&house.oracle, true);
}

#[test]
fn a_broken_rules_file_is_refused_with_its_line_and_the_views_go_on_as_they_were() {
    let house = House::open();
    for (broken, expected) in [
        (DEFAULT.replacen("access = true", "access = yes", 1), line_of("access = true")),
        (DEFAULT.replacen("[status.paused]", "[status.pausd]", 1), line_of("[status.paused]")),
        (DEFAULT.replacen("version = 1", "version = 2", 1), line_of("version = 1")),
    ] {
        house.rule(&broken);
        let refused = house.rebuild();
        assert_ne!(refused.code, Some(0), "{refused:?}");
        assert!(refused.stderr.contains(&format!("line {expected} ")), "line {expected} is wrong: {refused:?}");
        assert!(refused.stderr.contains("rules.toml"), "{refused:?}");
    }
    house.up.equals(&house.oracle, true);
    house.rule(DEFAULT);
    assert_eq!(house.rebuilt()["same"], true);
}

#[test]
fn the_rules_of_a_generation_outlive_a_restart_under_a_changed_file() {
    let House { site, up, oracle } = House::open();
    std::fs::write(site.file("rules.toml"), without_past_due()).unwrap();
    assert!(up.program.stop().success());
    let rules = site.file("rules.toml");
    let up = site.try_up(&["--rules", rules.to_str().unwrap()]).unwrap_or_else(|refused| panic!("{refused}"));
    up.equals(&oracle, true);
    assert!(up.program.stderr().contains("rebuild"), "nobody said that the file has changed: {}", up.program.stderr());
}

/// Where a line that stands in the default rules begins, counted from 1.
fn line_of(text: &str) -> usize {
    DEFAULT.lines().position(|line| line == text).expect(text) + 1
}
