//! Watches the broker and restarts it when it dies. Works for an adopted one too, which is not our child.
//!
//! After an append that failed it starts no other one before its owner says so: nothing may write to that log, or be
//! acknowledged, until it was checked.

use super::death::Death;
use super::restart::{Decision, decide};
use super::{Broker, Error};
use crate::process::Ended;
use crate::room;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

const POLL: Duration = Duration::from_millis(100);
/// Between two looks at a full disk, and between two lines about it.
const LOOK: Duration = Duration::from_millis(500);
const TELL: Duration = Duration::from_secs(10);
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
        why: String,
    },
    /// It died, perhaps in the middle of an append. It is started again once everything that uses it has stopped, which
    /// [`Watch::go_on`] says; the log is marked, and has to be checked before it is used.
    Unsound {
        why: String,
    },
    /// It died too often: the watch has ended, and [`Watch::stop`] says why.
    GaveUp,
}

/// What its owner wants.
#[derive(Debug)]
enum Order {
    GoOn,
    Stop(Duration),
}

/// A thread that looks after the broker until it is stopped.
#[derive(Debug)]
pub(crate) struct Watch {
    states: watch::Receiver<State>,
    orders: Sender<Order>,
    cancel: CancellationToken,
    thread: JoinHandle<Result<Ended, Error>>,
}

impl Watch {
    /// Takes the broker over.
    pub(crate) fn over(broker: Broker) -> Self {
        let (announce, states) = watch::channel(State::Running { pid: broker.pid() });
        let (orders, ordered) = mpsc::channel();
        let cancel = broker.cancel().clone();
        let guard = Guard { broker, announce, ordered, began: Instant::now(), deaths: Vec::new() };
        let thread = thread::Builder::new().name("broker-watch".into()).spawn(|| guard.run());
        Self { states, orders, cancel, thread: thread.expect("the system has a thread left at start") }
    }

    /// Changes whenever the broker's state does; closed when the thread has died.
    pub(crate) fn states(&self) -> watch::Receiver<State> {
        self.states.clone()
    }

    /// Nothing uses the broker any more: one that is [`State::Unsound`] may be started again.
    pub(crate) fn go_on(&self) {
        // A watch that has ended has said so by its state.
        let _ = self.orders.send(Order::GoOn);
    }

    /// Ends the broker and the watch: SIGTERM, after `grace` SIGKILL. Where the watch has given up, says so.
    pub(crate) fn stop(self, grace: Duration) -> Result<Ended, Error> {
        self.cancel.cancel();
        // A watch that has given up does not listen any more.
        let _ = self.orders.send(Order::Stop(grace));
        self.thread.join().unwrap_or(Err(Error::WatchDied))
    }
}

struct Guard {
    broker: Broker,
    announce: watch::Sender<State>,
    ordered: Receiver<Order>,
    began: Instant,
    deaths: Vec<Duration>,
}

/// The wait was cut short: the watch is to end, and the broker with it.
struct Stopped(Duration);

impl Guard {
    fn run(mut self) -> Result<Ended, Error> {
        loop {
            if let Err(Stopped(grace)) = self.rest(POLL) {
                return self.broker.stop(grace);
            }
            if self.broker.is_alive() {
                continue;
            }
            let death = self.broker.death();
            if let Err(Stopped(grace)) = self.revive(death)? {
                return self.broker.stop(grace);
            }
        }
    }

    /// Tries until it runs again; a start that fails counts as a death, unless the disk is full.
    fn revive(&mut self, mut death: Death) -> Result<Result<(), Stopped>, Error> {
        let (mut is_released, mut full_times) = (false, 0);
        loop {
            // In this order: whoever uses the log knows of it, and it is given up, only when no crash can forget it any more.
            if death.append_failed
                && let Err(stopped) = self.mark()
            {
                return Ok(Err(stopped));
            }
            let pause = if death.is_for_want_of_room {
                full_times += 1;
                room::pause(full_times)
            } else {
                let now = self.began.elapsed();
                self.deaths.push(now);
                match decide(&self.deaths, now) {
                    Decision::RestartAfter(pause) => pause,
                    Decision::GiveUp { deaths } => return Err(self.give_up(deaths, death.reason)),
                }
            };
            let waited = self.wait(&death, &mut is_released, pause);
            if let Err(stopped) = waited {
                return Ok(Err(stopped));
            }
            match self.broker.restart() {
                Ok(()) => break,
                Err(Error::Cancelled) => return Ok(Err(self.rest(GRACE).err().unwrap_or(Stopped(GRACE)))),
                Err(error) => death = self.broker.failed(&error),
            }
        }
        tracing::info!(pid = self.broker.pid(), "Apache Kafka answers again");
        self.announce.send_replace(State::Running { pid: self.broker.pid() });
        Ok(Ok(()))
    }

