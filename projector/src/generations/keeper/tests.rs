use super::*;
use crate::rules::DEFAULT;

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
    drop(Keeper::open(place(dir.path(), Some(DEFAULT))).unwrap());
    let keeper = Keeper::open(place(dir.path(), Some(&stricter()))).unwrap();
    assert_eq!(keeper.live().rules, Rules::built_in());
    assert!(matches!(keeper.rules_on_disk(), OnDisk::Changed { .. }));
    let built = keeper.begin().unwrap();
    keeper.switch(&built).unwrap();
    assert_eq!(keeper.rules_on_disk(), OnDisk::Same);
    drop((keeper, built));
    let keeper = Keeper::open(place(dir.path(), Some("broken"))).unwrap();
    assert_eq!((keeper.live().number, keeper.live().rules.of_status("past_due").grace), (2, Some(7 * 86_400)));
}

#[test]
fn broken_rules_stop_the_first_start_and_every_rebuild_and_leave_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(Keeper::open(place(dir.path(), Some("broken"))), Err(Error::Rules { .. })));
    let keeper = Keeper::open(place(dir.path(), Some(DEFAULT))).unwrap();
    std::fs::write(dir.path().join("rules.toml"), "broken").unwrap();
    assert!(matches!(keeper.begin(), Err(Error::Rules { .. })));
    assert_eq!((keeper.plan().building(), on_disk(&keeper.place)), (None, vec![1]));
}

#[test]
fn one_older_generation_is_kept_and_the_ones_before_are_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let keeper = Keeper::open(place(dir.path(), None)).unwrap();
    for _ in 0..3 {
        let built = keeper.begin().unwrap();
        keeper.switch(&built).unwrap();
    }
    assert_eq!(on_disk(&keeper.place), [3, 4]);
}

#[test]
fn a_build_that_a_crash_cut_short_is_discarded_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let keeper = Keeper::open(place(dir.path(), None)).unwrap();
    let built = keeper.begin().unwrap();
    assert_eq!(on_disk(&keeper.place), [1, 2]);
    assert!(matches!(keeper.begin(), Err(Error::Building)));
    drop((keeper, built));
    let keeper = Keeper::open(place(dir.path(), None)).unwrap();
    assert_eq!((keeper.live().number, on_disk(&keeper.place)), (1, vec![1]));
    assert_eq!(keeper.begin().unwrap().number, 3, "a number is never used twice");
}

#[test]
fn views_that_begin_anew_keep_the_rules_of_those_before_whatever_is_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    drop(Keeper::open(place(dir.path(), Some(&stricter()))).unwrap());
    let keeper = Keeper::open(place(dir.path(), Some(DEFAULT))).unwrap();
    keeper.begin_anew().unwrap();
    drop(keeper);
    let keeper = Keeper::open(place(dir.path(), Some(DEFAULT))).unwrap();
    let live = keeper.live();
    assert_eq!((live.number, live.rules.text()), (2, stricter().as_str()));
    let applied = live.applied(hooklog_schemas::Partition(0)).unwrap();
    assert_eq!(applied.next, hooklog_schemas::NextOffset::ZERO, "they hold nothing yet");
}

#[test]
fn views_of_another_log_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    drop(Keeper::open(place(dir.path(), None)).unwrap());
    let other = Place { log: "another".into(), ..place(dir.path(), None) };
    assert!(matches!(Keeper::open(other), Err(Error::OtherLog { .. })));
}
