//! Tasks with outputs: a consumer group's workers, each one thread with one consumer and one transactional producer.
//!
//! One transaction covers all partitions of a worker: outputs first, offsets last. The store is written after the commit is
//! known. Whatever dies in between, the next start finds what the store holds, what is committed and which outputs are there,
//! folds what the store lacks with its effects suppressed, emits what the outputs lack, and goes on. A partition that must not
//! go on stops alone ([`crate::progress`] tells).

mod assignment;
mod contiguous;
mod hanging;
mod observer;
mod outputs;
mod partition_task;
mod present;
mod recovery;
mod refusals;
mod session;
mod waiting;
mod worker;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use hooklog_log::connection::Isolation;
use hooklog_log::provision::Pinned;
use hooklog_log::{Connection, watermarks};
use hooklog_schemas::{NextOffset, Partition, Stamp};
use hooklog_store::Registry;
use tokio_util::sync::CancellationToken;

use crate::commit_policy::CommitPolicy;
use crate::error::Error;
use crate::fault;
use crate::fold::Fold;
use crate::metric_names;
use crate::outcome::Renewals;
use crate::progress::Progress;
use observer::Observed;
use session::Session;
use worker::{Context, Worker};

pub use outputs::{Outputs, highest_positions};

/// What a transforming task works on and with.
#[derive(Clone)]
pub struct Config {
    /// What the task is called in metrics.
    pub name: &'static str,
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
    pub commit_policy: CommitPolicy,
    /// Transactional ids of tools that write the output topic in the task's stead, such as a repair. A start ends them.
    pub stand_ins: Vec<String>,
    /// From which record on this fold has decided, by partition of the input; from the first one on where nothing is said.
    /// Records before were decided by another one, such as one with another dedup window.
    pub decided_from: BTreeMap<Partition, NextOffset>,
}

impl Config {
    /// What the offsets that `fold` commits are stamped with.
    pub fn stamp(&self, fold: &impl Fold) -> Stamp {
        Stamp { log: self.input.id.0.clone(), fold: fold.version() }
    }

    /// Worker `n` of this instance, to the group and to the transaction coordinator alike.
    pub fn transactional_id(&self, n: usize) -> String {
        format!("{}-{}-{n}", self.group, self.instance)
    }

    /// Says that its workers begin: until each has its place in the group the task is not ready.
    pub fn announce(&self, progress: &Progress) {
        for n in 0..self.workers.max(1) {
            progress.worker_waits(&self.transactional_id(n), "it has no place in its group yet".to_owned());
        }
    }

    /// The directory of the store of `partition`.
    pub fn store(&self, partition: Partition) -> PathBuf {
        self.stores.join(format!("p{partition}"))
    }
}

/// Runs the workers until `shutdown`, or until one of them ends: then all end. Blocks.
///
/// # Errors
/// The first worker's error: what concerns all partitions, or the reason of one where all have stopped. Nothing was
/// skipped: a start once the cause is mended goes on where this one ended.
pub fn run<F: Fold>(
    fold: Arc<F>,
    config: Config,
    progress: Progress,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    metric_names::describe();
    let config = Arc::new(config);
    config.announce(&progress);
    // A child: a worker that ends takes its siblings with it, and not the whole process before its error was told.
    let stop = shutdown.child_token();
    let sessions = match sessions(&config, &stop) {
        Err(Error::Cancelled) => return Ok(()),
        started => started?,
    };
    match hanging::end_those_without_owner(&config, &stop) {
        Err(Error::Cancelled) => return Ok(()),
        ended => ended?,
    }
    let observed = Observed::default();
    let observer = observed.start(Arc::clone(&config), stop.clone())?;
    let spawn = |(n, session)| {
        let (fold, progress, stop) = (Arc::clone(&fold), progress.clone(), stop.clone());
        let (config, observed) = (Arc::clone(&config), observed.clone());
        let name = format!("{}-{n}", config.group);
        let work = move || {
            // Dropped on a panic too, so that siblings never wait for a thread that is gone.
            let _ends_the_others = stop.clone().drop_guard();
            match run_with_rejoin(session, &fold, &config, &progress, &observed, &stop) {
                Err(Error::Cancelled) => Ok(()),
                ended => ended,
            }
        };
        thread::Builder::new().name(name).spawn(work).map_err(Error::Thread)
    };
    let threads: Vec<_> = sessions.into_iter().enumerate().map(spawn).collect();
    let outcome = threads.into_iter().map(|thread| joined(thread, &config.group)).fold(Ok(()), Result::and);
    stop.cancel();
    outcome.and(observer.join().map_err(|_| Error::Panicked(config.group.clone())))
}

