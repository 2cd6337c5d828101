//! Between Kafka's acknowledgement and ours: is `raw` still the topic that it was when this process started?
//!
//! A producer names its topic, not the topic's id, so a `raw` that was deleted and made anew under it takes its records, and
//! nobody reads them. An acknowledgement is therefore held until a look at the topic's id that *began after it* has found the
//! same id: ids do not come back, so the record is in that topic. One look confirms all that was acknowledged before it.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use hooklog_log::identity::{Looker, OtherLog, Verdict};
use hooklog_log::provision::Pinned;
use hooklog_schemas::{Offset, Partition, RawPosition};
use tokio::sync::{oneshot, watch};

use super::{Answer, Rejected};
use crate::{Config, Error};

/// Between two looks while nothing is acknowledged.
const IDLE: Duration = Duration::from_secs(1);
/// From the begin of one look to that of the next: under load this bounds their number, and what they add to an answer.
const APART: Duration = Duration::from_millis(5);
/// Between two looks of which the first one did not tell.
const AFTER_UNSURE: Duration = Duration::from_millis(100);
/// How long offsets that went back are held against a topic whose id is the same.
const DOUBT: Duration = Duration::from_secs(5);

/// What Kafka has acknowledged, and who waits to know.
pub(super) struct Acked {
    /// Of the producer.
    pub generation: u64,
    pub position: RawPosition,
    pub answer: oneshot::Sender<Answer>,
}

/// Where producers hand in what was acknowledged.
pub(super) type Confirm = SyncSender<Acked>;

/// Whether `raw` is another topic by now, and which.
pub(super) type Other = watch::Receiver<Option<OtherLog>>;

/// Starts the thread that looks. It ends when every [`Confirm`] is gone; where it ends before, [`Other`] says so.
pub(super) fn start(config: &Config) -> Result<(Confirm, Other), Error> {
    let (name, id, partitions) = (config.topics.raw(), config.log.clone(), config.partitions);
    let refused = |reason: String| Error::Producer { reason };
    let looker = Looker::new(&config.connection, [&Pinned { name, partitions, id }]);
    let looker = looker.map_err(|error| refused(error.to_string()))?;
    // As many as may be in flight, so there is room for each of them.
    let (confirm, acked) = sync_channel(config.limits.queue_records);
    let (report, other) = watch::channel(None);
    let confirmer = Confirmer { looker, offsets: Offsets::default(), report, looked: None };
    let thread = thread::Builder::new().name("raw-id".to_owned()).spawn(move || confirmer.run(&acked));
    thread.map_err(|error| refused(format!("no thread could be started: {error}")))?;
    Ok((confirm, other))
}

struct Confirmer {
    looker: Looker,
    offsets: Offsets,
    report: watch::Sender<Option<OtherLog>>,
    /// When the last look began.
    looked: Option<Instant>,
}

