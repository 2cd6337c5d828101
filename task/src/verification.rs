//! When outputs are verified: in the output topic for good, so that what is remembered of them can be forgotten. Pure.
//!
//! A commit is only acknowledged at first: its end markers may have been skipped. A mark is set after a commit: the next offset
//! of each partition of the worker. It is verified once
//! 1. the ends of the output topic were asked for after that (everything before the mark lies before them),
//! 2. a reader of committed records reaches those ends, and the committed offsets reach the mark: nothing of it hangs, and
//! 3. no transaction was undone since: one that commits after that, or none at all, proves it. An abort between 1 and 2 would
//!    have ended a hanging commit as aborted, and the ends would look the same.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hooklog_schemas::{NextOffset, Partition};
use hooklog_store::Verified;

/// What the cluster said, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Before anything was asked.
    pub asked: Instant,
    /// The high watermarks of the output topic.
    pub ends: Vec<NextOffset>,
    /// The ends that a reader of committed records reaches.
    pub stable: Vec<NextOffset>,
    /// The group's stable offsets.
    pub committed: BTreeMap<Partition, NextOffset>,
}

#[derive(Debug, Default)]
pub(crate) struct Verification {
    /// Ends that lie at or before the outputs of anything that is folded from now on.
    before: Option<Vec<NextOffset>>,
    mark: Option<Mark>,
    /// Up to where each partition is verified.
    verified: BTreeMap<Partition, NextOffset>,
}

#[derive(Debug)]
struct Mark {
    set: Instant,
    next: BTreeMap<Partition, NextOffset>,
    outputs: Vec<NextOffset>,
    /// Behind everything before the mark.
    ends: Option<Vec<NextOffset>>,
    is_reached: bool,
}

impl Verification {
    /// A transaction was undone, its outcome is unknown, or partitions came in: the mark proves nothing any more.
    pub(crate) fn undone(&mut self) {
        self.mark = None;
        self.verified.clear();
    }

    /// What the cluster said.
    pub(crate) fn observed(&mut self, snapshot: &Snapshot) {
        self.before = Some(snapshot.ends.clone());
        let Some(mark) = &mut self.mark else { return };
        if mark.ends.is_none() && snapshot.asked > mark.set {
            mark.ends = Some(snapshot.ends.clone());
        }
        let Some(ends) = &mark.ends else { return };
        let is_committed = |(partition, next): (&Partition, &NextOffset)| {
            snapshot.committed.get(partition).is_some_and(|committed| committed >= next)
        };
        let is_stable = snapshot.stable.iter().zip(ends).all(|(stable, end)| stable >= end);
        mark.is_reached |= is_stable && mark.next.iter().all(is_committed);
    }

    /// A transaction was committed, or none was begun since the last one; `applied` is where each partition of the worker
    /// stands, with nothing open. Gives what is verified by that, and sets the next mark.
    pub(crate) fn settled(
        &mut self,
        now: Instant,
        applied: &BTreeMap<Partition, NextOffset>,
    ) -> BTreeMap<Partition, Verified> {
        let reached = self.mark.take_if(|mark| mark.is_reached);
        let verified = reached.map_or_else(BTreeMap::new, |mark| {
            let note = |(partition, next)| (partition, Verified { next, outputs: mark.outputs.clone() });
            mark.next.into_iter().map(note).collect()
        });
        self.verified.extend(verified.iter().map(|(partition, verified)| (*partition, verified.next)));
        let is_new = |(partition, next): (&Partition, &NextOffset)| self.verified.get(partition) < Some(next);
        if self.mark.is_none() && applied.iter().any(is_new) {
            let mark = |outputs| Mark { set: now, next: applied.clone(), outputs, ends: None, is_reached: false };
            self.mark = self.before.clone().map(mark);
        }
        verified
    }

    /// Whether a snapshot would help: there is a mark, or one could be set.
    pub(crate) fn is_waiting(&self) -> bool {
        self.mark.is_some() || self.before.is_none()
    }

