//! Records that come again under a known id and say something else.
//!
//! The fold is pure and sees one record, so it can only suspect: the bytes differ. Here, off the hot path, both records are
//! read from `raw` and compared exactly ([`hooklog_schemas::content`]). Most suspects are none: a retry of Stripe has another
//! `pending_webhooks`. Nothing waits for this thread: where its queue is full, a suspect is counted as unchecked. `hooklog
//! audit` finds every conflict from the log alone.

mod reading;
mod telling;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hooklog_log::Connection;
use hooklog_schemas::{Content, Partition, RawPosition};
use hooklog_task::Suspect;
use hooklog_task::progress::OnSuspects;
use metrics::{Unit, counter, describe_counter};
use tokio_util::sync::CancellationToken;

use reading::Bodies;
use telling::Telling;

/// Counter: records whose id was known under another body.
pub const CONFLICTS: &str = "hooklog_processor_conflicts_total";
/// Counter: records with other bytes under a known id that nobody had the time to compare, or whose first one is gone.
pub const UNCHECKED: &str = "hooklog_processor_conflicts_unchecked_total";

/// How many suspects may wait.
const QUEUE: usize = 4_096;
/// How many conflicts are remembered for those who ask.
const REMEMBERED: usize = 256;
/// How long a shutdown may go unnoticed.
const LOOK: Duration = Duration::from_millis(100);

/// A record that says something else than the first one of its identity, which is the one that was emitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The first one.
    pub first: RawPosition,
    /// The one that came again.
    pub again: RawPosition,
}

/// The conflicts that were found since the process started; cheap to clone, shared by all clones.
#[derive(Clone, Debug, Default)]
pub struct Conflicts(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    found: AtomicU64,
    unchecked: AtomicU64,
    waiting: AtomicU64,
    last: Mutex<VecDeque<Conflict>>,
}

impl Conflicts {
    /// How many there were.
    pub fn found(&self) -> u64 {
        self.0.found.load(Ordering::Relaxed)
    }

    /// How many suspects were not compared.
    pub fn unchecked(&self) -> u64 {
        self.0.unchecked.load(Ordering::Relaxed)
    }

    /// How many suspects wait to be compared.
    pub fn waiting(&self) -> u64 {
        self.0.waiting.load(Ordering::Acquire)
    }

    /// The last ones, oldest first.
    pub fn last(&self) -> Vec<Conflict> {
        self.lock().iter().copied().collect()
    }

    fn note(&self, conflict: Conflict) {
        self.0.found.fetch_add(1, Ordering::Relaxed);
        counter!(CONFLICTS).increment(1);
        let mut last = self.lock();
        if last.len() == REMEMBERED {
            last.pop_front();
        }
        last.push_back(conflict);
    }

    fn pass_over(&self, suspects: usize) {
        self.0.unchecked.fetch_add(suspects as u64, Ordering::Relaxed);
        counter!(UNCHECKED).increment(suspects as u64);
    }

    fn done(&self, suspects: usize) {
        self.0.waiting.fetch_sub(suspects as u64, Ordering::AcqRel);
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Conflict>> {
        self.0.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Two places of `raw`, not yet compared.
type Pair = Conflict;

/// The way from the workers to the comparer: what one takes is never waited for.
pub(crate) fn queue(conflicts: &Conflicts) -> (Arc<OnSuspects>, Receiver<Conflict>) {
    describe_counter!(CONFLICTS, Unit::Count, "Records whose id was known under another body");
    describe_counter!(UNCHECKED, Unit::Count, "Records with other bytes under a known id that were not compared");
    counter!(CONFLICTS).increment(0);
    counter!(UNCHECKED).increment(0);
    let (sender, receiver) = sync_channel(QUEUE);
    let conflicts = conflicts.clone();
    let hear = move |partition, suspects: &[Suspect]| {
        let is_taken = |suspect: &&Suspect| offer(&sender, partition, **suspect);
        // Before they can be compared, so that the number never falls below nothing.
        conflicts.0.waiting.fetch_add(suspects.len() as u64, Ordering::AcqRel);
        let refused = suspects.len() - suspects.iter().filter(is_taken).count();
        conflicts.done(refused);
        conflicts.pass_over(refused);
    };
    (Arc::new(hear), receiver)
}

fn offer(sender: &SyncSender<Pair>, partition: Partition, suspect: Suspect) -> bool {
    let at = |offset| RawPosition { partition, offset };
    sender.try_send(Pair { first: at(suspect.first), again: at(suspect.again) }).is_ok()
}

/// Compares what comes until `stop`. Blocks. What cannot be read is passed over, and never keeps the processor.
pub(crate) fn compare(
    connection: &Connection,
    raw: &str,
    suspects: &Receiver<Pair>,
    conflicts: &Conflicts,
    stop: &CancellationToken,
) {
    let (mut bodies, mut telling) = (Bodies::of(connection, raw), Telling::default());
    while !stop.is_cancelled() {
        match suspects.recv_timeout(LOOK) {
            Ok(pair) => {
                match is_conflict(&mut bodies, pair, stop) {
                    Some(true) => {
                        conflicts.note(pair);
                        telling.conflict(&pair, Instant::now());
                    }
                    Some(false) => {}
                    None => conflicts.pass_over(1),
                }
                conflicts.done(1);
            }
            Err(RecvTimeoutError::Timeout) => {
                bodies.rest();
                telling.quiet(Instant::now());
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Whether the two contradict each other, where both can be read.
fn is_conflict(bodies: &mut Bodies, pair: Pair, stop: &CancellationToken) -> Option<bool> {
    let first = Content::of(&bodies.read(pair.first, stop)?);
    let again = Content::of(&bodies.read(pair.again, stop)?);
    Some(first.contradicts(&again))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hooklog_schemas::Offset;

    fn pair(again: i64) -> Pair {
        let at = |offset| RawPosition { partition: Partition(3), offset: Offset(offset) };
        Pair { first: at(1), again: at(again) }
    }

    #[test]
    fn a_full_queue_keeps_nobody_and_is_counted() {
        let conflicts = Conflicts::default();
        let (hear, receiver) = queue(&conflicts);
        let suspects: Vec<_> = (0..5_000).map(|n| Suspect { first: Offset(1), again: Offset(n) }).collect();
        hear(Partition(3), &suspects);
        assert_eq!((conflicts.unchecked(), conflicts.waiting()), (5_000 - QUEUE as u64, QUEUE as u64));
        assert_eq!(receiver.try_iter().count(), QUEUE);
        hear(Partition(3), &suspects[..1]);
        assert_eq!(receiver.try_recv(), Ok(pair(0)));
    }

    #[test]
    fn all_are_counted_and_the_last_ones_remembered() {
        let conflicts = Conflicts::default();
        (0..300).for_each(|again| conflicts.note(pair(again)));
        assert_eq!((conflicts.found(), conflicts.last().len()), (300, REMEMBERED));
        assert_eq!(conflicts.last().last(), Some(&pair(299)));
    }
}