/// The producers of all workers, before the first of them joins the group: members that come one after the other make a
/// rebalance each, and each undoes what is open.
fn sessions(config: &Config, stop: &CancellationToken) -> Result<Vec<Session>, Error> {
    let start = |n| Session::start(&config.connection, &config.transactional_id(n), &config.output.name, stop);
    thread::scope(|scope| {
        let starting: Vec<_> = (0..config.workers.max(1)).map(|n| scope.spawn(move || start(n))).collect();
        let started = starting.into_iter().map(thread::ScopedJoinHandle::join);
        started.map(|session| session.unwrap_or_else(|_| Err(Error::Panicked(config.group.clone())))).collect()
    })
}

/// A worker, and another one in its place where the group has given that away: after a broker's death that may have been to
/// nobody. A second owner of the instance id looks the same, except that it does not stop. A cluster that does not answer is
/// waited for as long as it takes.
fn run_with_rejoin<F: Fold>(
    session: Session,
    fold: &Arc<F>,
    config: &Arc<Config>,
    progress: &Progress,
    observed: &Observed,
    stop: &CancellationToken,
) -> Result<(), Error> {
    let (mut renewals, mut waits, id) = (Renewals::default(), 0, session.id().to_owned());
    let mut next = Some(session);
    loop {
        let ended = match next.take() {
            Some(session) => match begins(config) {
                Ok(begins) => {
                    let (fold, shared) = (Arc::clone(fold), Arc::clone(config));
                    let (progress, observed) = (progress.clone(), observed.clone());
                    let context = Context { begins, progress, observed, stop: stop.clone() };
                    let mut worker = Worker::start(session, renewals, fold, shared, context)?;
                    let ended = worker.run();
                    waits = if worker.has_restored() { 0 } else { waits };
                    // Its place in the group must be free before it is taken again.
                    renewals = worker.into_renewals();
                    ended
                }
                Err(why) => {
                    next = Some(session);
                    Err(why)
                }
            },
            None => match Session::start(&config.connection, &id, &config.output.name, stop) {
                Ok(session) => {
                    next = Some(session);
                    continue;
                }
                Err(why) => Err(why),
            },
        };
        match ended {
            Err(why) if why.is_fenced() && renewals.allow(Instant::now()) => {
                tracing::warn!(id, "{why}. Taking the place in the group again");
            }
            Err(why) if why.is_passing() => {
                waits += 1;
                tracing::warn!(id, "{why}. Waiting for Kafka, then going on");
                progress.worker_waits(&id, why.to_string());
                fault::rest(fault::pause(waits), stop);
            }
            ended => return ended,
        }
    }
}

/// Where each partition of the input begins now.
fn begins(config: &Config) -> Result<Vec<NextOffset>, Error> {
    let Config { connection, input, .. } = config;
    let ends = watermarks::all(connection, &input.name, input.partitions, Isolation::Uncommitted)?;
    Ok(ends.into_iter().map(|ends| ends.earliest).collect())
}

fn joined(thread: Result<JoinHandle<Result<(), Error>>, Error>, group: &str) -> Result<(), Error> {
    thread?.join().unwrap_or_else(|_| Err(Error::Panicked(group.to_owned())))
}
