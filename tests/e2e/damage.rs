//! Views are a cache of the log. What a disk does to them is noticed, answered with 503, and mended from the log.

use std::fs;
use std::path::{Path, PathBuf};

use hooklog_oracle::Oracle;
use hooklog_projector::rules::DEFAULT;
use hooklog_test_support::wait_until;

use crate::views::installation::{Service, Site, disordered, generated, without_past_due};

/// Views of some customers, at rest, in tables; and a rules file that has changed since.
struct Installation {
    site: Site,
    oracle: Oracle,
}

impl Installation {
    fn new() -> Installation {
        let site = Site::new();
        let bodies = generated(&["--events", "2000", "--customers", "150", "--seed", "5"]);
        site.write(&disordered(&bodies));
        let oracle = Oracle::from_ordered(&bodies);
        assert_ne!(oracle.customers(true), oracle.customers(false), "the seed has nobody who is past due");
        Service::start(&site).caught_up(&site);
        // RocksDB writes tables of what was in its log when it opens.
        drop(Service::unfed(&site));
        site.rule(&without_past_due());
        Installation { site, oracle }
    }

    fn generation(&self, number: u64) -> PathBuf {
        self.site.dir.path().join(format!("views/generation-{number}"))
    }

    fn files(&self, name: &str) -> Vec<PathBuf> {
        let all = fs::read_dir(self.generation(1)).unwrap().map(|entry| entry.unwrap().path());
        let found: Vec<_> = all.filter(|path| path.file_name().unwrap().to_str().unwrap().contains(name)).collect();
        assert!(!found.is_empty(), "RocksDB has no {name}");
        found
    }

    /// Everything is as the oracle says, by the rules that the views were built with, and not by those on disk.
    fn is_mended(&self, service: &Service) {
        service.caught_up(&self.site);
        service.equals(&self.oracle, true);
        let status = service.projector.status().unwrap();
        assert_eq!((status.generation, self.generation(1).exists()), (2, false));
    }
}

fn flip(path: &Path, at: impl Fn(usize) -> usize) {
    let mut bytes = fs::read(path).unwrap();
    let at = at(bytes.len());
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

fn holds(table: &Path, text: &str) -> bool {
    fs::read(table).unwrap().windows(text.len()).any(|bytes| bytes == text.as_bytes())
}

#[test]
fn a_bit_that_flipped_in_the_states_is_met_by_a_question_which_gets_503_until_the_views_are_built_anew() {
    let installation = Installation::new();
    // Neither positions nor counts of what was skipped: whoever asks for the status reads those.
    let states: Vec<_> = installation.files(".sst").into_iter().filter(|table| holds(table, "cus_")).collect();
    assert!(!states.is_empty());
    states.iter().for_each(|table| flip(table, |_| 10));
    let service = Service::start(&installation.site);
    service.caught_up(&installation.site);
    assert_eq!(service.projector.status().unwrap().generation, 1, "nobody has noticed yet");
    let customers = installation.oracle.customers(true);
    wait_until("some customer's question meets the bit", || {
        customers
            .keys()
            .any(|of| service.get(&format!("/v1/customers/{}/access?livemode={}", of.id, of.livemode)).0 == 503)
            .then_some(())
    });
    installation.is_mended(&service);
}

#[test]
fn a_bit_that_flipped_in_the_states_is_met_by_the_reader_which_builds_the_views_anew() {
    let installation = Installation::new();
    // The store opens, and its positions are good: it is the states that the reader cannot go on from.
    installation.files(".sst").iter().filter(|table| holds(table, "cus_")).for_each(|table| flip(table, |_| 10));
    // The same events again touch every state.
    let again = generated(&["--events", "2000", "--customers", "150", "--seed", "5"]);
    installation.site.write(&disordered(&again));
    let service = Service::start(&installation.site);
    installation.is_mended(&service);
}

#[test]
fn a_store_that_cannot_be_opened_is_built_anew_under_the_rules_that_it_had() {
    for name in [".sst", "CURRENT", "MANIFEST"] {
        let installation = Installation::new();
        // All tables, those with the positions too.
        installation
            .files(name)
            .iter()
            .for_each(|file| flip(file, |length| if name == ".sst" { 10 } else { length / 2 }));
        let service = Service::start(&installation.site);
        installation.is_mended(&service);
    }
}

#[test]
fn a_damaged_manifest_refuses_to_start_says_what_to_delete_and_then_all_is_built_anew_by_the_rules_on_disk() {
    let installation = Installation::new();
    let views = installation.site.dir.path().join("views");
    flip(&views.join("manifest.json"), |length| length / 2);
    let refused = installation.site.try_open().err().expect("nobody knows which views answer").to_string();
    for part in [format!("delete the directory {}", views.display()), "--rules".to_owned()] {
        assert!(refused.contains(&part), "{part:?} is not in {refused:?}");
    }
    fs::remove_dir_all(&views).unwrap();
    let service = Service::start(&installation.site);
    service.caught_up(&installation.site);
    service.equals(&installation.oracle, false);
    installation.site.rule(DEFAULT);
    service.equals(&installation.oracle, false);
}
