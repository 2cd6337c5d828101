use std::path::Path;

use hooklog_schemas::Millis;
use hooklog_store::{Registry, Writes};

use super::*;
use crate::rules::{DEFAULT, Rules};
use crate::views::family::{RULES, RULES_TEXT, SUBSCRIPTIONS, layout};

fn place(dir: &Path, rules: Option<&str>) -> Place {
    let rules = rules.map(|text| {
        let path = dir.join("rules.toml");
        std::fs::write(&path, text).unwrap();
        path
    });
    let registry = Registry::with_memory(32 << 20);
    Place {
        dir: dir.join("views"),
        registry,
        topic: "hooklog.events".into(),
        log: "topicid".into(),
        partitions: 4,
        rules,
    }
}

fn stricter() -> String {
    DEFAULT.replace("# grace_days = 7", "grace_days = 7")
}

fn on_disk(place: &Place) -> Vec<u64> {
    let mut numbers = manifest::on_disk(&place.dir).unwrap();
    numbers.sort_unstable();
    numbers
}

#[test]
fn a_changed_file_does_nothing_until_a_rebuild_also_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    drop(Generations::open(place(dir.path(), Some(DEFAULT))).unwrap());
    let generations = Generations::open(place(dir.path(), Some(&stricter()))).unwrap();
    assert_eq!(generations.live().rules, Rules::built_in());
    assert!(matches!(generations.rules_on_disk(), OnDisk::Changed { .. }));
    let built = generations.begin().unwrap();
    generations.switch(&built).unwrap();
    assert_eq!(generations.rules_on_disk(), OnDisk::Same);
    drop((generations, built));
    let generations = Generations::open(place(dir.path(), Some("broken"))).unwrap();
    assert_eq!(
        (generations.live().number, generations.live().rules.of_status("past_due").grace),
        (2, Some(7 * 86_400))
    );
}

#[test]
fn broken_rules_stop_the_first_start_and_every_rebuild_and_leave_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(Generations::open(place(dir.path(), Some("broken"))), Err(Error::Rules { .. })));
    let generations = Generations::open(place(dir.path(), Some(DEFAULT))).unwrap();
    std::fs::write(dir.path().join("rules.toml"), "broken").unwrap();
    assert!(matches!(generations.begin(), Err(Error::Rules { .. })));
    assert_eq!((generations.plan().building(), on_disk(&generations.place)), (None, vec![1]));
}

#[test]
fn one_older_generation_is_kept_and_the_ones_before_are_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let generations = Generations::open(place(dir.path(), None)).unwrap();
    for _ in 0..3 {
        let built = generations.begin().unwrap();
        generations.switch(&built).unwrap();
    }
    assert_eq!(on_disk(&generations.place), [3, 4]);
}

#[test]
fn a_build_that_a_crash_cut_short_is_discarded_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let generations = Generations::open(place(dir.path(), None)).unwrap();
    let built = generations.begin().unwrap();
    assert_eq!(on_disk(&generations.place), [1, 2]);
    assert!(matches!(generations.begin(), Err(Error::Building)));
    drop((generations, built));
    let generations = Generations::open(place(dir.path(), None)).unwrap();
    assert_eq!((generations.live().number, on_disk(&generations.place)), (1, vec![1]));
    assert_eq!(generations.begin().unwrap().number, 3, "a number is never used twice");
}

#[test]
fn views_that_begin_anew_keep_the_rules_of_those_before_whatever_is_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    drop(Generations::open(place(dir.path(), Some(&stricter()))).unwrap());
    let generations = Generations::open(place(dir.path(), Some(DEFAULT))).unwrap();
    generations.begin_anew().unwrap();
    drop(generations);
    let generations = Generations::open(place(dir.path(), Some(DEFAULT))).unwrap();
    let live = generations.live();
    assert_eq!((live.number, live.rules.text()), (2, stricter().as_str()));
    let applied = live.applied(hooklog_schemas::Partition(0)).unwrap();
    assert_eq!(applied.next, hooklog_schemas::NextOffset::ZERO, "they hold nothing yet");
}

