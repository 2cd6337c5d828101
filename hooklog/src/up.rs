//! `hooklog up`, and its services alone: `ingest`, `process`, `project`.
//!
//! | room | what is there |
//! |---|---|
//! | [`roles`] | which services a command runs, and the flags that they take |
//! | [`place`] | the directories, their locks, the instance's id and the source's secret |
//! | [`kafka`] | the cluster: a given one, a running `up`'s, or our own broker |
//! | [`services`] | the services as tasks of one process: started, watched, stopped in order |
//! | [`ready`] | what is said once all is up |
//!
//! All in one process is the same code as each alone. A service that ends by itself ends the process.

mod kafka;
mod place;
mod ready;
mod roles;
mod services;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio_util::sync::CancellationToken;

use crate::settings::{self, Common, Settings};
use crate::signals;

pub(crate) use roles::{Args, IngestArgs, ProcessArgs, ProjectArgs, Roles};
pub(crate) use services::Standing;

use kafka::Cluster;
use place::Place;
use services::Services;

/// From the signal to the end of the process.
const STOP: Duration = Duration::from_secs(10);

/// Runs `roles` until a signal, or until one of them ends. Makes its own runtime.
pub(crate) fn run(roles: Roles, common: &Common) -> anyhow::Result<ExitCode> {
    let resolved = settings::load(&roles.flags(common));
    for warning in &resolved.warnings {
        tracing::warn!("{warning}");
    }
    let settings = resolved.settings?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let outcome = runtime.block_on(serve(&roles, settings, common.json));
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome.map(|()| ExitCode::SUCCESS)
}

async fn serve(roles: &Roles, settings: Settings, json: bool) -> anyhow::Result<()> {
    let cancel = signals::cancel_on_signals()?;
    let place = Place::open(roles, &settings)?;
    // Before anything is waited for: a port that is taken is told at once.
    let listeners = services::Listeners::bind(roles, &settings).await?;
    let Some(cluster) = kafka::reach(roles, &settings, &place, &cancel).await? else { return Ok(()) };
    let served = work(roles, &settings, &place, &cluster, listeners, &cancel, json).await;
    let stopped = cluster.stop(STOP / 2).await;
    place.unpublish()?;
    if let (Err(also), Err(_)) = (&served, &stopped) {
        tracing::error!("{also:#}");
    }
    // Why the broker is gone explains what went wrong without it.
    stopped.and(served)
}

async fn work(
    roles: &Roles,
    settings: &Settings,
    place: &Place,
    cluster: &Cluster,
    listeners: services::Listeners,
    cancel: &CancellationToken,
    json: bool,
) -> anyhow::Result<()> {
    let topics = tokio::select! {
        () = cancel.cancelled() => return Ok(()),
        topics = cluster.provision(settings) => topics?,
    };
    for warning in &topics.warnings {
        tracing::warn!("{warning}");
    }
    let mut services = Services::new(&listeners)?;
    let outcome = match services.start(roles, settings, place, cluster, &topics, listeners) {
        Ok(()) => services.live(cluster, place, cancel, json).await,
        failed => failed,
    };
    let began = Instant::now();
    let stopped = services.stop(STOP / 2).await;
    tracing::info!("stopped after {} ms", began.elapsed().as_millis());
    outcome.and(stopped.context("while stopping"))
}
