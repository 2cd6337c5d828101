//! The faults themselves, each until all is ready again.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::failure::Failure;
use crate::load::{Answer, Client};
use crate::run::{Run, Trouble};
use crate::schedule::{Disk, Fault, Victim};

/// While a fault lasts, a webhook of our own goes out so often.
const PROBE_EVERY: Duration = Duration::from_millis(500);
/// Where nothing is wrong.
const TAKEN_IN_WITHIN: Duration = Duration::from_secs(2);
/// After it has closed its port.
const ENDS_WITHIN: Duration = Duration::from_secs(12);

impl Run<'_> {
    /// Returns how long it took until all was ready again.
    pub(crate) fn act(&mut self, fault: &Fault) -> Result<Duration, Trouble> {
        match *fault {
            Fault::Kill { victim: Victim::Broker, .. } => self.kill_broker(),
            Fault::Kill { victim, pause_ms } => self.kill(victim == Victim::Both, Duration::from_millis(pause_ms)),
            Fault::Fill { disk, full_ms } => self.fill(disk, Duration::from_millis(full_ms)),
            Fault::Silence { stopped_ms } => self.silence(Duration::from_millis(stopped_ms)),
        }
    }

    fn kill(&mut self, both: bool, pause: Duration) -> Result<Duration, Trouble> {
        self.installation().kill(true, both);
        self.pause(pause)?;
        let within = self.ready_within();
        Ok(self.installation().start(within)?)
    }

    /// `up` starts it again by itself.
    fn kill_broker(&mut self) -> Result<Duration, Trouble> {
        let old = self.installation().broker();
        let began = Instant::now();
        self.installation().kill(false, true);
        self.until_ready(old.as_ref())?;
        Ok(began.elapsed())
    }

    fn fill(&mut self, disk: Disk, full: Duration) -> Result<Duration, Trouble> {
        let fillers = {
            let disks = self.installation().disks()?;
            let broker = (disk != Disk::Store).then(|| disks.broker.fill());
            let store = (disk != Disk::Broker).then(|| disks.store.fill());
            (broker, store)
        };
        let last = self.lives_and_answers(full)?;
        let is_felt = !self.goes_on(last);
        drop(fillers);
        self.installation().free_the_stores()?;
        self.felt(is_felt);
        self.until_ready(None)
    }

    /// Whether what was acknowledged last is taken in: then the fault has stopped nothing.
    fn goes_on(&mut self, last: Option<(i32, i64)>) -> bool {
        let deadline = Instant::now() + TAKEN_IN_WITHIN;
        while let Some(position) = last
            && Instant::now() < deadline
        {
            if self.installation().has_taken_in(position) {
                return true;
            }
        }
        false
    }

    fn silence(&mut self, stopped: Duration) -> Result<Duration, Trouble> {
        let broker = self.installation().broker().ok_or_else(|| anyhow::anyhow!("there is no broker to stop"))?;
        broker.signal(Signal::STOP);
        let went = self.lives_and_answers(stopped);
        // Also where the process has ended: a stopped broker could not even be looked at.
        broker.signal(Signal::CONT);
        let last = went?;
        self.felt(last.is_none());
        self.until_ready(None)
    }

    fn until_ready(&mut self, old: Option<&hooklog_test_support::Process>) -> Result<Duration, Trouble> {
        let (within, book, target) = (self.ready_within(), self.book(), self.installation().target()?);
        let mut client = Client::new(target);
        let probe = || {
            let post = book.take();
            let answer = client.post(&post.body);
            book.note(&post, answer);
            (answer == Answer::Status(200)).then(|| client.position()).flatten()
        };
        Ok(self.installation().is_ready_again(old, within, probe)?)
    }

    /// So long, `up` lives, takes every connection, and answers 200 or 503. Returns where the last webhook stands, if it got
    /// its 200.
    fn lives_and_answers(&mut self, time: Duration) -> Result<Option<(i32, i64)>, Trouble> {
        let (book, mut client) = (self.book(), Client::new(self.installation().target()?));
        let (mut next, mut last) = (Instant::now(), None);
        self.watch(time, &mut |run| {
            if Instant::now() < next {
                return Ok(());
            }
            next = Instant::now() + PROBE_EVERY;
            let post = book.take();
            let answer = client.post(&post.body);
            book.note(&post, answer);
            last = (answer == Answer::Status(200)).then(|| client.position()).flatten();
            match answer {
                Answer::Status(200 | 503) => Ok(()),
                other => Err(run.why(other)?.into()),
            }
        })?;
        Ok(last)
    }

    /// A process that ends refuses connections first: then its end is what was found.
    fn why(&mut self, answer: Answer) -> Result<Failure, Trouble> {
        self.watch(ENDS_WITHIN, &mut |_| Ok(()))?;
        Ok(Failure::Answer { answer: answer.name() })
    }
}