#[test]
fn views_that_begin_anew_leave_none_that_could_be_switched_back_to() {
    let dir = tempfile::tempdir().unwrap();
    let generations = Generations::open(place(dir.path(), None)).unwrap();
    let built = generations.begin().unwrap();
    generations.switch(&built).unwrap();
    drop(built);
    assert_eq!(on_disk(&generations.place), [1, 2]);
    generations.begin_anew().unwrap();
    assert_eq!((generations.plan().previous(), on_disk(&generations.place)), (None, vec![3]));
    let given_up = generations.begin().unwrap();
    generations.begin_anew().unwrap();
    assert!(matches!(generations.switch(&given_up), Err(Error::Stopped)));
    assert_eq!(generations.live().number, 5);
}

#[test]
fn views_of_another_log_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    drop(Generations::open(place(dir.path(), None)).unwrap());
    let other = Place { log: "another".into(), ..place(dir.path(), None) };
    assert!(matches!(Generations::open(other), Err(Error::OtherLog { .. })));
}

/// Views of two generations, the second one live under stricter rules than those on disk now, with something in its tables.
fn two_generations(dir: &Path) {
    let generations = Generations::open(place(dir, Some(&stricter()))).unwrap();
    let built = generations.begin().unwrap();
    generations.switch(&built).unwrap();
    let mut writes = Writes::default();
    writes.put(SUBSCRIPTIONS, Millis::MIN, b"key", &[7; 2000]);
    built.store.apply(&writes, &[]).unwrap();
    built.store.flush().unwrap();
    std::fs::write(dir.join("rules.toml"), DEFAULT).unwrap();
}

/// Files of the live generation whose names begin with these words.
fn files(dir: &Path, name: &str) -> Vec<std::path::PathBuf> {
    let all = std::fs::read_dir(dir.join("views/generation-2")).unwrap().map(|entry| entry.unwrap().path());
    let found: Vec<_> = all.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(name)).collect();
    assert!(!found.is_empty(), "RocksDB has no {name}");
    found
}

