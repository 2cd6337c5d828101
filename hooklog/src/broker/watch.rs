//! Watches the broker and restarts it when it dies. Works for an adopted one too, which is not our child.

use super::restart::{Decision, decide};
use super::{Broker, Error};
use crate::process::Ended;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

const POLL: Duration = Duration::from_millis(100);
/// For a broker whose watch was dropped without a word.
const GRACE: Duration = Duration::from_secs(8);

/// How the broker is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    Running {
        pid: i32,
    },
    /// It died, and is being started again.
    Restarting {
        deaths: usize,
    },
    /// It died too often: the watch has ended, and [`Watch::stop`] says why.
    GaveUp,
}

/// A thread that looks after the broker until it is stopped.
#[derive(Debug)]
pub(crate) struct Watch {
    states: watch::Receiver<State>,
    stop: Sender<Duration>,
    cancel: CancellationToken,
    thread: JoinHandle<Result<Ended, Error>>,
}

impl Watch {
    /// Takes the broker over.
    pub(crate) fn over(broker: Broker) -> Self {
        let (announce, states) = watch::channel(State::Running { pid: broker.pid() });
        let (stop, stopped) = mpsc::channel();
        let cancel = broker.cancel().clone();
        let guard = Guard { broker, announce, stopped, began: Instant::now(), deaths: Vec::new() };
        let thread = thread::Builder::new().name("broker-watch".into()).spawn(|| guard.run());
        Self { states, stop, cancel, thread: thread.expect("the system has a thread left at start") }
    }

    /// Changes whenever the broker's state does; closed when the thread has died.
    pub(crate) fn states(&self) -> watch::Receiver<State> {
        self.states.clone()
    }

    /// Ends the broker and the watch: SIGTERM, after `grace` SIGKILL. Where the watch has given up, says so.
    pub(crate) fn stop(self, grace: Duration) -> Result<Ended, Error> {
        self.cancel.cancel();
        // A watch that has given up does not listen any more.
        let _ = self.stop.send(grace);
        self.thread.join().unwrap_or(Err(Error::WatchDied))
    }
}

struct Guard {
    broker: Broker,
    announce: watch::Sender<State>,
    stopped: Receiver<Duration>,
    began: Instant,
    deaths: Vec<Duration>,
}

impl Guard {
    fn run(mut self) -> Result<Ended, Error> {
        loop {
            if let Some(grace) = self.stopped_within(POLL) {
                return self.broker.stop(grace);
            }
            if self.broker.is_alive() {
                continue;
            }
            let reason = self.broker.why_it_died();
            if let Some(grace) = self.revive(reason)? {
                return self.broker.stop(grace);
            }
        }
    }

    /// Tries until it runs again; a start that fails counts as a death. `Some` when told to stop meanwhile.
    fn revive(&mut self, mut reason: String) -> Result<Option<Duration>, Error> {
        loop {
            let now = self.began.elapsed();
            self.deaths.push(now);
            let pause = match decide(&self.deaths, now) {
                Decision::RestartAfter(pause) => pause,
                Decision::GiveUp { deaths } => return Err(self.give_up(deaths, reason)),
            };
            tracing::error!(%reason, "Apache Kafka died: starting it again in {} ms", pause.as_millis());
            self.announce.send_replace(State::Restarting { deaths: self.deaths.len() });
            if let Some(grace) = self.stopped_within(pause) {
                return Ok(Some(grace));
            }
            match self.broker.restart() {
                Ok(()) => break,
                Err(Error::Cancelled) => return Ok(Some(self.stopped_within(GRACE).unwrap_or(GRACE))),
                Err(error) => reason = error.to_string(),
            }
        }
        tracing::info!(pid = self.broker.pid(), "Apache Kafka answers again");
        self.announce.send_replace(State::Running { pid: self.broker.pid() });
        Ok(None)
    }

    fn give_up(&mut self, deaths: usize, reason: String) -> Error {
        self.announce.send_replace(State::GaveUp);
        Error::GaveUp { deaths, reason, log: self.broker.log() }
    }

    fn stopped_within(&self, wait: Duration) -> Option<Duration> {
        match self.stopped.recv_timeout(wait) {
            Ok(grace) => Some(grace),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(GRACE),
        }
    }
}
