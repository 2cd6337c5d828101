//! The topics, created or checked, on a log that is whole: before anything reads or writes it.

use std::time::Duration;

use hooklog_log::provision::{self, Needs, Provisioned, Replication};
use hooklog_log::reach;
use hooklog_schemas::ids::Span;
use tokio::sync::watch::Receiver;
use tokio_util::sync::CancellationToken;

use super::Cluster;
use crate::broker::{PowerLoss, State};
use crate::cluster as tools;
use crate::repair::Group;
use crate::settings::Settings;
use crate::up::closed::Why;
use crate::up::place::Place;
use crate::up::power_loss::Loss;
use crate::up::roles::Roles;
use crate::up::window::{Asked, Begin};

/// Between two tries of what a cluster that answers did not do.
const PAUSE: Duration = Duration::from_secs(1);

impl Cluster {
    /// The topics; `None` where the process is to stop, or where our own broker was given up, which [`Cluster::stop`] tells.
    /// Waits for Kafka as long as it takes.
    ///
    /// While it does, somebody has to [`attend`](Cluster::attend) to our own broker.
    pub(in crate::up) async fn provide(
        &self,
        roles: &Roles,
        settings: &Settings,
        place: &Place,
        why: &Why,
        cancel: &CancellationToken,
    ) -> anyhow::Result<Option<Provisioned>> {
        while self.answers(why, cancel).await? {
            why.is("the topics are created or checked");
            let mark = self.mark();
            let provided = tokio::select! {
                () = cancel.cancelled() => return Ok(None),
                provided = self.try_to_provide(roles, settings, place, why) => provided,
            };
            let (outcome, after) = (provided.as_ref().map(|_| ()), self.mark());
            let Some(reason) = why_again(outcome, mark.as_ref(), after.as_ref()) else { return provided.map(Some) };
            tracing::warn!("{reason}; trying again");
            why.is(reason);
            tokio::time::sleep(PAUSE).await;
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
                    Some(own) => Ok(runs(own.watch.states()).await),
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

    /// Of our own broker: its log has to be checked.
    fn mark(&self) -> Option<PowerLoss> {
        self.own.as_ref().and_then(|own| PowerLoss::in_data_dir(&own.data_dir))
    }

    /// Where our own broker may have lost different tails of its topics: checks and mends the log.
    async fn look_after_loss(
        &self,
        settings: &Settings,
        place: &Place,
        topics: &Provisioned,
        why: &Why,
    ) -> anyhow::Result<()> {
        let Some(mark) = self.mark() else { return Ok(()) };
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
}

/// Waits until our own broker runs; false where it was given up, or nobody looks after it.
async fn runs(mut states: Receiver<State>) -> bool {
    let known = states.wait_for(|state| matches!(state, State::Running { .. } | State::GaveUp)).await;
    known.is_ok_and(|state| matches!(&*state, State::Running { .. }))
}

/// Why the topics have to be provided again, by what came of that and the marks of the log before and after it. A broker that
/// died meanwhile and may have lost tails is started again at once, since no service runs: so its mark tells, not its state.
fn why_again(
    outcome: Result<(), &anyhow::Error>,
    before: Option<&PowerLoss>,
    after: Option<&PowerLoss>,
) -> Option<String> {
    let newer = after.filter(|after| before != Some(after));
    match (outcome, newer) {
        (Ok(()), _) => after.map(|mark| format!("{} while the topics were checked", mark.cause())),
        (Err(error), _) if is_passing(error) => Some(format!("Kafka is not ready: {}", crate::exit::told(error))),
        // It was seen while it was cut.
        (Err(error), Some(mark)) => Some(format!("{} meanwhile: {}", mark.cause(), crate::exit::told(error))),
        (Err(_), None) => None,
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
    use tokio::sync::watch;

    #[test]
    fn topics_are_provided_again_where_kafka_was_away_or_another_append_failed_meanwhile() {
        let (one, other) = (PowerLoss::example("one"), PowerLoss::example("other"));
        let (one, other) = (Some(&one), Some(&other));
        let passing = anyhow::Error::new(hooklog_log::Error::NoTopic("hooklog.raw".into()));
        let lasting = anyhow::anyhow!("raw is not whole");
        let again = |outcome, before, after| why_again(outcome, before, after).is_some();
        for (before, after, ok, failed) in [
            (None, None, false, false),
            (one, None, false, false),
            (None, one, true, true),
            (one, other, true, true),
            (one, one, true, false),
        ] {
            assert_eq!(again(Ok(()), before, after), ok, "{before:?} {after:?}");
            assert_eq!(again(Err(&lasting), before, after), failed, "{before:?} {after:?}");
            assert!(again(Err(&passing), before, after));
        }
    }

    #[tokio::test]
    async fn a_broker_is_waited_for_until_it_runs_or_nobody_starts_it_any_more() {
        let (announce, states) = watch::channel(State::Restarting { why: "it died".into() });
        assert!(tokio::time::timeout(Duration::from_millis(20), runs(states.clone())).await.is_err());
        announce.send_replace(State::Running { pid: 1 });
        assert!(runs(states.clone()).await);
        announce.send_replace(State::GaveUp);
        assert!(!runs(states.clone()).await);
        announce.send_replace(State::Unsound { why: "an append failed".into() });
        drop(announce);
        assert!(!runs(states).await);
    }

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