fn flip(path: &Path, at: impl Fn(usize) -> usize) {
    let mut bytes = std::fs::read(path).unwrap();
    let at = at(bytes.len());
    bytes[at] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn views_that_cannot_be_opened_are_replaced_under_the_rules_that_they_had() {
    type Damage = fn(&Path);
    let damages: [(&str, Damage); 6] = [
        ("a flipped CURRENT", |dir| flip(&files(dir, "CURRENT")[0], |_| 0)),
        ("a CURRENT that names another file", |dir| flip(&files(dir, "CURRENT")[0], |length| length - 2)),
        ("no CURRENT", |dir| std::fs::remove_file(&files(dir, "CURRENT")[0]).unwrap()),
        ("a flipped manifest of RocksDB", |dir| flip(&files(dir, "MANIFEST")[0], |length| length / 2)),
        ("no manifest of RocksDB", |dir| std::fs::remove_file(&files(dir, "MANIFEST")[0]).unwrap()),
        ("no directory", |dir| std::fs::remove_dir_all(dir.join("views/generation-2")).unwrap()),
    ];
    for (what, damage) in damages {
        let dir = tempfile::tempdir().unwrap();
        two_generations(dir.path());
        damage(dir.path());
        let generations =
            Generations::open(Place { rules: Some(dir.path().join("rules.toml")), ..place(dir.path(), None) });
        let live = generations.unwrap_or_else(|error| panic!("{what}: {error}")).live();
        assert_eq!(live.rules.of_status("past_due").grace, Some(7 * 86_400), "{what}");
        assert_eq!(live.store.get(SUBSCRIPTIONS, b"key").unwrap(), None, "{what}: it begins anew");
        assert!(live.number >= 2, "{what}: {}", live.number);
    }
}

#[test]
fn views_whose_rules_are_not_those_of_the_manifest_are_replaced() {
    let dir = tempfile::tempdir().unwrap();
    two_generations(dir.path());
    let altered = place(dir.path(), None);
    let store = altered.registry.open_existing(&manifest::directory(&altered.dir, 2), layout()).unwrap();
    let mut writes = Writes::default();
    writes.put(RULES, Millis::MIN, RULES_TEXT, Rules::built_in().text().as_bytes());
    store.apply(&writes, &[]).unwrap();
    drop(store);
    let generations = Generations::open(altered).unwrap();
    assert_eq!(
        (generations.live().number, generations.live().rules.of_status("past_due").grace),
        (3, Some(7 * 86_400))
    );
}

/// As the first release left it: the plan alone in the manifest, the rules in the store.
fn as_the_first_release(dir: &Path, fold: u32) -> Place {
    let place = Place { rules: Some(dir.join("rules.toml")), ..place(dir, Some(&stricter())) };
    let kind = format!("views format=1 fold={fold} log=topicid partitions=4");
    std::fs::create_dir_all(&place.dir).unwrap();
    let store = place.registry.open(&manifest::directory(&place.dir, 1), layout(), &kind).unwrap();
    let mut writes = Writes::default();
    writes.put(RULES, Millis::MIN, RULES_TEXT, Rules::parse(&stricter()).unwrap().text().as_bytes());
    store.apply(&writes, &[]).unwrap();
    store.flush().unwrap();
    std::fs::write(place.dir.join("manifest.json"), serde_json::to_string(&GenerationSet::first()).unwrap()).unwrap();
    std::fs::write(dir.join("rules.toml"), DEFAULT).unwrap();
    place
}

#[test]
fn views_of_an_older_fold_are_built_anew_under_the_rules_that_they_had() {
    let dir = tempfile::tempdir().unwrap();
    let place = as_the_first_release(dir.path(), 1);
    let generations = Generations::open(place.clone()).unwrap();
    assert_eq!(
        (generations.live().number, generations.live().rules.of_status("past_due").grace),
        (2, Some(7 * 86_400))
    );
    assert_eq!(on_disk(&place), [2]);
}

#[test]
fn a_manifest_of_the_first_release_learns_the_rules() {
    let dir = tempfile::tempdir().unwrap();
    let place = as_the_first_release(dir.path(), crate::views::fold::VERSION);
    drop(Generations::open(place.clone()).unwrap());
    let manifest = manifest::read(&place.dir).unwrap().unwrap();
    assert_eq!(manifest.live_rules(), Some(Rules::parse(&stricter()).unwrap().text()));
}

#[test]
fn where_the_rules_are_lost_with_the_views_the_error_says_what_to_look_at_and_what_to_delete() {
    let dir = tempfile::tempdir().unwrap();
    let place = as_the_first_release(dir.path(), 1);
    flip(&place.dir.join("generation-1/CURRENT"), |_| 0);
    let refused = Generations::open(place.clone()).err().expect("nobody knows the rules").to_string();
    let delete = format!("delete the directory {}", place.dir.display());
    for part in [delete.as_str(), "--rules", "generation-1"] {
        assert!(refused.contains(part), "{part:?} is not in {refused:?}");
    }
    assert_eq!(on_disk(&place), [1], "nothing was touched");
}

#[test]
fn a_directory_that_cannot_be_read_is_no_damage() {
    let dir = tempfile::tempdir().unwrap();
    two_generations(dir.path());
    let held = place(dir.path(), None);
    let _open = held.registry.open_existing(&manifest::directory(&held.dir, 2), layout()).unwrap();
    // Another process of ours has it open: RocksDB's lock says no, and nothing must be deleted.
    let refused = Generations::open(place(dir.path(), None)).err().expect("it is held");
    assert!(!refused.is_damage(), "{refused}");
    assert_eq!(on_disk(&held), [1, 2]);
}