    /// Until another one may be started.
    fn wait(&mut self, death: &Death, is_released: &mut bool, pause: Duration) -> Result<(), Stopped> {
        let reason = &death.reason;
        if death.append_failed && !*is_released {
            tracing::error!(%reason, "Apache Kafka died, perhaps while it wrote: its log is checked before it is used again");
            // What was said of an earlier one does not count for this one.
            self.rest(Duration::ZERO)?;
            self.announce.send_replace(State::Unsound { why: reason.clone() });
            self.released()?;
            *is_released = true;
        }
        tracing::error!(%reason, "Apache Kafka died: starting it again in {} ms", pause.as_millis());
        self.announce
            .send_replace(State::Restarting { why: format!("Apache Kafka died and is started again: {reason}") });
        self.rest(pause)?;
        if death.is_for_want_of_room { self.wait_for_room() } else { Ok(()) }
    }

    /// Where even that cannot be written, it can once there is room, before which no broker is started.
    fn mark(&self) -> Result<(), Stopped> {
        while let Err(error) = self.broker.note_failed_append() {
            tracing::error!(%error, "that its log must be checked cannot be written down; trying again");
            self.rest(LOOK * 2)?;
        }
        Ok(())
    }

    fn wait_for_room(&self) -> Result<(), Stopped> {
        let mut told: Option<Instant> = None;
        while let Some(full) = self.broker.wants_room() {
            if told.is_none_or(|told| told.elapsed() >= TELL) {
                told = Some(Instant::now());
                tracing::error!("Apache Kafka is not started: {full}");
                self.announce.send_replace(State::Restarting { why: full.to_string() });
            }
            self.rest(LOOK)?;
        }
        Ok(())
    }

    fn give_up(&mut self, deaths: usize, reason: String) -> Error {
        self.announce.send_replace(State::GaveUp);
        Error::GaveUp { deaths, reason, log: self.broker.log() }
    }

    fn released(&self) -> Result<(), Stopped> {
        match self.ordered.recv() {
            Ok(Order::GoOn) => Ok(()),
            Ok(Order::Stop(grace)) => Err(Stopped(grace)),
            Err(_) => Err(Stopped(GRACE)),
        }
    }

    fn rest(&self, pause: Duration) -> Result<(), Stopped> {
        let until = Instant::now() + pause;
        loop {
            match self.ordered.recv_timeout(until.saturating_duration_since(Instant::now())) {
                // Said of an earlier death, while this one was not known yet.
                Ok(Order::GoOn) => {}
                Ok(Order::Stop(grace)) => return Err(Stopped(grace)),
                Err(RecvTimeoutError::Timeout) => return Ok(()),
                Err(RecvTimeoutError::Disconnected) => return Err(Stopped(GRACE)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::local::tests::broker;
    use crate::broker::{PowerLoss, death};

    /// A guard whose broker has died twice just now, and dies once more.
    fn guard(data_dir: &std::path::Path, code: u8) -> Guard {
        let (announce, _) = watch::channel(State::Running { pid: 1 });
        // It would say when to stop.
        let (orders, ordered) = mpsc::channel();
        std::mem::forget(orders);
        let deaths = vec![Duration::ZERO; 2];
        Guard { broker: broker(data_dir, code, ""), announce, ordered, began: Instant::now(), deaths }
    }

    #[test]
    fn the_mark_of_a_failed_append_is_written_before_a_broker_is_given_up() {
        for (code, is_marked) in [(1, true), (143, false)] {
            let dir = tempfile::tempdir().unwrap();
            let mut guard = guard(dir.path(), code);
            let death: death::Death = guard.broker.death();
            assert!(matches!(guard.revive(death), Err(Error::GaveUp { deaths: 3, .. })));
            assert_eq!(*guard.announce.borrow(), State::GaveUp);
            assert_eq!(PowerLoss::in_data_dir(dir.path()).is_some(), is_marked, "{code}");
        }
    }
}
