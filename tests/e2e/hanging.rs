//! Commits whose end markers a coordinator skipped (KAFKA-20734): the coordinator calls them complete, and they hang in some

//! partitions or in all. Here the markers are taken out of the partitions' files while the broker is away, which leaves the same.

use hooklog_faults::logs::segment::Segment;
use hooklog_log::connection::{Connection, Isolation};
use hooklog_log::watermarks;
use hooklog_task::metric_names::{COMMITTED, HANGING, REEMITTED, TRANSACTIONS};
use hooklog_test_support::{Feed, Site, Up, wait_until};

const HOOKLOG: &str = env!("CARGO_BIN_EXE_hooklog");

/// So many commits of each producer lose their end: the last one may not have been acknowledged, the one before it was.
const LAST: usize = 2;

/// What of the last commits lost its end, and whether the store was lost with it.
struct Skipped {
    name: &'static str,
    events: &'static [i32],
    offsets: bool,
    store: bool,
}

const SKIPPED: [Skipped; 6] = [
    Skipped { name: "one partition", events: &[0], offsets: false, store: false },
    Skipped { name: "offsets", events: &[], offsets: true, store: false },
    Skipped { name: "everywhere", events: &[0, 1, 2, 3], offsets: true, store: false },
    Skipped { name: "some and offsets", events: &[1, 2], offsets: true, store: false },
    Skipped { name: "everywhere, store lost", events: &[0, 1, 2, 3], offsets: true, store: true },
    Skipped { name: "some, store lost", events: &[2, 3], offsets: false, store: true },
];

/// Under load, hooklog is killed; once the coordinator has ended what was open, so is its broker.
fn killed_under_load(site: &Site, up: Up, name: &str) {
    let (raw, events) = (site.topics().raw(), site.topics().events());
    let feed = Feed::paced(up.brokers(), &raw, 4, name);
    let committed = || up.metric(TRANSACTIONS, &format!("outcome=\"{COMMITTED}\""));
    let before = committed();
    wait_until("there are many commits", || (committed() > before + 20.0).then_some(()));
    let (brokers, broker) = (up.brokers().to_owned(), up.broker());
    up.program.kill();
    feed.stop();
    let connection = Connection::to(brokers);
    wait_until("nothing is open any more", || {
        let end = |isolation| watermarks::all(&connection, &events, 4, isolation).ok();
        (end(Isolation::Committed)? == end(Isolation::Uncommitted)?).then_some(())
    });
    broker.kill();
    // The views have read on behind the markers that are taken away now, which no view can where they never were.
    std::fs::remove_dir_all(site.data_dir().join("projector")).unwrap();
}

#[test]
fn commits_whose_end_markers_were_skipped_are_ended_and_nothing_is_lost_or_doubled() {
    let site = Site::alone(HOOKLOG);
    let mut up = site.up();
    let (mut hung, mut again) = (0.0, 0.0);
    for skipped in SKIPPED {
        killed_under_load(&site, up, skipped.name);
        for partition in skipped.events {
            Segment::of(&site, &format!("hooklog.events-{partition}")).hide_last_commit_markers(LAST);
        }
        if skipped.offsets {
            Segment::of_offsets(&site).hide_last_commit_markers(LAST);
        }
        if skipped.store {
            std::fs::remove_dir_all(site.stores()).unwrap();
        }
        up = site.up();
        site.is_exact(up.brokers());
        hung += up.metric(HANGING, "processor");
        again += up.metric(REEMITTED, "processor");
    }
    // A commit may also be ended by the abort of what was open at the kill: then nothing hangs, and outputs are lost already.
    assert!(hung > 0.0 && again > 0.0, "nothing hung ({hung}) or was lost ({again}), so nothing was shown");
    assert!(up.program.stop().success());
}

/// The way out of before: nothing is lost by it, and what it takes back the next start emits again.
#[test]
fn offsets_repair_ends_what_hangs_and_the_next_start_emits_what_that_took_back() {
    let site = Site::alone(HOOKLOG);
    let up = site.up();
    killed_under_load(&site, up, "repaired");
    for partition in 0..4 {
        Segment::of(&site, &format!("hooklog.events-{partition}")).hide_last_commit_markers(LAST);
    }
    Segment::of_offsets(&site).hide_last_commit_markers(LAST);
    let data_dir = site.data_dir();
    let broker = site.service(&["broker", "run", "--kafka-port", "0"]).unwrap();
    let shown = site.run(&["offsets", "repair"]);
    assert_ne!(shown.code, Some(0), "{shown:?}");
    assert!(shown.stderr.contains("--apply"), "{shown:?}");
    let done = site.run(&["offsets", "repair", "--apply"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(broker.program.stop().success(), "{}", data_dir.display());
    let up = site.up();
    site.is_exact(up.brokers());
    assert!(up.metric(REEMITTED, "processor") > 0.0, "nothing was taken back, so nothing was shown");
    assert!(up.program.stop().success());
}
