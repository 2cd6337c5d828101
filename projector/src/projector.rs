//! The service: one reader over all partitions into the live generation, and what asks it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use hooklog_log::Connection;
use hooklog_log::identity::Watch;
use hooklog_log::provision::Pinned;
use hooklog_schemas::Partition;
use hooklog_store::Registry;
use hooklog_task::materialise;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::beginning;
use crate::discard_damaged::Discarded;
use crate::error::Error;
use crate::fold::codec::Unreadable;
use crate::gate::Gate;
use crate::generations::place::Place;
use crate::generations::rules_file::OnDisk;
use crate::generations::{Generation, Generations};
use crate::metric_names::{self, Sampler};
use crate::query::{self, Others};
use crate::rebuild::{self, Building, Rebuilt};
use crate::status::Status;
use crate::views::task::Views;

/// Between two tries to reach Kafka.
const PAUSE: Duration = Duration::from_secs(1);

/// Between two samples for the metrics.
const SAMPLE: Duration = Duration::from_secs(1);

/// Samples between two looks at the rules on disk.
const LOOK: u32 = 5;

/// How long a stop may go unnoticed between two looks.
const BLINK: Duration = Duration::from_millis(100);

/// What a projector needs.
#[derive(Clone)]
pub struct Config {
    /// Kafka.
    pub connection: Connection,
    /// The topic `events`, there and checked.
    pub events: Pinned,
    /// Where the views are kept; a directory of their own.
    pub dir: PathBuf,
    /// Opens stores within the process's budget of memory.
    pub registry: Registry,
    /// A rules file instead of the built-in rules.
    pub rules: Option<PathBuf>,
}

/// The views. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Projector(Arc<Parts>);

pub(crate) struct Parts {
    pub(crate) generations: Generations,
    pub(crate) gate: Gate,
    pub(crate) input: materialise::Config,
    pub(crate) building: watch::Sender<Option<Building>>,
    pub(crate) discarded: Discarded,
}

impl Projector {
    /// Opens the views of a data directory, or begins new ones there. Touches no network.
    ///
    /// # Errors
    /// Where the directory, its manifest, a store or (for new views) the rules cannot be used.
    pub fn open(config: Config) -> Result<Self, Error> {
        let Config { connection, events, dir, registry, rules } = config;
        let (topic, log, partitions) = (events.name.clone(), events.id.0.clone(), events.partitions);
        let generations = Generations::open(Place { dir, registry, topic, log, partitions, rules })?;
        let input = materialise::Config { connection, input: events };
        let (gate, building, discarded) = (Gate::default(), watch::Sender::new(None), Discarded::default());
        Ok(Self(Arc::new(Parts { generations, gate, input, building, discarded })))
    }

    /// Reads `events` into the live views until `shutdown`. Blocks: give it a thread, and end the process if it fails.
    ///
    /// While no broker answers it tries again; queries are answered from what is there. Views that are damaged are built anew.
    ///
    /// # Errors
    /// [`Error::Task`] where the log and the views do not fit or Kafka refuses for good, [`Error::Failing`] where views are
    /// damaged again and again, [`Error::Log`] where `events` is another topic than it was at the start: its reader would go
    /// on at the old offsets in the new log, or wait for ever.
    pub fn run(&self, shutdown: &CancellationToken) -> Result<(), Error> {
        metric_names::describe();
        let done = shutdown.child_token();
        let topics = Watch::start(&self.0.input.connection, [&self.0.input.input], {
            let done = done.clone();
            move || done.cancel()
        })?;
        topics.end(std::thread::scope(|scope| {
            scope.spawn(|| self.watch(&done));
            let outcome = self.follow(&done);
            done.cancel();
            outcome
        }))
    }

