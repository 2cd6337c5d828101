//! The log loses its end and is written on, under the same topic id: a backup of the broker's files was put back, or a replica
//! that lagged was elected. Offsets look right then, and mean other records.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use hooklog_test_support::records::{delete_group, records};
use hooklog_test_support::{Feed, Site, wait_until};

const HOOKLOG: &str = env!("CARGO_BIN_EXE_hooklog");
const PARTITIONS: u32 = 4;

/// An installation that has a backup of its broker's files, and was used since.
struct Used {
    site: Site,
    backup: PathBuf,
    /// All of the data directory, as it was last.
    last: PathBuf,
    /// So many events came after the backup.
    lost: usize,
}

impl Used {
    fn new() -> Used {
        let site = Site::alone(HOOKLOG);
        let (backup, last) = (site.file("backup"), site.file("last"));
        let use_it = |name| {
            let up = site.up();
            let fed = feed(&site, up.brokers(), name, 200);
            site.processed(up.brokers());
            up.views_follow();
            assert!(up.program.stop().success());
            fed
        };
        use_it("first");
        copy(&site.data_dir().join("broker/kafka"), &backup);
        let lost = use_it("lost");
        copy(&site.data_dir(), &last);
        Used { site, backup, last, lost }
    }

    fn kafka(&self) -> PathBuf {
        self.site.data_dir().join("broker/kafka")
    }

    fn as_it_was(&self) {
        fs::remove_dir_all(self.site.data_dir()).unwrap();
        copy(&self.last, &self.site.data_dir());
    }

    /// The topics of the broker are those of the backup again.
    fn put_back_all(&self) {
        fs::remove_dir_all(self.kafka()).unwrap();
        copy(&self.backup, &self.kafka());
    }

    /// Only `raw` is; as after an election of a replica that lags in `raw`.
    fn put_back_raw(&self) {
        for partition in 0..PARTITIONS {
            let name = format!("hooklog.raw-{partition}");
            fs::remove_dir_all(self.kafka().join(&name)).unwrap();
            copy(&self.backup.join(&name), &self.kafka().join(&name));
        }
        // It says that more of raw is on disk than there is.
        fs::remove_file(self.kafka().join("recovery-point-offset-checkpoint")).unwrap();
    }

    /// More new webhooks come than were lost, and some that were lost come again.
    fn write_on(&self, offsets_are_lost: bool) {
        let broker = self.site.service(&["broker", "run", "--kafka-port", "0"]).unwrap();
        if offsets_are_lost {
            delete_group(broker.brokers(), &self.site.group());
        }
        feed(&self.site, broker.brokers(), "new", self.lost + 200);
        feed(&self.site, broker.brokers(), "lost", 100);
        assert!(broker.program.stop().success());
    }

    /// The start stops, says `words`, and has emitted nothing.
    #[track_caller]
    fn refuses(&self, words: &[&str]) {
        let refused = self.site.try_up(&[]).expect_err("it went on in a log that it was not made of");
        assert_eq!(refused.code, Some(3), "{refused}");
        for words in words {
            assert!(refused.stderr.contains(words), "no {words}: {refused}");
        }
    }

    /// The ways out that the error names.
    fn mend(&self) {
        let broker = self.site.service(&["broker", "run", "--kafka-port", "0"]).unwrap();
        let shown = self.site.run(&["offsets", "repair", "--json"]);
        assert!(shown.stdout.contains("new ones were appended"), "{shown:?}");
        for words in [&["offsets", "repair", "--apply"][..], &["repair", "--apply"]] {
            let done = self.site.run(words);
            assert_eq!(done.code, Some(0), "{done:?}");
        }
        assert!(broker.program.stop().success());
    }

    /// Everything that raw holds has one event, and what comes goes on. So does every webhook that was lost, once it comes again;
    /// nobody knows of its event where that is still there, and the store is lost.
    #[track_caller]
    fn goes_on(&self, all_come_again: bool) {
        let up = self.site.up();
        feed(&self.site, up.brokers(), "later", 100);
        if all_come_again {
            feed(&self.site, up.brokers(), "lost", self.lost);
        }
        let in_raw = |brokers| -> BTreeSet<String> {
            let raw = records(brokers, &self.site.topics().raw());
            raw.iter().map(|record| record.key.clone()).collect()
        };
        let expected = in_raw(up.brokers());
        let events = wait_until("an event for all that is in raw", || {
            let mut events = BTreeMap::<String, usize>::new();
            for event in records(up.brokers(), &self.site.topics().events()) {
                *events.entry(event.header("ce_id").unwrap().to_owned()).or_default() += 1;
            }
            expected.iter().all(|id| events.contains_key(id)).then_some(events)
        });
        let doubled: Vec<_> = events.iter().filter(|(_, times)| **times > 1).collect();
        assert_eq!(doubled, [], "events came twice");
        up.views_follow();
        assert!(up.program.stop().success());
    }
}

fn feed(site: &Site, brokers: &str, name: &str, at_least: usize) -> usize {
    let feed = Feed::start(brokers, &site.topics().raw(), PARTITIONS, name);
    wait_until("so many records", || (feed.events() >= at_least).then_some(()));
    feed.stop()
}

fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").args([from, to]).status().unwrap().success());
}

#[test]
fn a_processor_stops_where_raw_alone_was_written_anew_whether_its_store_is_there_or_not() {
    let used = Used::new();
    for store_is_lost in [false, true] {
        used.as_it_was();
        used.put_back_raw();
        used.write_on(false);
        if store_is_lost {
            fs::remove_dir_all(used.site.stores()).unwrap();
        }
        used.refuses(&["differs from the record that was processed", "hooklog offsets repair"]);
        used.mend();
        used.goes_on(!store_is_lost);
    }
    // What was accepted stays so.
    assert!(used.site.up().program.stop().success());
}

#[test]
fn a_store_and_views_stop_where_the_whole_log_was_written_anew() {
    let used = Used::new();
    used.put_back_all();
    used.write_on(true);
    let views = used.site.data_dir().join("projector");
    fs::remove_dir_all(&views).unwrap();
    used.refuses(&["differs from the record that was processed", "hooklog offsets repair"]);
    used.mend();
    used.goes_on(true);

    used.as_it_was();
    used.put_back_all();
    used.write_on(false);
    fs::remove_dir_all(used.site.data_dir().join("processor")).unwrap();
    used.refuses(&[views.to_str().unwrap()]);
    fs::remove_dir_all(&views).unwrap();
    used.goes_on(true);
}
