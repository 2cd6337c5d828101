//! `hooklog up`, and its services alone: `ingest`, `process`, `project`.
//!
//! | room | what is there |
//! |---|---|
//! | [`roles`] | which services a command runs, and the flags that they take |
//! | [`place`] | the directories, their locks, the instance's id and the source's secret |
//! | [`kafka`] | the cluster: a given one, a running `up`'s, or our own broker |
//! | [`power_loss`] | after the machine went down under our own broker: the log is checked and mended first |
//! | [`services`] | the services as tasks of one process: started, watched, stopped in order |
//! | [`ready`] | what is said once all is up |
//!
//! All in one process is the same code as each alone. A service that ends by itself ends the process.

mod kafka;
mod place;
mod power_loss;
mod ready;
mod roles;
mod services;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio_util::sync::CancellationToken;

use crate::settings::{self, Common, Settings};
use crate::signals;

pub(crate) use roles::{Alone, Args, IngestArgs, ProcessArgs, ProjectArgs, Roles};
pub(crate) use services::Standing;

use kafka::Cluster;
use place::Place;
use ready::Ready;
use services::Services;

/// From the signal to the end of the process ...
const STOP: Duration = Duration::from_secs(10);
/// ... of which the services get this, our own broker what they leave of it, ...
const SERVICES: Duration = Duration::from_secs(5);
/// ... and the rest this much: a broker that had to be killed, threads that are left.
const REST: Duration = Duration::from_secs(1);

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
    let listeners = services::Listeners::bind(roles, &settings).await?;
    let Some(cluster) = kafka::reach(&settings, &place, &cancel).await? else { return Ok(()) };
    let mut services = None;
    let house = House { roles, settings: &settings, place: &place, cluster: &cluster, cancel: &cancel, ready: &ready };
    let served = house.open(listeners, &mut services).await;
    let began = Instant::now();
    let ended = match services {
        Some(services) => services.stop(SERVICES).await.context("while stopping"),
        None => Ok(()),
    };
    let stopped = cluster.stop((STOP - REST).saturating_sub(began.elapsed())).await;
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
    cluster: &'a Cluster,
    cancel: &'a CancellationToken,
    ready: &'a Ready,
}

impl House<'_> {
    /// Until it is to stop; what was started is then in `services`.
    async fn open(&self, listeners: services::Listeners, services: &mut Option<Services>) -> anyhow::Result<()> {
        let &House { roles, settings, place, cluster, cancel, ready } = self;
        let topics = tokio::select! {
            () = cancel.cancelled() => return Ok(()),
            topics = cluster.provision(settings) => topics?,
        };
        for warning in &topics.warnings {
            tracing::warn!("{warning}");
        }
        tokio::select! {
            () = cancel.cancelled() => return Ok(()),
            looked = cluster.look_after_power_loss(settings, place, &topics) => looked?,
        }
        let services = services.insert(Services::new(&listeners)?);
        services.start(roles, settings, place, cluster, &topics, listeners)?;
        services.live(cluster, place, cancel, ready).await
    }
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