    fn follow(&self, shutdown: &CancellationToken) -> Result<(), Error> {
        let parts = &*self.0;
        while let Some(turn) = parts.gate.pass(shutdown) {
            let live = parts.generations.live();
            let (number, outcome) = (live.number, live.sound().and_then(|()| read(&parts.input, &live, &turn)));
            if let Err(error) = &outcome {
                parts.suspect(&live, error);
            }
            // What is still held could not be deleted.
            drop(live);
            match outcome {
                Ok(()) => {}
                Err(error) if is_passing(&error) => {
                    tracing::warn!(%error, "the projector cannot read `events`; trying again");
                    parts.gate.rest(PAUSE, shutdown);
                }
                Err(error) if error.is_damage() => parts.discard_damaged(number, &error)?,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The query API: `/v1/...`, `/healthz`, `/readyz`.
    pub fn router(&self) -> Router {
        self.router_beside(Arc::new(Vec::new))
    }

    /// [`Projector::router`] of a process that does more: it is ready once the views are, and `others` has no reason why not.
    pub fn router_beside(&self, others: Others) -> Router {
        query::router(self.0.clone(), others)
    }

    /// Builds the views anew from the log under the rules that are on disk now, beside those that answer; switches; and
    /// compares. Blocks. How far it is can be watched through [`Projector::building`].
    ///
    /// # Errors
    /// [`Error::Building`] where one is going on, [`Error::Rules`] where the rules cannot be used, [`Error::NotHeld`] where
    /// [`Projector::run`] does not run. The views that answer are then as they were.
    pub fn rebuild(&self, shutdown: &CancellationToken) -> Result<Rebuilt, Error> {
        let outcome = rebuild::run(&self.0, shutdown);
        // A second one that is refused must not hide the first one.
        if !matches!(outcome, Err(Error::Building)) {
            self.0.building.send_replace(None);
        }
        metric_names::rebuilt(&outcome);
        outcome
    }

    /// Lets new, empty views answer under the rules of the live ones. For views of records that the log has lost, before
    /// [`Projector::run`]: they are then built from what the log holds.
    ///
    /// # Errors
    /// As [`Projector::open`].
    pub fn begin_anew(&self) -> Result<(), Error> {
        self.0.generations.begin_anew()
    }

    /// How far the present build is; none while nothing is built.
    pub fn building(&self) -> watch::Receiver<Option<Building>> {
        self.0.building.subscribe()
    }

    /// Positions, rules and generations.
    ///
    /// # Errors
    /// [`Error::Store`], [`Error::Unreadable`].
    pub fn status(&self) -> Result<Status, Error> {
        self.0.status()
    }

    #[cfg(test)]
    pub(crate) fn parts(&self) -> Arc<Parts> {
        self.0.clone()
    }

    /// Samples for the metrics, and says so whenever what is to be said of the rules on disk changes.
    fn watch(&self, done: &CancellationToken) {
        let (mut said, mut sampler) = (OnDisk::Same, Sampler::default());
        for look in (0..LOOK).cycle().take_while(|_| !done.is_cancelled()) {
            if look == 0 {
                let found = self.0.generations.rules_on_disk();
                if found != said {
                    report(&found);
                    said = found;
                }
            }
            sampler.sample(&self.0);
            let next = Instant::now() + SAMPLE;
            while !done.is_cancelled() && Instant::now() < next {
                std::thread::sleep(BLINK);
            }
        }
    }
}

fn report(rules: &OnDisk) {
    match rules {
        OnDisk::Same => tracing::info!("the views answer by the rules that are on disk"),
        OnDisk::Changed { hash } => tracing::warn!(
            on_disk = hash,
            "the rules on disk are others than the views answer by; they do nothing until `hooklog rebuild`"
        ),
        OnDisk::Invalid { reason } => tracing::warn!(
            reason,
            "the rules on disk cannot be used; the views go on answering by those that they were built with"
        ),
    }
}

impl Parts {
    pub(crate) fn partitions(&self) -> impl Iterator<Item = Partition> + use<> {
        (0..self.input.input.partitions.cast_signed()).map(Partition)
    }
}

/// One turn of a reader. A fold that met a damaged store panics with the reason.
pub(crate) fn read(input: &materialise::Config, into: &Generation, turn: &CancellationToken) -> Result<(), Error> {
    beginning::settle(input, into)?;
    let run = || materialise::run(&Views, input, &into.store, &into.progress, turn);
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(outcome) => Ok(outcome?),
        Err(panic) => {
            Err(panic.downcast::<Unreadable>().map_or(Error::Panicked, |unreadable| Error::Unreadable(*unreadable)))
        }
    }
}

/// Whether waiting can mend it.
pub(crate) fn is_passing(error: &Error) -> bool {
    match error {
        Error::Log(error) | Error::Task(hooklog_task::Error::Log(error)) => error.is_passing(),
        _ => false,
    }
}
