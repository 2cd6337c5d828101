//! What is looked at when an installation is at rest, and what is kept where something is wrong.

use std::time::Duration;

use anyhow::Result;

use crate::failure::{Failure, Finding};
use crate::logs::Logs;
use crate::options::Scenario;
use crate::reader::{Follower, stable_ends};
use crate::report::{LogFigures, Row, Standing, now};
use crate::run::{Run, Trouble};
use crate::schedule::Cycle;

/// Until the load's last posts are acknowledged, and until no transaction holds readers back.
const SETTLES: Duration = Duration::from_secs(60);

impl Run<'_> {
    /// At rest, the log must hold what was acknowledged, once.
    pub(crate) fn check(&mut self, last: bool) -> Result<(), Trouble> {
        self.progress.doing("checking the log");
        if let Some(load) = self.tested.load.take() {
            load.stop(SETTLES).map_err(|unanswered| Failure::Unanswered { posts: unanswered.posts })?;
        }
        if let Err(failure) = self.tested.installation.audit() {
            // A process that is gone explains an audit that has no answer.
            self.tested.installation.lives()?;
            return Err(failure.into());
        }
        if last {
            // All of it once more: what was read in parts might have changed behind the reader.
            self.tested.follower = Follower::new(self.tested.book.events());
        }
        self.read_on()?;
        let acknowledged = self.tested.book.acknowledged()?;
        let seen = self.tested.follower.seen();
        seen.judge(&acknowledged).map_err(|wrong| {
            let ids = |numbers: &[u64]| numbers.iter().map(|n| self.tested.book.events().id(*n)).collect::<Vec<_>>();
            Failure::wrong(&ids(&wrong.missing), &ids(&wrong.doubled), &wrong.strangers)
        })?;
        self.report.checks += 1;
        self.progress.say(&format!(
            "{} events acknowledged, {} in events, each once",
            acknowledged.len(),
            seen.events()
        ));
        if last || self.options.scenario == Scenario::Kills {
            self.look_at_logs()?;
        }
        if last {
            return Ok(());
        }
        if self.options.scenario == Scenario::Kills {
            let within = self.ready_within();
            self.tested.installation.start(within)?;
        }
        self.load()
    }

    fn read_on(&mut self) -> Result<(), Trouble> {
        let (brokers, topic) = (self.tested.installation.brokers(), self.tested.installation.events());
        let unreadable = |error: anyhow::Error| Failure::Unreadable { what: format!("{error:#}") };
        let ends = stable_ends(&brokers, &topic, SETTLES).map_err(unreadable)?;
        let ends =
            ends.map_err(|held| Failure::Held { partition: held.partition, stable: held.stable, end: held.end })?;
        Ok(self.tested.follower.read_on(&brokers, &topic, &ends).map_err(unreadable)?)
    }

    /// After an orderly stop no transaction may be open, and each must have all its markers.
    fn look_at_logs(&mut self) -> Result<(), Trouble> {
        self.progress.doing("reading the logs of the stopped broker");
        self.tested.installation.stop()?;
        let logs = Logs::read(&self.tested.installation.data_dir())?;
        let logs = figures(&logs);
        let failure = Failure::markers(&logs.judgement);
        self.report.logs.insert(self.tested.number, logs);
        match failure {
            // Elsewhere it is only told: what it leads to is what those scenarios look for.
            Some(failure) if self.options.scenario == Scenario::Kills => Err(failure.into()),
            _ => Ok(()),
        }
    }

    /// Keeps all that may explain a failure; where the run is to go on, it does so with a new installation.
    pub(crate) fn found(&mut self, failure: Failure, cycle: &Cycle, last: bool) -> Result<(), Trouble> {
        self.progress.say(&format!("cycle {}: {failure}", cycle.number));
        // A cycle whose wait or check failed is done, too.
        if self.report.cycles.len() < usize::try_from(cycle.number).unwrap_or(usize::MAX) {
            self.report.add_cycle(Row { cycle: *cycle, installation: self.tested.number, ready_ms: None, felt: None });
        }
        let finding = self.evidence(failure.clone(), cycle);
        self.report.add_finding(finding);
        self.write()?;
        match (self.options.keep_going, last) {
            (false, _) => {
                self.report.standing = Standing::Failed;
                Err(failure.into())
            }
            (true, true) => Ok(()),
            (true, false) => self.begin_anew(),
        }
    }

    /// Both are killed, so that nothing changes any more.
    fn evidence(&mut self, failure: Failure, cycle: &Cycle) -> Finding {
        let at = now();
        self.tested.load = None;
        self.tested.installation.kill(true, true);
        let logs = Logs::read(&self.tested.installation.data_dir()).map(|logs| figures(&logs));
        if let Err(error) = &logs {
            self.progress.say(&format!("the logs could not be read: {error:#}"));
        }
        let logs = logs.ok();
        self.report.logs.extend(logs.clone().map(|logs| (self.tested.number, logs)));
        let installation = &mut self.tested.installation;
        let (hooklog, kafka) = (installation.hooklog_said(), installation.kafka_said());
        let (cycle, installation, kept) = (cycle.number, self.tested.number, installation.keep());
        Finding { failure, cycle, at, installation, kept, logs: logs.map(|logs| logs.judgement), hooklog, kafka }
    }
}

fn figures(logs: &Logs) -> LogFigures {
    LogFigures { judgement: logs.judge(), no_leader: logs.no_leader }
}
