//! The logs of a stopped broker: was a transaction completed without all its markers?
//!
//! | module | what it is |
//! |---|---|
//! | `batches` | the headers of a partition's batches |
//! | `coordinator` | the transaction coordinator's entries |
//! | `whole` | batches with their records and their places in a segment |
//! | [`segment`] | a segment cut and changed, for tests that need a log as a crash leaves it |
//! | `fields` | how all of them are written |
//! | `judge` | both held against each other: pure |

mod batches;
mod coordinator;
mod fields;
mod judge;
pub mod segment;
mod whole;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use serde_json::json;

pub use batches::{Batch, Kind, Log, segments};
pub use coordinator::{Entry, State};
pub use fields::Fields;
pub use judge::{Judgement, Outcome, Skipped, Unended, judge};
pub use whole::{KeyValue, Whole, split};

const COORDINATOR: &str = "__transaction_state-";
const OFFSETS: &str = "__consumer_offsets-";
const EVENTS: &str = "events-";
/// What a broker says that skips markers.
const NO_LEADER: &str = "Couldn't find leader endpoint for partitions";

/// What a data directory holds.
#[derive(Debug)]
pub struct Logs {
    /// The transaction coordinator's, each partition's in their order.
    pub entries: Vec<Entry>,
    /// By `<topic>-<partition>`.
    pub partitions: BTreeMap<String, Log>,
    /// How often the broker's log says that a partition had no leader.
    pub no_leader: u64,
}

impl Logs {
    /// Reads those of the stopped broker of a data directory.
    pub fn read(data_dir: &Path) -> Result<Self> {
        let kafka = data_dir.join("broker/kafka");
        let (mut entries, mut partitions) = (Vec::new(), BTreeMap::new());
        for (name, path) in directories(&kafka)? {
            if name.starts_with(COORDINATOR) {
                for segment in batches::segments(&path)? {
                    entries.extend(coordinator::read_segment(&segment)?);
                }
            } else if name.starts_with(OFFSETS) || is_events(&name) {
                let log = Log::read(&path, name.starts_with(OFFSETS))?;
                partitions.insert(name, log);
            }
        }
        ensure!(!partitions.is_empty(), "{} holds no log of hooklog", kafka.display());
        let no_leader = said(&data_dir.join("broker/logs"))?;
        Ok(Self { entries, partitions, no_leader })
    }

    /// Whether each transaction has all its markers.
    pub fn judge(&self) -> Judgement {
        judge(&self.entries, &self.partitions)
    }

