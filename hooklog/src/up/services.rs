//! The services as tasks of one process: started, watched, stopped in order.

mod listeners;
mod standing;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use hooklog_ingest::Source;
use hooklog_log::provision::Provisioned;
use hooklog_processor::service as processor;
use hooklog_projector::Projector;
use hooklog_schemas::ids::Span;
use hooklog_store::Registry;
use hooklog_task::Progress;
use hooklog_task::pace::Pace;
use tokio::sync::watch::Receiver;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::kafka::Cluster;
use super::place::Place;
use super::ready::Ready;
use super::roles::Roles;
use crate::admin;
use crate::broker;
use crate::listen;
use crate::settings::Settings;

pub(super) use listeners::{Addresses, Listeners, url};
pub(crate) use standing::Standing;

/// What the stores of a process may take for blocks and memtables.
const STORE_MEMORY: usize = 384 << 20;
/// Between two looks at what is not ready yet, and between two lines about it.
const LOOK: Duration = Duration::from_millis(50);
const TELL: Duration = Duration::from_secs(10);
const INGEST: &str = "ingest";
/// How long the services may take to stop before a broker that they may need for it is started again.
const PATIENCE: Duration = Duration::from_secs(5);
/// Before `run.json` is written again that could not be written.
const AGAIN: Duration = Duration::from_secs(1);

/// Why the services are to stop.
pub(super) enum Ended {
    /// The process is to stop, or our own broker was given up, which is told when that is stopped.
    Told,
    /// Our own broker died and may have lost tails: nothing may be read or written before its log was checked.
    Unsound(String),
}

/// What runs. A task that ends before it was told to is the end of the process.
pub(super) struct Services {
    stop: CancellationToken,
    running: JoinSet<(&'static str, anyhow::Result<()>)>,
    /// What was started.
    names: Vec<&'static str>,
    standing: Standing,
    addresses: Addresses,
}

impl Services {
    /// Nothing yet, for what `listeners` will serve.
    pub(super) fn new(listeners: &Listeners, broker: Option<Receiver<broker::State>>) -> anyhow::Result<Services> {
        let (stop, addresses) = (CancellationToken::new(), listeners.addresses()?);
        let standing = Standing::beginning(broker);
        Ok(Services { stop, running: JoinSet::new(), names: Vec::new(), standing, addresses })
    }

    /// Starts them. Where one cannot be started, those before it run on until they are stopped.
    #[expect(clippy::too_many_arguments, reason = "all that a process is made of")]
    pub(super) fn start(
        &mut self,
        roles: &Roles,
        settings: &Settings,
        place: &Place,
        cluster: &Cluster,
        topics: &Provisioned,
        sources: &[Source],
        listeners: &Listeners,
    ) -> anyhow::Result<()> {
        let registry = Registry::with_memory(STORE_MEMORY);
        if roles.projects() {
            // Before anything is counted: what is described to nobody stays without a description.
            let _ = admin::metrics()?;
        }
        if roles.processes() {
            self.start_processor(settings, place, cluster, topics, &registry)?;
        }
        if let Some(listener) = listeners.ingest()? {
            let config = hooklog_ingest::Config {
                sources: sources.to_vec(),
                ..settings.ingest(cluster.connection.clone(), &topics.raw)
            };
            let standing = hooklog_ingest::Standing::closed("Kafka has not answered yet");
            self.standing.ingest = Some(standing.clone());
            let serve = hooklog_ingest::serve(listener, config, standing, self.stop.clone());
            self.spawn(INGEST, async { Ok(serve.await?) });
        }
        // Last, since it tells of the others.
        if roles.projects() {
            self.start_projector(settings, place, cluster, topics, registry, listeners.query()?)?;
        }
        Ok(())
    }

