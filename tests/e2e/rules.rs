//! What a status gives stands in a file; a rebuild makes it hold.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;

use hooklog_oracle::{Of, Oracle, PastDue};
use hooklog_test_support::{Broker, Done, Site, Up, narrowed, wait_until};
use serde_json::{Value, json};

const HOOKLOG: &str = env!("CARGO_BIN_EXE_hooklog");
const DEFAULT: &str = include_str!("../../rules/default.toml");
const SENT: [&str; 6] = ["--events", "900", "--customers", "70", "--seed", "5"];

/// `up` with a rules file of its own, and views that hold all that was sent.
struct Installation {
    site: Site,
    up: Up,
    oracle: Oracle,
}

impl Installation {
    fn open() -> Installation {
        let site = Site::on(Broker::shared(HOOKLOG), HOOKLOG);
        let rules = site.file("rules.toml");
        std::fs::write(&rules, DEFAULT).unwrap();
        let manners = ["--shuffle", "--duplicates", "0.1", "--concurrency", "96"];
        let (up, oracle) = site.filled(&["--rules", rules.to_str().unwrap()], &SENT, &manners);
        Installation { site, up, oracle }
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

    /// What is said of each customer, byte for byte.
    fn answers(&self) -> Vec<String> {
        let customers = self.oracle.customers(true);
        let paths = customers.keys().map(|of| format!("/v1/customers/{}/access?{}", of.id, narrowed(of)));
        paths.map(|path| self.up.get(&path).body).collect()
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
    let installation = Installation::open();
    let losers = installation.losers();
    assert!(
        !losers.is_empty() && losers.len() < installation.oracle.customers(true).len(),
        "the seed shows nothing: {losers:?}"
    );
    installation.up.equals(&installation.oracle, true);
    let before = installation.answers();
    installation.rule(&without_past_due());
    installation.up.equals(&installation.oracle, true);
    let taken = installation.rebuilt();
    assert_eq!(taken["same"], false, "{taken}");
    installation.up.equals(&installation.oracle, false);
    assert_ne!(installation.answers(), before, "answers changed");
    installation.rule(DEFAULT);
    installation.up.equals(&installation.oracle, false);
    let back = installation.rebuilt();
    assert_eq!(back["content"], taken["previous_content"], "{back}");
    assert_ne!(back["content"], taken["content"], "{back}");
    installation.up.equals(&installation.oracle, true);
    assert_eq!(installation.answers(), before, "to the byte");
}

#[test]
fn with_days_of_grace_access_ends_at_the_second_that_the_oracle_says() {
    const DAYS: i64 = 3;
    let installation = Installation::open();
    let began = installation.oracle.overdue_since();
    assert!(began.len() > 1, "the seed has too few who are past due: {began:?}");
    installation.rule(&DEFAULT.replacen("# grace_days = 7", &format!("grace_days = {DAYS}"), 1));
    installation.rebuilt();
    for until in began.iter().map(|began| began + DAYS * 86_400) {
        for at in [until - 1, until] {
            let expected = installation.oracle.customers_under(PastDue::Grace { seconds: DAYS * 86_400, at });
            for (of, access) in &expected {
                let answer = installation.up.get(&format!("/v1/customers/{}/access?{}&at={at}", of.id, narrowed(of)));
                assert_eq!(
                    (answer.status, &answer.json()["access"]),
                    (200, &json!(access)),
                    "{of:?} at {at}: {answer:?}"
                );
            }
        }
    }
}

#[test]
fn a_rebuild_without_its_rules_file_is_refused_and_nothing_changes() {
    let installation = Installation::open();
    let before = installation.answers();
    std::fs::remove_file(installation.site.file("rules.toml")).unwrap();
    let refused = installation.rebuild();
    assert_eq!(refused.code, Some(2), "{refused:?}");
    for part in ["rules.toml", "there is no such file"] {
        assert!(refused.stderr.contains(part), "{part}: {refused:?}");
    }
    assert_eq!(installation.answers(), before);
    installation.rule(DEFAULT);
    let rebuilt = installation.rebuilt();
    assert_eq!((&rebuilt["same"], &rebuilt["generation"]), (&json!(true), &json!(2)), "no number was used up");
}

#[test]
fn after_kill_9_in_the_middle_of_a_rebuild_all_answers_are_of_the_old_rules_or_all_of_the_new() {
    let Installation { site, up, oracle } = Installation::open();
    let rules = site.file("rules.toml");
    let (mut up, mut generation, mut past_due) = (up, 1, true);
    for text in [without_past_due(), DEFAULT.to_owned(), without_past_due()] {
        std::fs::write(&rules, &text).unwrap();
        let mut asking = site.command(&["rebuild", "--json"]);
        let mut asking = asking.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        wait_until("a generation is being built", || built_after(&site.data_dir(), generation));
        up.program.kill();
        asking.wait().unwrap();
        up = site.try_up(&["--rules", rules.to_str().unwrap()]).unwrap_or_else(|refused| panic!("{refused}"));
        let views = up.get("/readyz").json()["views"].clone();
        assert_eq!(views["building"], Value::Null, "{views}");
        // A slow machine may have let it switch before we killed it.
        let has_switched = views["generation"] != generation;
        up.equals(&oracle, if has_switched { text == DEFAULT } else { past_due });
        let done = site.run(&["rebuild", "--json"]);
        assert_eq!(done.code, Some(0), "{done:?}");
        (generation, past_due) = (done.json()["generation"].as_u64().unwrap(), text == DEFAULT);
        up.equals(&oracle, past_due);
        assert_eq!(built_after(&site.data_dir(), generation), None, "what was cut short is gone");
    }
}

/// The directory of a generation with a higher number.
fn built_after(data_dir: &Path, generation: u64) -> Option<()> {
    let entries = std::fs::read_dir(data_dir.join("projector")).unwrap();
    let numbers =
        entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.strip_prefix("generation-")?.parse().ok());
    numbers.max().filter(|number: &u64| *number > generation).map(drop)
}

#[test]
fn a_broken_rules_file_is_refused_with_its_line_and_the_views_go_on_as_they_were() {
    let installation = Installation::open();
    for (broken, expected) in [
        (DEFAULT.replacen("access = true", "access = yes", 1), line_of("access = true")),
        (DEFAULT.replacen("[status.paused]", "[status.pausd]", 1), line_of("[status.paused]")),
        (DEFAULT.replacen("version = 1", "version = 2", 1), line_of("version = 1")),
    ] {
        installation.rule(&broken);
        let refused = installation.rebuild();
        assert_eq!(refused.code, Some(2), "{refused:?}");
        assert!(refused.stderr.contains(&format!("line {expected} ")), "line {expected} is wrong: {refused:?}");
        assert!(refused.stderr.contains("rules.toml"), "{refused:?}");
    }
    installation.up.equals(&installation.oracle, true);
    installation.rule(DEFAULT);
    assert_eq!(installation.rebuilt()["same"], true);
}

#[test]
fn the_rules_of_a_generation_outlive_a_restart_under_a_changed_file() {
    let Installation { site, up, oracle } = Installation::open();
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
