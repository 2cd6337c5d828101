//! `hooklog up`, and its services alone: `ingest`, `process`, `project`.
//!
//! | room | what is there |
//! |---|---|
//! | [`roles`] | which services a command runs, and the flags that they take |
//! | [`place`] | the directories, their locks, the instance's id and the source's secret |
//! | [`kafka`] | the cluster: a given one, a running `up`'s, or our own broker |
//! | [`power_loss`] | where our own broker may have lost tails: the log is checked and mended first |
//! | [`window`] | the dedup window that is recorded, and the one that is configured |
//! | [`phases`] | what is done about each state of our own broker, in each phase of `up` |
//! | [`services`] | the services as tasks of one process: started, watched, stopped in order |
//! | [`closed`] | what is answered while they do not run |
//! | [`ready`] | what is said once all is up |
//!
//! All in one process is the same code as each alone. A service that ends by itself ends the process, unless for want of room
//! on a disk. The services run only on a log that answers and is whole: they are stopped when it may not be, and started
//! again when it is. The addresses stay bound over all that.

mod closed;
mod kafka;
mod phases;
mod place;
mod power_loss;
mod ready;
mod roles;
mod services;
mod window;

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use hooklog_ingest::Source;
use hooklog_log::provision::Provisioned;
use tokio_util::sync::CancellationToken;

use crate::room::{self, Shortages};
use crate::settings::{self, Common, Settings};
use crate::signals;

pub(crate) use roles::{Alone, Args, IngestArgs, ProcessArgs, ProjectArgs, Roles};
pub(crate) use services::Standing;
pub(crate) use window::OtherWindow;

use closed::{Closed, Why};
use kafka::Cluster;
use place::Place;
use ready::Ready;
use services::{Ended, Listeners, Services};

/// From the signal to the end of the process ...
const STOP: Duration = Duration::from_secs(10);
/// ... of which the services get this, our own broker what they leave of it, ...
const SERVICES: Duration = Duration::from_secs(5);
/// ... and the rest this much: a broker that had to be killed, threads that are left.
const REST: Duration = Duration::from_secs(1);
/// Between two looks at a full disk, and between two lines about it.
const LOOK: Duration = Duration::from_millis(500);
const TELL: Duration = Duration::from_secs(10);

/// Runs `roles` until a signal, or until one of them ends. Makes its own runtime.
pub(crate) fn run(roles: Roles, common: &Common) -> anyhow::Result<ExitCode> {
    let resolved = settings::load(&roles.flags(common));
    for warning in &resolved.warnings {
        tracing::warn!("{warning}");
    }
    let settings = resolved.settings?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let outcome = runtime.block_on(serve(&roles, settings, Ready::of(common)));
    runtime.shutdown_timeout(REST / 2);
    outcome.map(|()| ExitCode::SUCCESS)
}

async fn serve(roles: &Roles, settings: Settings, ready: Ready) -> anyhow::Result<()> {
    let cancel = signals::cancel_on_signals()?;
    let place = Place::open(roles, &settings)?;
    // Before anything is waited for: a port that is taken is told at once.
    let listeners = Listeners::bind(roles, &settings).await?;
    let sources = if roles.ingests() { place.sources(&settings)? } else { Vec::new() };
    let house = House { roles, settings: &settings, place: &place, sources: &sources, cancel: &cancel, ready: &ready };
    let (mut cluster, mut services) = (None, None);
    let served = house.live(listeners, &mut cluster, &mut services).await;
    let began = Instant::now();
    let ended = match services {
        Some(services) => services.stop(SERVICES).await.context("while stopping"),
        None => Ok(()),
    };
    let stopped = match cluster {
        Some(cluster) => cluster.stop((STOP - REST).saturating_sub(began.elapsed())).await,
        None => Ok(()),
    };
    tracing::info!("stopped after {} ms", began.elapsed().as_millis());
    // Why the broker is gone explains what went wrong without it.
    first([stopped, served, ended, place.unpublish()])
}

/// The first of several outcomes that is an error; the others are told in the log.
fn first(outcomes: impl IntoIterator<Item = anyhow::Result<()>>) -> anyhow::Result<()> {
    let mut errors = outcomes.into_iter().filter_map(Result::err);
    let first = errors.next();
    errors.for_each(|also| tracing::error!("{}", crate::exit::told(&also)));
    first.map_or(Ok(()), Err)
}

/// What a process is made of, before its services.
struct House<'a> {
    roles: &'a Roles,
    settings: &'a Settings,
    place: &'a Place,
    sources: &'a [Source],
    cancel: &'a CancellationToken,
    ready: &'a Ready,
}

