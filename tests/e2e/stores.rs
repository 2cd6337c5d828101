//! Stores that are behind, gone or damaged: each is a cache of `raw`, and is brought up from there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use hooklog_test_support::{Broker, Feed, Site, Up, wait_until};

const HOOKLOG: &str = env!("CARGO_BIN_EXE_hooklog");
/// How many events are there before something happens to a store.
const ENOUGH: usize = 400;

/// A site that has taken in some events, all of which come again in `again`.
fn filled() -> (Site, Up) {
    let site = Site::on(Broker::shared(HOOKLOG), HOOKLOG);
    let up = site.up();
    feed(&site, &up, "early");
    site.processed(up.brokers());
    (site, up)
}

/// Writes at least [`ENOUGH`] events of this name, from the first one on: those that were there are repeats.
fn feed(site: &Site, up: &Up, name: &str) {
    let feed = Feed::start(up.brokers(), &site.topics().raw(), 4, name);
    wait_until("enough is sent", || (feed.events() >= ENOUGH).then_some(()));
    feed.stop();
}

fn stopped(up: Up) {
    assert!(up.program.stop().success());
}

/// Where each partition's store and its group stood, once all are brought up.
fn all_resumed(up: &Up) -> Vec<(i32, i64, i64)> {
    wait_until("every partition is brought up", || {
        let resumed = resumed(up);
        (0..4).all(|partition| resumed.iter().any(|(number, _, _)| *number == partition)).then_some(resumed)
    })
}

/// The lines that say so.
fn resumed(up: &Up) -> Vec<(i32, i64, i64)> {
    let number = |line: &str, name: &str| -> i64 {
        let text = line.split_once(&format!(" {name}=")).unwrap().1;
        text.split(' ').next().unwrap().parse().unwrap()
    };
    let stderr = up.program.stderr();
    let lines = stderr.lines().filter(|line| line.contains(" resuming "));
    let place =
        |line: &str| (i32::try_from(number(line, "partition")).unwrap(), number(line, "store"), number(line, "until"));
    lines.map(place).collect()
}

fn copied(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").args([from, to]).status().unwrap().success());
}

/// The tables of a partition's store, the largest first.
fn tables(site: &Site, partition: u32) -> Vec<PathBuf> {
    let entries = fs::read_dir(site.stores().join(format!("p{partition}"))).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut tables: Vec<_> = paths.filter(|path| path.extension().is_some_and(|kind| kind == "sst")).collect();
    tables.sort_by_key(|path| std::cmp::Reverse(fs::metadata(path).unwrap().len()));
    tables
}

/// One bit of the first block, which holds keys and values.
fn flip(table: &Path) {
    let mut bytes = fs::read(table).unwrap();
    bytes[20] ^= 1;
    fs::write(table, bytes).unwrap();
}

#[test]
fn a_store_from_before_the_last_commits_is_rolled_forward_and_knows_what_they_took_in() {
    let (site, up) = filled();
    stopped(up);
    let (stores, kept) = (site.stores(), site.file("kept"));
    copied(&stores, &kept);
    let up = site.up();
    feed(&site, &up, "late");
    site.processed(up.brokers());
    stopped(up);
    // What a process leaves that died between its last commits and their writes.
    fs::remove_dir_all(&stores).unwrap();
    fs::rename(&kept, &stores).unwrap();

    let up = site.up();
    let behind = all_resumed(&up);
    assert!(behind.iter().any(|(_, store, until)| 0 < *store && store < until), "{behind:?}");
    feed(&site, &up, "late");
    feed(&site, &up, "early");
    site.is_exact(up.brokers());
    stopped(up);
}

#[test]
fn a_store_that_is_gone_for_one_partition_is_built_again_from_raw() {
    let (site, up) = filled();
    stopped(up);
    fs::remove_dir_all(site.stores().join("p1")).unwrap();
    let up = site.up();
    let (gone, kept): (Vec<_>, Vec<_>) = all_resumed(&up).into_iter().partition(|(partition, _, _)| *partition == 1);
    assert!(gone.iter().any(|(_, store, until)| *store == 0 && *until > 0), "{gone:?}");
    assert!(kept.iter().all(|(_, store, until)| store == until), "{kept:?}");
    feed(&site, &up, "early");
    site.is_exact(up.brokers());
    stopped(up);
}

#[test]
fn a_store_with_a_flipped_bit_is_discarded_and_built_again_whenever_that_is_found() {
    let (site, up) = filled();
    stopped(up);
    // What was only in the write-ahead log becomes tables when a store is opened again.
    stopped(site.up());
    // Found when an event that is known is looked up; and at once, with its position.
    flip(&tables(&site, 0)[0]);
    tables(&site, 3).iter().for_each(|table| flip(table));

    let up = site.up();
    feed(&site, &up, "early");
    for partition in [0, 3] {
        wait_until("the damaged store is built again", || {
            let stderr = up.program.stderr();
            let mut lines = stderr.lines();
            let said = format!("partition={partition}");
            lines.find(|line| line.contains("the store is damaged") && line.ends_with(&said))?;
            lines
                .find(|line| line.contains(" resuming ") && line.contains(&said) && line.contains(" store=0 "))
                .map(drop)
        });
    }
    let resumed = resumed(&up);
    assert!(resumed.iter().all(|(partition, store, _)| [0, 3].contains(partition) || *store > 0), "{resumed:?}");
    site.is_exact(up.brokers());
    stopped(up);
}
