//! The processor as a service.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use hooklog_log::control::History;
use hooklog_log::identity::Watch;
use hooklog_log::provision::Provisioned;
use hooklog_log::{Connection, reach};
use hooklog_schemas::ids::Span;
use hooklog_schemas::{NextOffset, Partition};
use hooklog_store::Registry;
use hooklog_task::commit_policy::CommitPolicy;
use hooklog_task::{Error, Fold, Progress, transform};
use tokio_util::sync::CancellationToken;

use crate::conflicts::{self, Conflicts};
use crate::dedup::Dedup;

/// The service's name: its group is the topics' prefix and this.
pub const NAME: &str = "processor";
/// How the names of its stores' directories begin.
const STORES: &str = "dedup-";

/// Between two tries to read `control`.
const AGAIN: Duration = Duration::from_millis(500);

/// What the processor needs.
#[derive(Clone)]
pub struct Config {
    /// Kafka.
    pub connection: Connection,
    /// The topics, checked.
    pub topics: Provisioned,
    /// How long an identity is remembered.
    pub window: Span,
    /// The directory for its stores; the instance's own.
    pub directory: PathBuf,
    /// This instance among those of the group; random and kept.
    pub instance: String,
    /// How many threads; more than partitions are of no use.
    pub workers: usize,
    /// Opens the stores.
    pub registry: Registry,
    /// When to commit.
    pub commit_policy: CommitPolicy,
    /// Told of what comes again with another content.
    pub conflicts: Conflicts,
}

impl Config {
    /// The fold that these settings make.
    pub fn fold(&self) -> Dedup {
        Dedup { window: self.window, partitions: self.topics.events.partitions, log: self.topics.raw.id.0.clone() }
    }

    /// The task that these settings make.
    pub fn task(&self) -> transform::Config {
        let kind = self.kind();
        transform::Config {
            name: NAME,
            connection: self.connection.clone(),
            group: self.topics.topics.group(NAME),
            instance: self.instance.clone(),
            workers: self.workers.clamp(1, usize::try_from(self.topics.raw.partitions).unwrap_or(1)),
            input: self.topics.raw.clone(),
            output: self.topics.events.clone(),
            stores: self.directory.join(folder(&kind)),
            kind,
            registry: self.registry.clone(),
            commit_policy: self.commit_policy,
            stand_ins: vec![self.topics.topics.group("repair")],
            decided_from: BTreeMap::new(),
        }
    }

    /// Where in each partition of `raw` the dedup window began that is in force. Waits for Kafka as long as it takes; `None`
    /// where `stop` came first.
    fn window_began(&self, stop: &CancellationToken) -> Result<Option<BTreeMap<Partition, NextOffset>>, Error> {
        let tell = |why: &str| tracing::warn!(why, "waiting for Kafka to say since when the dedup window is in force");
        while reach::wait(&self.connection, || !stop.is_cancelled(), tell)? {
            match History::read(&self.connection, &self.topics.topics, &self.topics.raw.id) {
                Ok(History { windows, .. }) => {
                    let from = windows.newest().map_or(&[][..], |begin| &begin.from);
                    return Ok(Some((0..).map(Partition).zip(from.iter().copied()).collect()));
                }
                Err(error) if error.is_passing() => {
                    tracing::warn!(%error, "`control` cannot be read yet");
                    thread::sleep(AGAIN);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(None)
    }

    /// What a store must have been made by to be gone on with.
    fn kind(&self) -> String {
        let fold = self.fold();
        let (version, window, log, pinned) = (fold.version(), self.window.0, fold.log, self.topics.raw.partitions);
        format!("dedup format=1 fold={version} window={window} log={log} partitions={pinned}")
    }
}

/// Another kind gets a directory of its own: a new store beside the old one, never a mix.
fn folder(kind: &str) -> String {
    let words = kind.split([' ', '=']).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-")
}

/// The stores beside `current` that other settings made, and how many bytes each takes. They are kept, since whoever goes
/// back to those settings finds them; what cannot be looked at is passed over.
fn former_stores(directory: &Path, current: &str) -> Vec<(PathBuf, u64)> {
    let entries = fs::read_dir(directory).into_iter().flatten().filter_map(Result::ok);
    let is_former = |name: &str| name.starts_with(STORES) && name != current;
    let former = entries.filter(|entry| entry.file_name().to_str().is_some_and(is_former)).map(|entry| entry.path());
    let mut former: Vec<_> = former.map(|path| (path.clone(), size(&path))).collect();
    former.sort();
    former
}

fn size(path: &Path) -> u64 {
    let entries = fs::read_dir(path).into_iter().flatten().filter_map(Result::ok);
    let of_one = |entry: fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => size(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    };
    entries.map(of_one).sum()
}

/// Runs the processor until `shutdown`, or until `raw` or `events` is another topic than it was at the start: its consumer
/// would go on at the old offsets in the new log, or wait for ever. Blocks.
///
/// # Errors
/// What ended it: see [`Error`]; another topic is [`hooklog_log::Error::OtherLog`].
pub fn run(config: &Config, progress: Progress, shutdown: CancellationToken) -> Result<(), Error> {
    for (path, bytes) in former_stores(&config.directory, &folder(&config.kind())) {
        let mib = bytes.div_ceil(1 << 20);
        tracing::warn!(path = %path.display(), mib, "a store of another window, fold or log, which nothing uses; once you are sure not to go back, delete it");
    }
    // Ends with the workers, whatever ended them.
    let stop = shutdown.child_token();
    let topics = [&config.topics.raw, &config.topics.events];
    let watch = Watch::start(&config.connection, topics, {
        let stop = stop.clone();
        move || stop.cancel()
    })?;
    let (hear, suspects) = conflicts::queue(&config.conflicts);
    let comparer = {
        let (config, stop) = (config.clone(), stop.clone());
        let compare = move || {
            conflicts::compare(&config.connection, &config.topics.raw.name, &suspects, &config.conflicts, &stop);
        };
        thread::Builder::new().name(format!("{NAME}-conflicts")).spawn(compare).map_err(Error::Thread)?
    };
    let task = config.task();
    task.announce(&progress);
    let ended = match config.window_began(&stop) {
        Ok(Some(decided_from)) => {
            let task = transform::Config { decided_from, ..task };
            transform::run(Arc::new(config.fold()), task, progress.with_suspects(hear), stop.clone())
        }
        Ok(None) => Ok(()),
        Err(error) => Err(error),
    };
    stop.cancel();
    if comparer.join().is_err() {
        tracing::error!("the thread that compares events with one id died; `hooklog audit` finds their conflicts");
    }
    watch.end(ended)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stores_of_other_settings_are_found_with_their_size_and_nothing_else_is() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let file = |name: &str, bytes: usize| {
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().expect("below the directory")).expect("a directory");
            fs::write(path, vec![0; bytes]).expect("a file");
        };
        let current = folder("dedup format=1 fold=1 window=3024000000 log=a partitions=4");
        file(&format!("{current}/p0/CURRENT"), 9);
        file("dedup-format-1-fold-1-window-1-log-a-partitions-4/p0/a.sst", 300);
        file("dedup-format-1-fold-1-window-1-log-a-partitions-4/p1/b.sst", 20);
        file("instance", 16);
        let former = former_stores(directory.path(), &current);
        let path = directory.path().join("dedup-format-1-fold-1-window-1-log-a-partitions-4");
        assert_eq!(former, [(path, 320)]);
        assert_eq!(former_stores(&directory.path().join("nowhere"), &current), []);
    }
}
