//! The topics, created or checked, on a log that is whole: before anything reads or writes it.

use std::time::Duration;

use hooklog_log::provision::{self, Needs, Provisioned, Replication};
use hooklog_log::reach;
use hooklog_schemas::ids::Span;
use tokio::sync::watch::Receiver;
use tokio_util::sync::CancellationToken;

use super::Cluster;
use super::again::why_again;
use crate::broker::{PowerLoss, State};
use crate::cluster as tools;
use crate::repair::Group;
use crate::settings::Settings;
use crate::up::closed::Why;
use crate::up::data_dirs::DataDirs;
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
        dirs: &DataDirs,
        why: &Why,
        cancel: &CancellationToken,
    ) -> anyhow::Result<Option<Provisioned>> {
        while self.answers(why, cancel).await? {
            why.is("the topics are created or checked");
            let mark = self.mark();
            let provided = tokio::select! {
                () = cancel.cancelled() => return Ok(None),
                provided = self.try_to_provide(roles, settings, dirs, why) => provided,
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
        dirs: &DataDirs,
        why: &Why,
    ) -> anyhow::Result<Provisioned> {
        let topics = self.provision(settings).await?;
        let window = self.window(roles, settings, dirs, &topics).await?;
        self.look_after_loss(settings, dirs, &topics, why).await?;
        // Where a window begins is seen on a log that is whole only; with a mark, all of this is done again.
        if self.mark().is_none() {
            self.begin_window(window, settings, &topics).await?;
        }
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
        dirs: &DataDirs,
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
            writer: dirs.instance()?,
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
        dirs: &DataDirs,
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
            views: dirs.projector()?.to_owned(),
            instance: dirs.instance()?,
        };
        tokio::task::spawn_blocking(move || loss.look_after()).await?
    }
}

/// Waits until our own broker runs; false where it was given up, or nobody looks after it.
async fn runs(mut states: Receiver<State>) -> bool {
    let known = states.wait_for(|state| matches!(state, State::Running { .. } | State::GaveUp)).await;
    known.is_ok_and(|state| matches!(&*state, State::Running { .. }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::watch;

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
}
