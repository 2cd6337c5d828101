//! The cluster: a given one, a running `up`'s, or our own broker. Whatever keeps it from answering is waited for.

mod again;
mod provide;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use hooklog_log::Connection;
use tokio::sync::watch::Receiver;
use tokio_util::sync::CancellationToken;

use super::closed::Why;
use super::data_dirs::DataDirs;
use super::phases::{self, Phase};
use crate::broker::{self, Broker, State, Wanted, Watch};
use crate::datadir::{RunFile, cache_home};
use crate::settings::Settings;

/// Partitions of new topics where nobody says how many: on our own broker, and on a cluster.
const OWN_PARTITIONS: u32 = 4;
const CLUSTER_PARTITIONS: u32 = 12;

/// Where the log is, and the broker that we look after, if it is ours.
pub(super) struct Cluster {
    pub(super) connection: Connection,
    own: Option<Own>,
    partitions: u32,
    /// Whether it is the local broker, whoever runs that: then there are no others.
    is_local: bool,
}

struct Own {
    watch: Watch,
    data_dir: PathBuf,
}

/// Finds or starts it; `None` where the process was told to stop meanwhile.
pub(super) async fn reach(
    settings: &Settings,
    dirs: &DataDirs,
    why: &Why,
    cancel: &CancellationToken,
) -> anyhow::Result<Option<Cluster>> {
    let given = |brokers: &str, is_local| Cluster {
        connection: settings.connection_to(brokers),
        own: None,
        partitions: settings.partitions.unwrap_or(CLUSTER_PARTITIONS),
        is_local,
    };
    match (&settings.brokers, dirs.up()) {
        (Some(brokers), _) => Ok(Some(given(brokers, false))),
        (None, Some(directory)) => own(settings, directory.path().to_owned(), why, cancel).await,
        (None, None) => match RunFile::find(&settings.data_dir)?.and_then(|run| Some((run.brokers?, run.broker_pid))) {
            Some((brokers, broker)) => Ok(Some(given(&brokers, broker.is_some()))),
            None => bail!(
                "no cluster is given and no `hooklog up` runs on {}: give --brokers host:port or that one's --data-dir, or use `hooklog up`, which runs its own broker",
                settings.data_dir.display()
            ),
        },
    }
}

async fn own(
    settings: &Settings,
    data_dir: PathBuf,
    why: &Why,
    cancel: &CancellationToken,
) -> anyhow::Result<Option<Cluster>> {
    let wanted =
        Wanted { data_dir: data_dir.clone(), cache: cache_home()?, port: settings.kafka_port, cancel: cancel.clone() };
    why.is("Apache Kafka is being started");
    let broker = match tokio::task::spawn_blocking(|| Broker::start(wanted)).await? {
        Err(broker::Error::Cancelled) => return Ok(None),
        started => started?,
    };
    tracing::info!(came = ?broker.came(), pid = broker.pid(), "Apache Kafka answers at {}", broker.address());
    Ok(Some(Cluster {
        connection: settings.connection_to(&broker.address()),
        own: Some(Own { watch: Watch::over(broker), data_dir }),
        partitions: settings.partitions.unwrap_or(OWN_PARTITIONS),
        is_local: true,
    }))
}

impl Cluster {
    /// Does for our own broker what `phase` asks for, and says why it does not run. Returns once no broker comes any more.
    pub(super) async fn attend(&self, phase: Phase, why: &Why) {
        let go_on = || self.own.iter().for_each(|own| own.watch.go_on());
        phases::attend(phase, self.states(), why, go_on).await;
    }

    /// Does `work` while no service runs; `None` where no broker comes any more, which [`Cluster::stop`] tells.
    pub(super) async fn unless_given_up<T>(&self, why: &Why, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            done = work => Some(done),
            () = self.attend(Phase::Closed, why) => None,
        }
    }

    /// How our own broker is doing; `None` where it is not ours.
    pub(super) fn states(&self) -> Option<Receiver<State>> {
        self.own.as_ref().map(|own| own.watch.states())
    }

    /// Ends our own broker, after everything that talks to it.
    pub(super) async fn stop(self, grace: Duration) -> anyhow::Result<()> {
        let Some(own) = self.own else { return Ok(()) };
        tokio::task::spawn_blocking(move || own.watch.stop(grace))
            .await
            .context("the thread that stops the broker died")??;
        Ok(())
    }
}
