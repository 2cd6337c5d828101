//! The life of a process: no service runs, or all of them do, in turn.

use std::path::Path;
use std::time::{Duration, Instant};

use hooklog_ingest::Source;
use hooklog_log::provision::Provisioned;
use tokio_util::sync::CancellationToken;

use super::SERVICES;
use super::closed::{Closed, Why};
use super::data_dirs::DataDirs;
use super::kafka::{self, Cluster};
use super::ready::Ready;
use super::roles::Roles;
use super::services::{Ended, Listeners, Services};
use crate::room::{self, Shortages};
use crate::settings::Settings;

/// Between two looks at a full disk, and between two lines about it.
const LOOK: Duration = Duration::from_millis(500);
const TELL: Duration = Duration::from_secs(10);

/// What a process is made of, before its services.
pub(super) struct Context<'a> {
    pub(super) roles: &'a Roles,
    pub(super) settings: &'a Settings,
    pub(super) dirs: &'a DataDirs,
    pub(super) sources: &'a [Source],
    pub(super) cancel: &'a CancellationToken,
    pub(super) ready: &'a Ready,
}

impl Context<'_> {
    /// Until it is to stop; what runs then is in `cluster` and `services`. The addresses are given up before.
    pub(super) async fn live(
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
        services.start(self.roles, self.settings, self.dirs, cluster, topics, self.sources, listeners)?;
        closed.open().await?;
        services.live(cluster, self.dirs, self.cancel, self.ready).await
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
            if unless_given_up(cluster.as_ref(), why, waiting).await != Some(true) {
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
        wait_for_room(&self.dirs.directories(), why, self.cancel).await
    }

    async fn open(&self, cluster: &mut Option<Cluster>, why: &Why) -> anyhow::Result<Option<Provisioned>> {
        // A broker of ours that died of a full disk is looked at first: that the disk is full may be all that tells of it.
        let starts_broker = cluster.is_none() && self.settings.brokers.is_none() && self.roles.is_up();
        let full = if starts_broker { Vec::new() } else { self.dirs.full_directories() };
        let there_is_room = wait_for_room(&full, why, self.cancel);
        if unless_given_up(cluster.as_ref(), why, there_is_room).await != Some(true) {
            return Ok(None);
        }
        if cluster.is_none() {
            *cluster = kafka::reach(self.settings, self.dirs, why, self.cancel).await?;
        }
        let Some(cluster) = cluster else { return Ok(None) };
        let provide = cluster.provide(self.roles, self.settings, self.dirs, why, self.cancel);
        let topics = cluster.unless_given_up(why, provide).await.transpose()?.flatten();
        for warning in topics.iter().flat_map(|topics| &topics.warnings) {
            tracing::warn!("{warning}");
        }
        Ok(topics)
    }
}

/// As [`Cluster::unless_given_up`]; before there is a cluster, no broker can be given up.
async fn unless_given_up<T>(cluster: Option<&Cluster>, why: &Why, work: impl Future<Output = T>) -> Option<T> {
    match cluster {
        Some(cluster) => cluster.unless_given_up(why, work).await,
        None => Some(work.await),
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
