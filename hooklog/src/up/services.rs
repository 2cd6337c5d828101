//! The services as tasks of one process: started, watched, stopped in order.

mod listeners;
mod standing;
mod start;
mod stop;

use std::time::Duration;

use anyhow::{Context, anyhow};
use tokio::sync::watch::Receiver;
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::data_dirs::DataDirs;
use super::kafka::Cluster;
use super::phases::{Phase, Step, step};
use super::ready::Ready;
use crate::broker;

pub(super) use listeners::{Addresses, Listeners, url};
pub(crate) use standing::ServiceStatus;

/// Between two looks at what is not ready yet, and between two lines about it.
const LOOK: Duration = Duration::from_millis(50);
const TELL: Duration = Duration::from_secs(10);
const INGEST: &str = "ingest";
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
    /// What was started and has not ended.
    names: Vec<(Id, &'static str)>,
    standing: ServiceStatus,
    addresses: Addresses,
}

impl Services {
    /// Nothing yet, for what `listeners` will serve.
    pub(super) fn new(listeners: &Listeners, broker: Option<Receiver<broker::State>>) -> anyhow::Result<Services> {
        let (stop, addresses) = (CancellationToken::new(), listeners.addresses()?);
        let standing = ServiceStatus::beginning(broker);
        Ok(Services { stop, running: JoinSet::new(), names: Vec::new(), standing, addresses })
    }

    /// The next one that ends, whatever ended it; nothing, where none is left.
    async fn ended(&mut self) -> Option<Outcome> {
        let ended = self.running.join_next_with_id().await?;
        let id = ended.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
        self.names.retain(|(left, _)| *left != id);
        Some(ended.map(|(_, outcome)| outcome))
    }

    /// What has not ended.
    fn left(&self) -> Vec<&'static str> {
        self.names.iter().map(|(_, name)| *name).collect()
    }

    /// Waits until all is up, says so, and goes on until told to stop or until something ends by itself.
    pub(super) async fn live(
        &mut self,
        cluster: &Cluster,
        dirs: &DataDirs,
        cancel: &CancellationToken,
        ready: &Ready,
    ) -> anyhow::Result<Ended> {
        let mut states = cluster.states();
        let brokers = cluster.connection.brokers.clone();
        let standing = self.standing.clone();
        let up = until_up(&standing);
        tokio::pin!(up);
        let mut is_up = false;
        let mut is_published = self.publish(dirs, &brokers, states.as_ref());
        loop {
            tokio::select! {
                () = cancel.cancelled() => return Ok(Ended::Told),
                () = &mut up, if !is_up => {
                    is_up = true;
                    ready.say(&self.addresses, &brokers)?;
                }
                ended = self.ended(), if !self.names.is_empty() => {
                    // What a broker's death ended is started again with it.
                    let state = states.as_ref().map(|states| states.borrow().clone());
                    return match state {
                        Some(broker::State::Unsound { why }) => Ok(Ended::Unsound(why)),
                        _ => Err(early(ended)),
                    };
                }
                state = changed(&mut states) => match step(Phase::Serving, &state) {
                    Step::End => return Ok(Ended::Told),
                    Step::StopServices => return Ok(Ended::Unsound(reason(&state))),
                    Step::Wait | Step::GoOn => is_published = self.publish(dirs, &brokers, states.as_ref()),
                },
                () = tokio::time::sleep(AGAIN), if !is_published => {
                    is_published = self.publish(dirs, &brokers, states.as_ref());
                }
            }
        }
    }

    /// Tells other commands where we are. That it cannot be written stops no webhook: it is tried again.
    fn publish(&self, dirs: &DataDirs, brokers: &str, states: Option<&Receiver<broker::State>>) -> bool {
        let published = self.addresses.run_file(brokers, states).and_then(|run| dirs.publish(&run));
        if let Err(error) = &published {
            tracing::warn!(
                "other commands cannot be told where this one is: {}; trying again",
                crate::exit::told(error)
            );
        }
        published.is_ok()
    }
}

async fn until_up(standing: &ServiceStatus) {
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

/// The next state of our own broker, which is given up where nobody looks after it any more; never, where it is not ours.
async fn changed(states: &mut Option<Receiver<broker::State>>) -> broker::State {
    let Some(states) = states else { return std::future::pending().await };
    match states.changed().await {
        Ok(()) => states.borrow_and_update().clone(),
        Err(_) => broker::State::GaveUp,
    }
}

fn reason(state: &broker::State) -> String {
    match state {
        broker::State::Restarting { why } | broker::State::Unsound { why } => why.clone(),
        broker::State::Running { .. } | broker::State::GaveUp => String::new(),
    }
}

type Outcome = Result<(&'static str, anyhow::Result<()>), JoinError>;

fn early(ended: Option<Outcome>) -> anyhow::Error {
    match ended {
        Some(Ok((name, Ok(())))) => anyhow!("{name} ended without a reason"),
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
