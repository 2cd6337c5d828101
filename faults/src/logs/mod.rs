//! The logs of a stopped broker: was a transaction completed without all its markers?
//!
//! | module | what it is |
//! |---|---|
//! | `batches` | the headers of a partition's batches |
//! | `coordinator` | the transaction coordinator's entries: pure |
//! | `judge` | both held against each other: pure |

mod batches;
mod coordinator;
mod judge;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::json;

pub use batches::{Batch, Kind, Log};
pub use coordinator::{Entry, State, parse};
pub use judge::{Judgement, Outcome, Skipped, Unended, judge};

const COORDINATOR: &str = "__transaction_state-";
const OFFSETS: &str = "__consumer_offsets-";
const EVENTS: &str = "events-";
/// What a broker says that skips markers.
const NO_LEADER: &str = "Couldn't find leader endpoint for partitions";

/// What a data directory holds.
#[derive(Debug)]
pub struct Logs {
    /// What `DumpLogSegments` said.
    pub dump: String,
    /// By `<topic>-<partition>`.
    pub partitions: BTreeMap<String, Log>,
    /// How often the broker's log says that a partition had no leader.
    pub no_leader: u64,
}

impl Logs {
    /// Reads those of the stopped broker of a data directory. `hooklog` names Kafka's jars.
    pub fn read(hooklog: &Path, data_dir: &Path) -> Result<Self> {
        let kafka = data_dir.join("broker/kafka");
        let mut partitions = BTreeMap::new();
        let mut segments = Vec::new();
        for (name, path) in directories(&kafka)? {
            if name.starts_with(COORDINATOR) {
                segments.extend(batches::segments(&path)?);
            } else if name.starts_with(OFFSETS) || is_events(&name) {
                let log = Log::read(&path, name.starts_with(OFFSETS))?;
                partitions.insert(name, log);
            }
        }
        ensure!(!partitions.is_empty() && !segments.is_empty(), "{} holds no log of hooklog", kafka.display());
        let no_leader = said(&data_dir.join("broker/logs"))?;
        Ok(Self { dump: dump(hooklog, &segments)?, partitions, no_leader })
    }

    /// Whether each transaction has all its markers.
    pub fn judge(&self) -> Result<Judgement> {
        Ok(judge(&parse(&self.dump)?, &self.partitions))
    }

    /// Writes both kinds for others to look at, and for fixtures.
    pub fn save(&self, directory: &Path) -> Result<()> {
        fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
        let mut lines = String::new();
        for (name, log) in &self.partitions {
            for batch in &log.batches {
                lines += &format!("{}\n", json!({ "log": name, "batch": batch }));
            }
        }
        for (name, text) in [("coordinator.txt", &self.dump), ("batches.ndjson", &lines)] {
            let path = directory.join(name);
            fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }
}

/// The main topic's, whatever its prefix: `hooklog.events-0`.
fn is_events(name: &str) -> bool {
    let number = name.rsplit('.').next().and_then(|last| last.strip_prefix(EVENTS));
    number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
}

fn directories(kafka: &Path) -> Result<Vec<(String, PathBuf)>> {
    let entries = fs::read_dir(kafka).with_context(|| format!("cannot read {}", kafka.display()))?;
    let paths = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    let named = |path: PathBuf| Some((path.file_name()?.to_str()?.to_owned(), path));
    Ok(paths.into_iter().filter(|path| path.is_dir()).filter_map(named).collect())
}

/// All segments at once: starting Java takes longer than reading them.
fn dump(hooklog: &Path, segments: &[PathBuf]) -> Result<String> {
    let fetched = Command::new(hooklog).args(["broker", "fetch"]).stdin(Stdio::null()).output();
    let fetched = fetched.with_context(|| format!("cannot run {}", hooklog.display()))?;
    ensure!(fetched.status.success(), "`hooklog broker fetch`: {}", String::from_utf8_lossy(&fetched.stderr));
    let jars = PathBuf::from(String::from_utf8_lossy(&fetched.stdout).trim());
    let java = std::env::var_os("JAVA_HOME").filter(|home| !home.is_empty());
    let java = java.map_or_else(|| PathBuf::from("java"), |home| PathBuf::from(home).join("bin/java"));
    let mut files = OsString::new();
    for segment in segments {
        if !files.is_empty() {
            files.push(",");
        }
        files.push(segment);
    }
    let mut command = Command::new(&java);
    command.args(["-Xmx256m", "-XX:+UseSerialGC", "-cp"]).arg(jars.join("*"));
    command.args(["kafka.tools.DumpLogSegments", "--transaction-log-decoder", "--files"]).arg(files);
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot run {}", java.display()))?;
    ensure!(output.status.success(), "DumpLogSegments: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).context("DumpLogSegments printed no UTF-8")
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
