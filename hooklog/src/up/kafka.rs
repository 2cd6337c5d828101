//! The cluster: a given one, a running `up`'s, or our own broker. Whatever keeps it from answering is waited for.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use hooklog_log::provision::{self, Needs, Provisioned, Replication};
use hooklog_log::{Connection, reach};
use hooklog_schemas::ids::Span;
use tokio::sync::watch::Receiver;
use tokio_util::sync::CancellationToken;

use super::closed::Why;
use super::place::Place;
use super::power_loss::Loss;
use super::roles::Roles;
use super::window::{Asked, Begin};
use crate::broker::{self, Broker, PowerLoss, State, Wanted, Watch};
use crate::cluster as tools;
use crate::datadir::{RunFile, cache_home};
use crate::repair::Group;
use crate::room;
use crate::settings::Settings;

/// Partitions of new topics where nobody says how many: on our own broker, and on a cluster.
const OWN_PARTITIONS: u32 = 4;
const CLUSTER_PARTITIONS: u32 = 12;
/// Between two tries of what a cluster that answers did not do.
const PAUSE: Duration = Duration::from_secs(1);

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
    place: &Place,
    why: &Why,
    cancel: &CancellationToken,
) -> anyhow::Result<Option<Cluster>> {
    let given = |brokers: &str, is_local| Cluster {
        connection: settings.connection_to(brokers),
        own: None,
        partitions: settings.partitions.unwrap_or(CLUSTER_PARTITIONS),
        is_local,
    };
    match (&settings.brokers, place.up()) {
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
    let broker = loop {
        let wanted = wanted.clone();
        match tokio::task::spawn_blocking(|| Broker::start(wanted)).await? {
            Err(broker::Error::Cancelled) => return Ok(None),
            Err(error) if room::is_want_of_room(&error) => {
                tracing::error!("Apache Kafka cannot be started: {error}");
                if !super::wait_for_room(&[&data_dir], why, cancel).await {
                    return Ok(None);
                }
            }
            started => break started?,
        }
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
    /// The topics, created or checked, on a log that is whole: before anything reads or writes it. `None` where the process
    /// is to stop, or where our own broker was given up, which [`Cluster::stop`] tells. Waits for Kafka as long as it takes.
    pub(super) async fn provide(
        &self,
        roles: &Roles,
        settings: &Settings,
        place: &Place,
        why: &Why,
        cancel: &CancellationToken,
    ) -> anyhow::Result<Option<Provisioned>> {
        while self.answers(why, cancel).await? {
            why.is("the topics are created or checked");
            let provided = tokio::select! {
                () = cancel.cancelled() => return Ok(None),
                provided = self.try_to_provide(roles, settings, place, why) => provided,
            };
            match provided {
                Err(error) if is_passing(&error) => {
                    tracing::warn!("Kafka is not ready: {}; trying again", crate::exit::told(&error));
                    why.is(format!("Kafka is not ready: {}", crate::exit::told(&error)));
                    tokio::time::sleep(PAUSE).await;
                }
                provided => return provided.map(Some),
            }
        }
        Ok(None)
    }

    async fn try_to_provide(
        &self,
        roles: &Roles,
        settings: &Settings,
        place: &Place,
        why: &Why,
    ) -> anyhow::Result<Provisioned> {
        let topics = self.provision(settings).await?;
        let window = self.window(roles, settings, place, &topics).await?;
        self.look_after_loss(settings, place, &topics, why).await?;
        self.begin_window(window, settings, &topics).await?;
        Ok(topics)
    }

    /// Waits until it answers; false where nobody waits for it any more.
    async fn answers(&self, why: &Why, cancel: &CancellationToken) -> anyhow::Result<bool> {
        tokio::select! {
            () = cancel.cancelled() => Ok(false),
            answers = async {
                match &self.own {
                    Some(own) => runs(&own.watch, why).await,
                    None => self.is_reached(why, cancel).await,
                }
            } => answers,
        }
    }

    async fn is_reached(&self, why: &Why, cancel: &CancellationToken) -> anyhow::Result<bool> {
        let (connection, cancel, why) = (self.connection.clone(), cancel.clone(), why.clone());
        let brokers = connection.brokers.clone();
        let tell = move |reason: &str| {
            tracing::warn!("Kafka at {brokers} does not answer; waiting for it ({reason})");
            why.is(format!("Kafka at {brokers} does not answer: {reason}"));
        };
        let wait = move || reach::wait(&connection, || !cancel.is_cancelled(), tell);
        Ok(tokio::task::spawn_blocking(wait).await??)
    }

    async fn provision(&self, settings: &Settings) -> anyhow::Result<Provisioned> {
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

    /// What is to be done about the dedup window, for a process that removes duplicates.
    async fn window(
        &self,
        roles: &Roles,
        settings: &Settings,
        place: &Place,
        topics: &Provisioned,
    ) -> anyhow::Result<Option<Begin>> {
        if !roles.processes() {
            return Ok(None);
        }
        let asked = Asked {
            connection: self.connection.clone(),
            topics: topics.clone(),
            configured: Span::days(i64::from(settings.dedup_window_days)),
            is_change_meant: roles.changes_window(),
            writer: place.instance()?,
        };
        tokio::task::spawn_blocking(move || asked.agree()).await?
    }

    /// Records where a window begins that was changed.
    async fn begin_window(
        &self,
        begin: Option<Begin>,
        settings: &Settings,
        topics: &Provisioned,
    ) -> anyhow::Result<()> {
        let Some(begin) = begin else { return Ok(()) };
        let tools = tools::Cluster {
            settings: settings.clone(),
            connection: self.connection.clone(),
            run: None,
            is_ours: false,
        };
        let group = Group::of(&tools, topics.clone());
        tokio::task::spawn_blocking(move || begin.at(group.where_a_window_begins()?)).await?
    }

    /// Where our own broker may have lost different tails of its topics: checks and mends the log.
    async fn look_after_loss(
        &self,
        settings: &Settings,
        place: &Place,
        topics: &Provisioned,
        why: &Why,
    ) -> anyhow::Result<()> {
        let mark = self.own.as_ref().and_then(|own| PowerLoss::in_data_dir(&own.data_dir));
        let Some(mark) = mark else { return Ok(()) };
        why.is(format!("{}, so its log is checked first", mark.cause()));
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

    /// Nothing acknowledges what our own broker writes any more: it may be started again, if it waits for that.
    pub(super) fn go_on(&self) {
        if let Some(own) =
            self.own.as_ref().filter(|own| matches!(&*own.watch.states().borrow(), State::Unsound { .. }))
        {
            own.watch.go_on();
        }
    }

    /// Says why our own broker does not run, each time that it is another reason.
    pub(super) async fn tell(&self, why: &Why) -> std::convert::Infallible {
        let Some(mut states) = self.states() else { return std::future::pending().await };
        loop {
            if let State::Restarting { why: reason } | State::Unsound { why: reason } = &*states.borrow_and_update() {
                why.is(reason.clone());
            }
            if states.changed().await.is_err() {
                return std::future::pending().await;
            }
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

/// Waits until our own broker runs. No service does: so one whose log has to be checked may be started for that.
async fn runs(watch: &Watch, why: &Why) -> anyhow::Result<bool> {
    let mut states = watch.states();
    loop {
        let state = states.borrow_and_update().clone();
        match state {
            State::Running { .. } => return Ok(true),
            State::GaveUp => return Ok(false),
            State::Restarting { why: reason } => why.is(reason),
            State::Unsound { why: reason } => {
                why.is(reason);
                watch.go_on();
            }
        }
        states.changed().await.context("the thread that watches Apache Kafka died")?;
    }
}

/// Whether Kafka was away, or busy.
fn is_passing(error: &anyhow::Error) -> bool {
    error.chain().filter_map(of_log).any(hooklog_log::Error::is_passing)
}

/// What Kafka did, where this cause tells it: an error that only stands for another one hides that from the chain.
fn of_log<'e>(cause: &'e (dyn std::error::Error + 'static)) -> Option<&'e hooklog_log::Error> {
    if let Some(hooklog_task::Error::Log(error)) = cause.downcast_ref() {
        return Some(error);
    }
    if let Some(hooklog_projector::Error::Log(error)) = cause.downcast_ref() {
        return Some(error);
    }
    cause.downcast_ref()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kafka_that_is_away_is_known_however_deep_it_is_told() {
        let away = || hooklog_log::Error::NoTopic("hooklog.raw".into());
        assert!(is_passing(&anyhow::Error::new(away()).context("while it was checked")));
        assert!(is_passing(&anyhow::Error::new(hooklog_task::Error::Log(away()))));
        assert!(!is_passing(&anyhow::Error::new(hooklog_log::Error::Contradiction(vec![]))));
        assert!(!is_passing(&anyhow::anyhow!("raw is not whole")));
    }

    /// All that the check of a marked log can end with, as it is told by whoever meets it.
    #[test]
    fn a_check_that_kafka_cut_short_is_begun_again_and_one_that_found_damage_is_not() {
        use hooklog_log::Error;
        use hooklog_log::native::{Class, Failure};
        use hooklog_schemas::Partition;
        use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
        let failure = |class, code| Failure { class, code, text: String::new() };
        let unreachable = |code| {
            let source = KafkaError::GroupListFetch(code);
            Error::Unreachable { brokers: "127.0.0.1:9092".into(), what: "who is in the group", source }
        };
        let aborting = |class, code| Error::Native { what: "to abort", failure: failure(class, code) };
        let producer = |class, code| Error::Producer { id: "hooklog.repair".into(), failure: failure(class, code) };
        let read = Error::Read { topic: "hooklog.raw".into(), partition: Partition(0), reason: "silent".into() };
        let passing: [anyhow::Error; 11] = [
            unreachable(Code::BrokerTransportFailure).into(),
            unreachable(Code::OperationTimedOut).into(),
            unreachable(Code::CoordinatorLoadInProgress).into(),
            unreachable(Code::KafkaStorageError).into(),
            anyhow::Error::new(aborting(Class::Retriable, Code::OperationTimedOut))
                .context("the repair was not committed"),
            aborting(Class::Abortable, Code::KafkaStorageError).into(),
            aborting(Class::Other, Code::OperationTimedOut).into(),
            producer(Class::Other, Code::CoordinatorNotAvailable).into(),
            read.into(),
            hooklog_projector::Error::Log(unreachable(Code::BrokerTransportFailure)).into(),
            hooklog_task::Error::Log(unreachable(Code::BrokerTransportFailure)).into(),
        ];
        for error in passing {
            assert!(is_passing(&error), "{error:#}");
        }
        let lasting: [anyhow::Error; 4] = [
            aborting(Class::Fatal, Code::Fenced).into(),
            producer(Class::Other, Code::TransactionalIdAuthorizationFailed).into(),
            hooklog_projector::Error::Log(Error::Contradiction(vec![])).into(),
            anyhow::anyhow!("raw has lost webhooks"),
        ];
        for error in lasting {
            assert!(!is_passing(&error), "{error:#}");
        }
    }
}
