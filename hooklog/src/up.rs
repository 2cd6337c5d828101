//! `hooklog up`, and its services alone: `ingest`, `process`, `project`.
//!
//! | module | what is there |
//! |---|---|
//! | [`roles`] | which services a command runs, and the flags that they take |
//! | [`data_dirs`] | the directories, their locks, the instance's id and the source's secret |
//! | [`context`] | no service runs, or all do, in turn |
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
mod context;
mod data_dirs;
mod kafka;
mod phases;
mod power_loss;
mod ready;
mod roles;
mod services;
mod window;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use crate::settings::{self, Common, Settings};
use crate::signals;

pub(crate) use roles::{Alone, Args, IngestArgs, ProcessArgs, ProjectArgs, Roles};
pub(crate) use services::ServiceStatus;
pub(crate) use window::OtherWindow;

use context::Context;
use data_dirs::DataDirs;
use ready::Ready;
use services::Listeners;

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
    let dirs = DataDirs::open(roles, &settings)?;
    // Before anything is waited for: a port that is taken is told at once.
    let listeners = Listeners::bind(roles, &settings).await?;
    let sources = if roles.ingests() { dirs.sources(&settings)? } else { Vec::new() };
    let context =
        Context { roles, settings: &settings, dirs: &dirs, sources: &sources, cancel: &cancel, ready: &ready };
    let (mut cluster, mut services) = (None, None);
    let served = context.live(listeners, &mut cluster, &mut services).await;
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
    first([stopped, served, ended, dirs.unpublish()])
}

/// The first of several outcomes that is an error; the others are told in the log.
fn first(outcomes: impl IntoIterator<Item = anyhow::Result<()>>) -> anyhow::Result<()> {
    let mut errors = outcomes.into_iter().filter_map(Result::err);
    let first = errors.next();
    errors.for_each(|also| tracing::error!("{}", crate::exit::told(&also)));
    first.map_or(Ok(()), Err)
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