    /// Writes both kinds for others to look at, and for fixtures.
    pub fn save(&self, directory: &Path) -> Result<()> {
        fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
        let entries: String = self.entries.iter().map(|entry| format!("{}\n", json!(entry))).collect();
        let mut batches = String::new();
        for (name, log) in &self.partitions {
            for batch in &log.batches {
                batches += &format!("{}\n", json!(Line { log: name.clone(), batch: *batch }));
            }
        }
        for (name, text) in [("coordinator.ndjson", &entries), ("batches.ndjson", &batches)] {
            let path = directory.join(name);
            fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }
}

/// A batch as it is saved.
#[derive(Serialize, Deserialize)]
struct Line {
    log: String,
    #[serde(flatten)]
    batch: Batch,
}

/// The main topic's, whatever its prefix: `hooklog.events-0`.
fn is_events(name: &str) -> bool {
    let number = name.rsplit('.').next().and_then(|last| last.strip_prefix(EVENTS));
    number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The directories of all partitions of a topic, by their number, where `kafka` is the broker's.
///
/// # Errors
/// The broker's directory cannot be read.
pub fn partitions(kafka: &Path, topic: &str) -> Result<Vec<(i32, PathBuf)>> {
    let number = |name: &str| name.strip_prefix(topic)?.strip_prefix('-')?.parse().ok();
    let named = directories(kafka)?.into_iter().filter_map(|(name, path)| Some((number(&name)?, path)));
    let mut found: Vec<_> = named.collect();
    found.sort();
    Ok(found)
}

fn directories(kafka: &Path) -> Result<Vec<(String, PathBuf)>> {
    let entries = fs::read_dir(kafka).with_context(|| format!("cannot read {}", kafka.display()))?;
    let paths = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    let named = |path: PathBuf| Some((path.file_name()?.to_str()?.to_owned(), path));
    Ok(paths.into_iter().filter(|path| path.is_dir()).filter_map(named).collect())
}

/// In `server.log` and those before it.
fn said(logs: &Path) -> Result<u64> {
    let mut count = 0;
    for entry in fs::read_dir(logs).with_context(|| format!("cannot read {}", logs.display()))? {
        let path = entry?.path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("server.log")) {
            let lines = BufReader::new(fs::File::open(&path)?).lines();
            count += lines.map_while(Result::ok).filter(|line| line.contains(NO_LEADER)).count() as u64;
        }
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRIES: &str = include_str!("../../fixtures/skipped-markers/coordinator.ndjson");
    const BATCHES: &str = include_str!("../../fixtures/skipped-markers/batches.ndjson");
    /// The same transactions with the markers that were skipped.
    fn with_markers(logs: &mut BTreeMap<String, Log>, judgement: &Judgement) {
        for skipped in &judgement.skipped {
            let batches = &mut logs.get_mut(&skipped.partition).unwrap().batches;
            let time = skipped.decided + 1;
            let place = batches.iter().position(|batch| batch.time > time).unwrap_or(batches.len());
            let marker = Batch { offset: 0, producer: skipped.producer, epoch: 0, time, kind: Kind::Abort };
            batches.insert(place, marker);
        }
    }

    fn real() -> (Vec<Entry>, BTreeMap<String, Log>) {
        let entries = ENTRIES.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let mut logs: BTreeMap<String, Log> = BTreeMap::new();
        for line in BATCHES.lines() {
            let line: Line = serde_json::from_str(line).unwrap();
            logs.entry(line.log).or_default().batches.push(line.batch);
        }
        (entries, logs)
    }

    /// Of Apache Kafka 4.3.1 after a kill of both and a pause of 15 s. It said itself: "Couldn't find leader endpoint for
    /// partitions Set(hooklog.events-2) while trying to send transaction markers for ...-1", and "Set(hooklog.events-0,
    /// hooklog.events-3, hooklog.events-2) ... for ...-0".
    #[test]
    fn the_markers_that_a_real_broker_says_it_skips_are_those_that_are_found_missing() {
        let (entries, mut logs) = real();
        let judgement = judge(&entries, &logs);
        let mut found: Vec<_> = judgement
            .skipped
            .iter()
            .map(|one| (one.transactional_id.rsplit('-').next().unwrap(), one.partition.as_str(), one.outcome))
            .collect();
        found.sort_by_key(|(id, partition, _)| (*id, *partition));
        let abort = |id, partition| (id, partition, Outcome::Abort);
        assert_eq!(
            found,
            [
                abort("0", "hooklog.events-0"),
                abort("0", "hooklog.events-2"),
                abort("0", "hooklog.events-3"),
                abort("1", "hooklog.events-2")
            ]
        );
        assert!(judgement.transactions > 10 && judgement.unjudged == 0, "{judgement:?}");
        with_markers(&mut logs, &judgement);
        let whole = judge(&entries, &logs);
        assert_eq!((whole.is_whole(), whole.markers), (true, judgement.markers));
    }

    #[test]
    fn the_partitions_of_events_are_known_by_their_names() {
        for name in ["hooklog.events-0", "a.b.events-11"] {
            assert!(is_events(name), "{name}");
        }
        for name in
            ["hooklog.raw-0", "hooklog.events", "hooklog.events-0-delete", "__consumer_offsets-1", "x.myevents-0"]
        {
            assert!(!is_events(name), "{name}");
        }
    }
}
