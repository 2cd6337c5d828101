//! The cluster: a given one, a running `up`'s, or our own broker.

use std::time::Duration;

use anyhow::{Context, bail};
use hooklog_log::Connection;
use hooklog_log::provision::{self, Needs, Provisioned, Replication};
use hooklog_schemas::ids::Span;
use tokio_util::sync::CancellationToken;

use super::place::Place;
use super::power_loss::Loss;
use crate::broker::{self, Broker, PowerLoss, Wanted, Watch};
use crate::datadir::{RunFile, cache_home};
use crate::settings::Settings;

/// Partitions of new topics where nobody says how many: on our own broker, and on a cluster.
const OWN_PARTITIONS: u32 = 4;
const CLUSTER_PARTITIONS: u32 = 12;

/// Where the log is, and the broker that we look after, if it is ours.
pub(super) struct Cluster {
    pub(super) connection: Connection,
    own: Option<Watch>,
    power_loss: Option<PowerLoss>,
    partitions: u32,
    /// Whether it is the local broker, whoever runs that: then there are no others.
    is_local: bool,
}

/// Finds or starts it; `None` where the process was told to stop meanwhile.
pub(super) async fn reach(
    settings: &Settings,
    place: &Place,
    cancel: &CancellationToken,
) -> anyhow::Result<Option<Cluster>> {
    let given = |brokers: &str, is_local| Cluster {
        connection: settings.connection_to(brokers),
        own: None,
        power_loss: None,
        partitions: settings.partitions.unwrap_or(CLUSTER_PARTITIONS),
        is_local,
    };
    match (&settings.brokers, place.up()) {
        (Some(brokers), _) => Ok(Some(given(brokers, false))),
        (None, Some(directory)) => own(settings, directory.path().to_owned(), cancel).await,
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
    data_dir: std::path::PathBuf,
    cancel: &CancellationToken,
) -> anyhow::Result<Option<Cluster>> {
    let wanted = Wanted { data_dir, cache: cache_home()?, port: settings.kafka_port, cancel: cancel.clone() };
    let broker = match tokio::task::spawn_blocking(|| Broker::start(wanted)).await? {
        Err(broker::Error::Cancelled) => return Ok(None),
        started => started?,
    };
    tracing::info!(came = ?broker.came(), pid = broker.pid(), "Apache Kafka answers at {}", broker.address());
    Ok(Some(Cluster {
        connection: settings.connection_to(&broker.address()),
        power_loss: broker.power_loss(),
        own: Some(Watch::over(broker)),
        partitions: settings.partitions.unwrap_or(OWN_PARTITIONS),
        is_local: true,
    }))
}

impl Cluster {
    /// The topics, created or checked.
    pub(super) async fn provision(&self, settings: &Settings) -> anyhow::Result<Provisioned> {
        let needs = Needs {
            topics: settings.topics(),
            partitions: self.partitions,
            replication: self.replication(settings),
            window: Span::days(i64::from(settings.dedup_window_days)),
        };
        let connection = self.connection.clone();
        Ok(tokio::task::spawn_blocking(move || provision::ensure(&connection, &needs)).await??)
    }

    /// The local broker is the only one; a given cluster has three, unless somebody says otherwise.
    fn replication(&self, settings: &Settings) -> Replication {
        let unsaid = if self.is_local { Replication::Of(1) } else { Replication::Three };
        settings.replication.map_or(unsaid, Replication::Of)
    }

    /// Where the machine went down under our own broker: checks and mends the log, before anything reads or writes it.
    pub(super) async fn look_after_power_loss(
        &self,
        settings: &Settings,
        place: &Place,
        topics: &Provisioned,
    ) -> anyhow::Result<()> {
        let Some(mark) = self.power_loss.clone() else { return Ok(()) };
        let loss = Loss {
            mark,
            settings: settings.clone(),
            connection: self.connection.clone(),
            topics: topics.clone(),
            views: place.projector()?.to_owned(),
            instance: place.instance()?,
        };
        tokio::task::spawn_blocking(move || loss.look_after()).await?
    }

    /// How our own broker is doing; `None` where it is not ours.
    pub(super) fn states(&self) -> Option<tokio::sync::watch::Receiver<broker::State>> {
        self.own.as_ref().map(Watch::states)
    }

    /// Ends our own broker, after everything that talks to it.
    pub(super) async fn stop(self, grace: Duration) -> anyhow::Result<()> {
        let Some(watch) = self.own else { return Ok(()) };
        tokio::task::spawn_blocking(move || watch.stop(grace))
            .await
            .context("the thread that stops the broker died")??;
        Ok(())
    }
}