    fn start_processor(
        &mut self,
        settings: &Settings,
        place: &Place,
        cluster: &Cluster,
        topics: &Provisioned,
        registry: &Registry,
    ) -> anyhow::Result<()> {
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        let config = processor::Config {
            connection: cluster.connection.clone(),
            topics: topics.clone(),
            window: Span::days(i64::from(settings.dedup_window_days)),
            directory: place.processor()?.to_owned(),
            instance: place.instance()?,
            // One a core: more would only make more and smaller transactions and batches.
            workers: cores,
            registry: registry.clone(),
            pace: Pace::default(),
            conflicts: self.standing.conflicts.clone(),
        };
        let (progress, stop) = (Progress::of(processor::NAME), self.stop.clone());
        self.standing.processor = Some(progress.clone());
        self.spawn_thread("processor", move || Ok(processor::run(&config, progress, stop)?));
        Ok(())
    }

    fn start_projector(
        &mut self,
        settings: &Settings,
        place: &Place,
        cluster: &Cluster,
        topics: &Provisioned,
        registry: Registry,
        query: Option<tokio::net::TcpListener>,
    ) -> anyhow::Result<()> {
        // Before anything is measured: what a metric is is told to the recorder that is there.
        let metrics = admin::metrics()?;
        let projector = Projector::open(hooklog_projector::Config {
            connection: cluster.connection.clone(),
            events: topics.events.clone(),
            dir: place.projector()?.to_owned(),
            registry,
            rules: settings.rules.clone(),
        })?;
        self.standing.projector = Some(projector.clone());
        let (reader, stop) = (projector.clone(), self.stop.clone());
        self.spawn_thread("projector", move || Ok(reader.run(&stop)?));
        if let Some(listener) = query {
            let others = self.standing.clone();
            let router = projector.router_beside(Arc::new(move || others.others_not_ready())).merge(metrics);
            let serve = listen::serve(listener, router, self.stop.clone());
            self.spawn("query", async {
                serve.await;
                Ok(())
            });
        }
        if let Some(directory) = place.publisher() {
            let serve = admin::serve(directory.path(), self.standing.clone(), self.stop.clone())?;
            self.spawn("admin", serve);
        }
        Ok(())
    }

    /// A task of Kafka's and RocksDB's has a thread of its own.
    fn spawn_thread(&mut self, name: &'static str, work: impl FnOnce() -> anyhow::Result<()> + Send + 'static) {
        self.names.push(name);
        self.running.spawn_blocking(move || (name, work()));
    }

    fn spawn(&mut self, name: &'static str, work: impl Future<Output = anyhow::Result<()>> + Send + 'static) {
        self.names.push(name);
        self.running.spawn(async move { (name, work.await) });
    }

    /// Waits until all is up, says so, and goes on until told to stop or until something ends by itself.
    pub(super) async fn live(
        &mut self,
        cluster: &Cluster,
        place: &Place,
        cancel: &CancellationToken,
        ready: &Ready,
    ) -> anyhow::Result<Ended> {
        let mut states = cluster.states();
        let brokers = cluster.connection.brokers.clone();
        let standing = self.standing.clone();
        let up = until_up(&standing);
        tokio::pin!(up);
        let mut is_up = false;
        let mut is_published = self.publish(place, &brokers, states.as_ref());
        loop {
            tokio::select! {
                () = cancel.cancelled() => return Ok(Ended::Told),
                () = &mut up, if !is_up => {
                    is_up = true;
                    ready.say(&self.addresses, &brokers)?;
                }
                ended = self.running.join_next(), if !self.running.is_empty() => {
                    // What a broker's death ended is started again with it.
                    let unsound = states.as_ref().and_then(|states| match &*states.borrow() {
                        broker::State::Unsound { why } => Some(why.clone()),
                        _ => None,
                    });
                    return unsound.map_or_else(|| Err(early(ended)), |why| Ok(Ended::Unsound(why)));
                }
                state = changed(&mut states) => match state? {
                    broker::State::GaveUp => return Ok(Ended::Told),
                    broker::State::Unsound { why } => return Ok(Ended::Unsound(why)),
                    broker::State::Running { .. } | broker::State::Restarting { .. } => {
                        is_published = self.publish(place, &brokers, states.as_ref());
                    }
                },
                () = tokio::time::sleep(AGAIN), if !is_published => {
                    is_published = self.publish(place, &brokers, states.as_ref());
                }
            }
        }
    }

