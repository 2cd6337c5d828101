//! The processor as a service.

use std::path::PathBuf;
use std::sync::Arc;

use hooklog_log::Connection;
use hooklog_log::provision::Provisioned;
use hooklog_schemas::ids::Span;
use hooklog_store::Registry;
use hooklog_task::pace::Pace;
use hooklog_task::{Error, Fold, Progress, transform};
use tokio_util::sync::CancellationToken;

use crate::dedup::Dedup;

/// The service's name: its group is the topics' prefix and this.
pub const NAME: &str = "processor";

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
    pub pace: Pace,
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
            connection: self.connection.clone(),
            group: self.topics.topics.group(NAME),
            instance: self.instance.clone(),
            workers: self.workers.clamp(1, usize::try_from(self.topics.raw.partitions).unwrap_or(1)),
            input: self.topics.raw.clone(),
            output: self.topics.events.clone(),
            stores: self.directory.join(folder(&kind)),
            kind,
            registry: self.registry.clone(),
            pace: self.pace,
        }
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

/// Runs the processor until `shutdown`. Blocks.
///
/// # Errors
/// What ended it: see [`Error`].
pub fn run(config: &Config, progress: Progress, shutdown: CancellationToken) -> Result<(), Error> {
    transform::run(Arc::new(config.fold()), config.task(), progress, shutdown)
}