impl Confirmer {
    fn run(mut self, acked: &Receiver<Acked>) {
        let mut held = Vec::new();
        let mut wait = Duration::ZERO;
        loop {
            match acked.recv_timeout(wait) {
                Ok(first) => held.push(first),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.rest();
            held.extend(acked.try_iter());
            // Nobody waits any more where the deadline has passed.
            held.retain(|acked| !acked.answer.is_closed());
            let verdict = self.verdict();
            let unsure = matches!(verdict, Verdict::Unknown(_) | Verdict::Absent(_));
            self.answer(&mut held, verdict);
            wait = if unsure { AFTER_UNSURE } else { IDLE };
            if unsure && !held.is_empty() {
                thread::sleep(AFTER_UNSURE);
                wait = Duration::ZERO;
            }
        }
    }

    /// Waits until the next look may begin.
    fn rest(&self) {
        let since = self.looked.map_or(APART, |looked| looked.elapsed());
        thread::sleep(APART.saturating_sub(since));
    }

    /// Once `raw` is another topic it stays so.
    fn verdict(&mut self) -> Verdict {
        if let Some(other) = &*self.report.borrow() {
            return Verdict::Other(other.clone());
        }
        self.looked = Some(Instant::now());
        let verdict = self.looker.look();
        if let Verdict::Other(other) = &verdict {
            tracing::error!("{other}. Nothing is acknowledged any more");
            self.report.send_replace(Some(other.clone()));
        }
        verdict
    }

    /// Answers those that `verdict` says something about: all were acknowledged before that look began.
    fn answer(&mut self, held: &mut Vec<Acked>, verdict: Verdict) {
        match verdict {
            Verdict::Same => held.drain(..).for_each(|acked| self.confirm(acked)),
            Verdict::Other(_) if held.is_empty() => {}
            Verdict::Other(other) => {
                let records = held.len();
                tracing::error!(
                    records,
                    "written to another {} and not acknowledged: Stripe sends them again",
                    other.topic
                );
                for acked in held.drain(..) {
                    let _ = acked.answer.send(Err(Rejected::OtherLog));
                }
            }
            Verdict::Unknown(why) | Verdict::Absent(why) if held.is_empty() => {
                tracing::debug!(why, "the id of raw is not known now");
            }
            Verdict::Unknown(why) | Verdict::Absent(why) => {
                tracing::warn!(why, held = held.len(), "acknowledgements are held: the id of raw is not known now");
            }
        }
    }

    fn confirm(&mut self, acked: Acked) {
        let believed = self.offsets.take(acked.generation, acked.position, Instant::now());
        // Nobody waits any more where the deadline passed or the client went away.
        let _ = acked.answer.send(if believed { Ok(acked.position) } else { Err(Rejected::Doubtful) });
    }
}

/// The last offset that was acknowledged in each partition. Pure.
///
/// In one log these only grow. One that goes back means another log, whatever the id says: the broker that was asked for that
/// may know of the new topic later than the one that took the record. Where the id stays the same for longer than that can
/// take, the log has lost its tail, and what is acknowledged now is in it all the same.
#[derive(Debug, Default)]
pub(super) struct Offsets {
    generation: u64,
    last: BTreeMap<Partition, Offset>,
    doubted: Option<Instant>,
}

impl Offsets {
    /// Takes what was acknowledged to the producer `generation`, and says whether to believe it.
    fn take(&mut self, generation: u64, position: RawPosition, now: Instant) -> bool {
        // Of a predecessor: it may come late, and says nothing of the order.
        if generation < self.generation {
            return self.is_believed(now);
        }
        self.generation = generation;
        let last = self.last.insert(position.partition, position.offset);
        if last.is_some_and(|last| position.offset <= last) {
            tracing::error!(%position, ?last, "an offset of raw went back: raw is another topic, or has lost its tail; nothing is acknowledged for {} s", DOUBT.as_secs());
            self.last.clear();
            self.doubted = Some(now);
        }
        self.is_believed(now)
    }

    fn is_believed(&self, now: Instant) -> bool {
        self.doubted.is_none_or(|doubted| now.duration_since(doubted) > DOUBT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(partition: i32, offset: i64) -> RawPosition {
        RawPosition { partition: Partition(partition), offset: Offset(offset) }
    }

    #[test]
    fn offsets_that_grow_are_believed_whatever_lies_between() {
        let (mut offsets, now) = (Offsets::default(), Instant::now());
        for (partition, offset) in [(0, 0), (0, 1), (1, 0), (0, 9), (1, 500)] {
            assert!(offsets.take(1, at(partition, offset), now), "{partition}/{offset}");
        }
    }

    #[test]
    fn one_offset_that_goes_back_or_comes_again_makes_all_doubtful_for_a_while() {
        for back in [8, 9] {
            let (mut offsets, now) = (Offsets::default(), Instant::now());
            assert!(offsets.take(1, at(0, 9), now) && offsets.take(1, at(1, 3), now));
            assert!(!offsets.take(1, at(0, back), now));
            assert!(!offsets.take(1, at(1, 4), now), "another partition");
            assert!(!offsets.take(1, at(0, 10), now + DOUBT), "still");
            assert!(!offsets.take(0, at(0, 99), now + DOUBT), "of a predecessor, too");
            assert!(offsets.take(1, at(0, 11), now + DOUBT + Duration::from_millis(1)));
        }
    }

    #[test]
    fn what_a_predecessor_was_told_late_says_nothing_against_the_log() {
        let (mut offsets, now) = (Offsets::default(), Instant::now());
        assert!(offsets.take(1, at(0, 5), now) && offsets.take(2, at(0, 9), now));
        assert!(offsets.take(1, at(0, 6), now));
        assert!(offsets.take(2, at(0, 10), now));
        assert!(!offsets.take(2, at(0, 10), now));
    }
}