    /// Tells other commands where we are. That it cannot be written stops no webhook: it is tried again.
    fn publish(&self, place: &Place, brokers: &str, states: Option<&Receiver<broker::State>>) -> bool {
        let published = self.addresses.run_file(brokers, states).and_then(|run| place.publish(&run));
        if let Err(error) = &published {
            tracing::warn!(
                "other commands cannot be told where this one is: {}; trying again",
                crate::exit::told(error)
            );
        }
        published.is_ok()
    }

    /// [`Services::stop`] for as long as it takes, since nothing may run on; once the process is to stop, `within` that time.
    ///
    /// Some calls of librdkafka come back only once a broker answers. So when ingest has ended, and with it every
    /// acknowledgement, and the others have had their time, `release` lets the broker start again: whoever is still there ends
    /// the transaction that it had open, and begins no other.
    pub(super) async fn pause(mut self, cancel: &CancellationToken, within: Duration, release: impl FnOnce()) {
        self.stop.cancel();
        let _ = tokio::time::timeout(PATIENCE, self.join(|_| false)).await;
        let deadline = async {
            cancel.cancelled().await;
            tokio::time::sleep(within).await;
        };
        let all = async {
            self.join(|left| !left.contains(&INGEST)).await;
            release();
            self.join(|_| false).await;
        };
        tokio::select! {
            () = all => {}
            () = deadline => {}
        }
    }

    /// Until all have ended, or `enough` have; `enough` is told who is left.
    async fn join(&mut self, enough: impl Fn(&[&'static str]) -> bool) {
        while !enough(&self.names) {
            let Some(ended) = self.running.join_next().await else { return };
            if let Ok((name, _)) = &ended {
                self.names.retain(|left| left != name);
            }
            if let Err(error) = told(ended) {
                tracing::warn!("while the services were stopped: {}", crate::exit::told(&error));
            }
        }
    }

    /// All at once: no webhook comes in any more, those that are under way get their answer, and the tasks commit what they
    /// have. What they leave in `raw` is there at the next start.
    pub(super) async fn stop(mut self, within: Duration) -> anyhow::Result<()> {
        self.stop.cancel();
        let (mut outcome, mut left) = (Ok(()), self.names);
        let all = async {
            while let Some(ended) = self.running.join_next().await {
                left.retain(|name| !ended.as_ref().is_ok_and(|(ended, _)| ended == name));
                let before = std::mem::replace(&mut outcome, Ok(()));
                outcome = before.and(told(ended));
            }
        };
        match tokio::time::timeout(within, all).await {
            Ok(()) => outcome,
            // What it had open is undone by Kafka, and done again by the next start.
            Err(_) => Err(anyhow!("{} did not stop within {} s", left.join(" and "), within.as_secs())),
        }
    }
}

async fn until_up(standing: &Standing) {
    let mut told = tokio::time::Instant::now();
    loop {
        let reasons = standing.not_ready();
        if reasons.is_empty() {
            return;
        }
        if told.elapsed() > TELL {
            told = tokio::time::Instant::now();
            tracing::info!("not ready yet: {}", reasons.join("; "));
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// The next state of our own broker; never, where it is not ours.
async fn changed(states: &mut Option<Receiver<broker::State>>) -> anyhow::Result<broker::State> {
    match states {
        Some(states) => {
            states.changed().await.context("the thread that watches Apache Kafka died")?;
            Ok(states.borrow_and_update().clone())
        }
        None => std::future::pending().await,
    }
}

type Outcome = Result<(&'static str, anyhow::Result<()>), tokio::task::JoinError>;

fn early(ended: Option<Outcome>) -> anyhow::Error {
    match ended {
        Some(Ok((name, Ok(())))) => anyhow!("{name} ended although nobody told it to"),
        Some(ended) => told(ended).err().unwrap_or_else(|| anyhow!("a service ended")),
        None => anyhow!("no service runs"),
    }
}

fn told(ended: Outcome) -> anyhow::Result<()> {
    match ended {
        Ok((name, outcome)) => outcome.with_context(|| format!("{name} stopped")),
        Err(died) => Err(anyhow!("a service panicked: {died}")),
    }
}