impl House<'_> {
    /// Until it is to stop; what runs then is in `cluster` and `services`. The addresses are given up before.
    async fn live(
        &self,
        listeners: Listeners,
        cluster: &mut Option<Cluster>,
        running: &mut Option<Services>,
    ) -> anyhow::Result<()> {
        let mut closed = Closed::serve(&listeners, self.sources, "it is starting")?;
        let mut shortages = Shortages::default();
        loop {
            let why = closed.why();
            let topics = closed.during(self.cancel, self.opened(cluster, &mut shortages, &why)).await?;
            let (Some(topics), Some(cluster)) = (topics, cluster.as_ref()) else { return Ok(()) };
            let services = running.insert(Services::new(&listeners, cluster.states())?);
            let began = Instant::now();
            let (why, pause) = match self.serve(services, cluster, &topics, &listeners, closed).await {
                Ok(Ended::Told) => return Ok(()),
                Ok(Ended::Unsound(why)) => (why, None),
                Err(error) if room::is_want_of_room(error.as_ref()) => {
                    (crate::exit::told(&error), Some(shortages.one_more(began.elapsed())))
                }
                Err(error) => return Err(error),
            };
            tracing::error!("the services are stopped, and started again once that is over: {why}");
            closed = Closed::serve(&listeners, self.sources, &why)?;
            let why = closed.why();
            let is_over = closed.during(self.cancel, self.pause(cluster, running.take(), pause, &why)).await?;
            if !is_over {
                return Ok(());
            }
        }
    }

    /// The services run until they are to stop, or one of them ends.
    async fn serve(
        &self,
        services: &mut Services,
        cluster: &Cluster,
        topics: &Provisioned,
        listeners: &Listeners,
        closed: Closed,
    ) -> anyhow::Result<Ended> {
        services.start(self.roles, self.settings, self.place, cluster, topics, self.sources, listeners)?;
        closed.open().await?;
        services.live(cluster, self.place, self.cancel, self.ready).await
    }

    /// Stops the services; where they ended for want of room, waits then for so long, and for room. False where the process
    /// is to stop, or no broker comes any more.
    async fn pause(
        &self,
        cluster: &Cluster,
        services: Option<Services>,
        pause: Option<Duration>,
        why: &Why,
    ) -> anyhow::Result<bool> {
        if let Some(services) = services {
            services.pause(self.cancel, SERVICES, |phase| cluster.attend(phase, why)).await;
        }
        let Some(pause) = pause else { return Ok(true) };
        Ok(cluster.unless_given_up(why, self.wait_for_room(pause, why)).await.unwrap_or(false))
    }

    /// A cluster whose log is whole, and its topics; `None` where the process is to stop, or no broker comes any more.
    async fn opened(
        &self,
        cluster: &mut Option<Cluster>,
        shortages: &mut Shortages,
        why: &Why,
    ) -> anyhow::Result<Option<Provisioned>> {
        loop {
            let error = match self.open(cluster, why).await {
                Err(error) if room::is_want_of_room(error.as_ref()) => error,
                opened => return opened,
            };
            tracing::error!("nothing can be started: {}", crate::exit::told(&error));
            why.is(crate::exit::told(&error));
            let waiting = self.wait_for_room(shortages.one_more(Duration::ZERO), why);
            let is_over = match cluster {
                Some(cluster) => cluster.unless_given_up(why, waiting).await,
                None => Some(waiting.await),
            };
            if is_over != Some(true) {
                return Ok(None);
            }
        }
    }

    /// After an end for want of room; false where the process is to stop.
    async fn wait_for_room(&self, pause: Duration, why: &Why) -> bool {
        tokio::select! {
            () = self.cancel.cancelled() => return false,
            () = tokio::time::sleep(pause) => {}
        }
        wait_for_room(&self.place.directories(), why, self.cancel).await
    }

    async fn open(&self, cluster: &mut Option<Cluster>, why: &Why) -> anyhow::Result<Option<Provisioned>> {
        // A broker of ours that died of a full disk is looked at first: that the disk is full may be all that tells of it.
        let starts_broker = cluster.is_none() && self.settings.brokers.is_none() && self.roles.is_up();
        let full = if starts_broker { Vec::new() } else { self.place.full_directories() };
        let there_is_room = wait_for_room(&full, why, self.cancel);
        let there_is_room = match cluster.as_ref() {
            Some(cluster) => cluster.unless_given_up(why, there_is_room).await,
            None => Some(there_is_room.await),
        };
        if there_is_room != Some(true) {
            return Ok(None);
        }
        if cluster.is_none() {
            *cluster = kafka::reach(self.settings, self.place, why, self.cancel).await?;
        }
        let Some(cluster) = cluster else { return Ok(None) };
        let provide = cluster.provide(self.roles, self.settings, self.place, why, self.cancel);
        let topics = cluster.unless_given_up(why, provide).await.transpose()?.flatten();
        for warning in topics.iter().flat_map(|topics| &topics.warnings) {
            tracing::warn!("{warning}");
        }
        Ok(topics)
    }
}

/// Waits until the disks of these directories have room; false where the process is to stop.
async fn wait_for_room(directories: &[&Path], why: &Why, cancel: &CancellationToken) -> bool {
    let mut told: Option<Instant> = None;
    while let Some(full) = room::wanting_any(directories.iter().copied()) {
        if told.is_none_or(|told| told.elapsed() >= TELL) {
            told = Some(Instant::now());
            tracing::error!("{full}");
        }
        why.is(full.to_string());
        tokio::select! {
            () = cancel.cancelled() => return false,
            () = tokio::time::sleep(LOOK) => {}
        }
    }
    !cancel.is_cancelled()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_error_is_the_one_that_is_told() {
        let error = |text: &str| Err(anyhow::anyhow!("{text}"));
        assert_eq!(first([Ok(()), error("a"), error("b")]).unwrap_err().to_string(), "a");
        assert!(first([Ok(()), Ok(())]).is_ok());
    }
}
