//! Tasks with outputs: a consumer group's workers, each one thread with one consumer and one transactional producer.
//!
//! One transaction covers all partitions of a worker: outputs first, offsets last. The store is written after the commit is
//! known. Whatever dies in between, the next start finds S (in the store) at or before N (committed), folds what lies
//! between with its effects suppressed, and goes on.

mod assignment;
mod outputs;
mod owned;
mod recovery;
mod session;
mod worker;

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use hooklog_log::Connection;
use hooklog_log::provision::Pinned;
use hooklog_schemas::Stamp;
use hooklog_store::Registry;
use tokio_util::sync::CancellationToken;

use crate::error::Error;
use crate::fold::Fold;
use crate::pace::Pace;
use crate::progress::Progress;

pub use outputs::{Outputs, highest_positions};

/// What a transforming task works on and with.
#[derive(Clone)]
pub struct Config {
    /// Kafka.
    pub connection: Connection,
    /// The consumer group, and how transactional ids begin; e.g. `hooklog.processor`.
    pub group: String,
    /// This process among those of the group: random, kept in its locked data directory.
    pub instance: String,
    /// How many threads.
    pub workers: usize,
    /// The topic that is read.
    pub input: Pinned,
    /// The topic that is written.
    pub output: Pinned,
    /// The directory for the stores.
    pub stores: PathBuf,
    /// What says that a store holds this fold of this log; in its directory's name, too.
    pub kind: String,
    /// Opens the stores.
    pub registry: Registry,
    /// When to commit.
    pub pace: Pace,
}

impl Config {
    /// What the offsets that `fold` commits are stamped with.
    pub fn stamp(&self, fold: &impl Fold) -> Stamp {
        Stamp { log: self.input.id.0.clone(), fold: fold.version() }
    }

    /// What the coordinator knows the producer of worker `n` of this instance by.
    pub fn transactional_id(&self, n: usize) -> String {
        format!("{}-{}-{n}", self.group, self.instance)
    }
}

/// Runs the workers until `shutdown`, or until one of them ends: then all end. Blocks.
///
/// # Errors
/// The first worker's error. Nothing was skipped: a start once the cause is mended goes on where this one ended.
pub fn run<F: Fold>(
    fold: Arc<F>,
    config: Config,
    progress: Progress,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    let config = Arc::new(config);
    // A child: a worker that ends takes its siblings with it, and not the whole process before its error was told.
    let stop = shutdown.child_token();
    let spawn = |n| {
        let (fold, config, progress, stop) = (Arc::clone(&fold), Arc::clone(&config), progress.clone(), stop.clone());
        let name = format!("{}-{n}", config.group);
        let work = move || {
            // Dropped on a panic too, so that siblings never wait for a thread that is gone.
            let _ends_the_others = stop.clone().drop_guard();
            worker::Worker::start(n, fold, config, progress, stop)?.run()
        };
        thread::Builder::new().name(name).spawn(work).map_err(Error::Thread)
    };
    let threads: Vec<_> = (0..config.workers.max(1)).map(spawn).collect();
    threads.into_iter().map(|thread| joined(thread, &config.group)).fold(Ok(()), Result::and)
}

fn joined(thread: Result<JoinHandle<Result<(), Error>>, Error>, group: &str) -> Result<(), Error> {
    thread?.join().unwrap_or_else(|_| Err(Error::Panicked(group.to_owned())))
}