    /// Whether the mark has not been reached for so long that something hangs.
    pub(crate) fn hangs(&self, now: Instant, patience: Duration) -> bool {
        let is_old = |mark: &Mark| mark.ends.is_some() && !mark.is_reached && now.duration_since(mark.set) > patience;
        self.mark.as_ref().is_some_and(is_old)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const P: Partition = Partition(3);

    struct Case {
        verification: Verification,
        start: Instant,
    }

    impl Case {
        fn new() -> Case {
            Case { verification: Verification::default(), start: Instant::now() }
        }

        fn at(&self, second: u64) -> Instant {
            self.start + Duration::from_secs(second)
        }

        fn observe(&mut self, asked: u64, end: i64, stable: i64, committed: i64) {
            let (ends, stable) = (vec![NextOffset(end)], vec![NextOffset(stable)]);
            let committed = BTreeMap::from([(P, NextOffset(committed))]);
            self.verification.observed(&Snapshot { asked: self.at(asked), ends, stable, committed });
        }

        fn settle(&mut self, second: u64, next: i64) -> Option<(i64, i64)> {
            let (now, applied) = (self.at(second), BTreeMap::from([(P, NextOffset(next))]));
            let verified = self.verification.settled(now, &applied);
            verified.get(&P).map(|verified| (verified.next.0, verified.outputs[0].0))
        }
    }

    #[test]
    fn a_mark_is_verified_by_the_next_commit_after_a_committed_reader_reached_its_ends() {
        let mut case = Case::new();
        case.observe(0, 10, 10, 0);
        assert_eq!(case.settle(1, 5), None, "this sets the mark");
        case.observe(2, 14, 12, 5);
        assert_eq!(case.settle(3, 7), None, "something is open");
        case.observe(4, 20, 14, 7);
        assert_eq!(case.settle(5, 9), Some((5, 10)), "and its outputs lie behind the ends of before the mark");
    }

    #[test]
    fn ends_that_were_asked_for_before_the_mark_say_nothing_of_it() {
        let mut case = Case::new();
        case.observe(0, 10, 10, 0);
        case.settle(5, 5);
        case.observe(4, 14, 14, 5);
        assert_eq!(case.settle(6, 7), None);
        case.observe(7, 16, 16, 5);
        assert_eq!(case.settle(8, 8), Some((5, 10)));
    }

    #[test]
    fn an_offset_that_does_not_reach_the_mark_leaves_it_open() {
        let mut case = Case::new();
        case.observe(0, 10, 10, 0);
        case.settle(1, 5);
        case.observe(2, 14, 14, 4);
        assert_eq!(case.settle(3, 7), None);
    }

    #[test]
    fn an_abort_in_between_verifies_nothing() {
        let mut case = Case::new();
        case.observe(0, 10, 10, 0);
        case.settle(1, 5);
        case.observe(2, 14, 14, 5);
        case.verification.undone();
        assert_eq!(case.settle(3, 7), None);
    }

    #[test]
    fn once_all_is_verified_nothing_is_asked_for_until_there_is_more() {
        let mut case = Case::new();
        assert!(case.verification.is_waiting());
        case.observe(0, 10, 10, 0);
        case.settle(1, 5);
        case.observe(2, 14, 14, 5);
        assert_eq!(case.settle(3, 5), Some((5, 10)));
        assert!(!case.verification.is_waiting());
        assert_eq!(case.settle(4, 5), None);
        assert!(!case.verification.is_waiting());
        case.settle(5, 6);
        assert!(case.verification.is_waiting());
    }

    #[test]
    fn a_mark_that_is_not_reached_for_long_hangs() {
        let patience = Duration::from_secs(30);
        let mut case = Case::new();
        case.observe(0, 10, 10, 0);
        case.settle(1, 5);
        assert!(!case.verification.hangs(case.at(99), patience), "nobody has asked yet");
        case.observe(2, 14, 12, 5);
        assert!(!case.verification.hangs(case.at(31), patience));
        assert!(case.verification.hangs(case.at(32), patience));
        case.observe(3, 14, 14, 5);
        assert!(!case.verification.hangs(case.at(99), patience));
    }
}
