//! The partitions that are ours and not brought up: they came in, or they stopped. Pure.

use std::collections::BTreeMap;
use std::time::Instant;

use hooklog_schemas::Partition;

use crate::error::Error;
use crate::fault::{self, Remedy};

/// Each is paused in the consumer, and is brought up when its time comes.
#[derive(Default)]
pub(super) struct Waiting(BTreeMap<Partition, Wait>);

struct Wait {
    /// When to bring it up; never by itself where there is none.
    due: Option<Instant>,
    /// How often in a row it stopped.
    failures: u32,
    /// Why it stopped; nothing for one that came in.
    why: Option<Error>,
}

impl Waiting {
    /// `partition` came in: it is due at once, whatever became of it when it was here before.
    pub(super) fn came_in(&mut self, partition: Partition, now: Instant) {
        self.0.insert(partition, Wait { due: Some(now), failures: 0, why: None });
    }

    /// `partition` stopped for `why`, after it had stopped `failures` times before in a row. Says whether it is tried again by
    /// itself.
    pub(super) fn stopped(&mut self, partition: Partition, why: Error, failures: u32, now: Instant) -> bool {
        let failures = failures.saturating_add(1);
        let due = match fault::remedy(&why) {
            Remedy::Reopen | Remedy::Rebuild => Some(now + fault::pause(failures)),
            // An instant that this machine cannot tell is never.
            Remedy::After(while_wrong) => now.checked_add(while_wrong),
            Remedy::Once => (failures == 1).then(|| now + fault::pause(failures)),
            Remedy::Seldom => Some(now + fault::seldom(failures)),
            Remedy::Wait => None,
        };
        self.0.insert(partition, Wait { due, failures, why: Some(why) });
        due.is_some()
    }

    /// `partitions` are not ours any more.
    pub(super) fn forget(&mut self, partitions: &[Partition]) {
        self.0.retain(|partition, _| !partitions.contains(partition));
    }

    /// Takes those that are due and `free`, with how often each has stopped in a row.
    pub(super) fn take_due(&mut self, now: Instant, is_free: impl Fn(Partition) -> bool) -> Vec<(Partition, u32)> {
        let is_due = |(partition, wait): (&Partition, &Wait)| {
            let due = wait.due.is_some_and(|due| due <= now) && is_free(*partition);
            due.then_some((*partition, wait.failures))
        };
        let due: Vec<_> = self.0.iter().filter_map(is_due).collect();
        due.iter().for_each(|(partition, _)| drop(self.0.remove(partition)));
        due
    }

    /// Takes the reason of one that stopped, where none of them will ever be tried again by itself.
    pub(super) fn take_reason(&mut self) -> Option<Error> {
        if self.0.values().any(|wait| wait.due.is_some()) {
            return None;
        }
        self.0.values_mut().find_map(|wait| wait.why.take())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resume::Stop;
    use hooklog_schemas::{Millis, NextOffset, Offset};
    use std::time::Duration;

    const A: Partition = Partition(0);
    const B: Partition = Partition(1);

    fn full() -> Error {
        let source = std::io::ErrorKind::StorageFull.into();
        hooklog_store::Error::Io { path: "p0".into(), source }.into()
    }

    fn behind() -> Error {
        Stop::Behind { partition: A, committed: NextOffset(1), applied: NextOffset(2) }.into()
    }

    #[test]
    fn what_came_in_is_due_at_once_unless_its_store_is_still_held() {
        let (mut waiting, now) = (Waiting::default(), Instant::now());
        waiting.came_in(A, now);
        waiting.came_in(B, now);
        assert_eq!(waiting.take_due(now, |partition| partition == B), [(B, 0)]);
        assert_eq!(waiting.take_due(now, |_| true), [(A, 0)]);
        assert_eq!(waiting.take_due(now, |_| true), []);
    }

    #[test]
    fn what_its_store_stopped_is_tried_again_later_and_later() {
        let (mut waiting, now) = (Waiting::default(), Instant::now());
        waiting.stopped(A, full(), 0, now);
        assert_eq!(waiting.take_due(now, |_| true), []);
        assert_eq!(waiting.take_due(now + fault::pause(1), |_| true), [(A, 1)]);
        waiting.stopped(A, full(), 1, now);
        assert_eq!(waiting.take_due(now + fault::pause(1), |_| true), []);
        assert_eq!(waiting.take_due(now + fault::pause(2), |_| true), [(A, 2)]);
    }

    #[test]
    fn a_record_from_the_future_is_due_when_its_time_has_nearly_come() {
        let (mut waiting, now) = (Waiting::default(), Instant::now());
        let ahead = Millis(fault::CLOCK_TOLERANCE_MS + 7_000);
        waiting.stopped(A, Error::BrokerClock { partition: A, offset: Offset(1), ahead }, 0, now);
        assert_eq!(waiting.take_due(now + Duration::from_millis(6_999), |_| true), []);
        assert_eq!(waiting.take_due(now + Duration::from_secs(7), |_| true), [(A, 1)]);
    }

    #[test]
    fn records_that_did_not_come_are_asked_for_once_more_and_then_need_a_person() {
        let (mut waiting, now) = (Waiting::default(), Instant::now());
        let gap = || Error::Gap { partition: A, expected: NextOffset(3), found: Offset(9) };
        waiting.stopped(A, gap(), 0, now);
        assert_eq!(waiting.take_due(now + fault::pause(1), |_| true), [(A, 1)]);
        waiting.stopped(A, gap(), 1, now);
        assert_eq!(waiting.take_due(now + Duration::from_secs(86_400), |_| true), []);
        assert!(waiting.take_reason().is_some());
    }

    #[test]
    fn what_needs_a_person_is_never_due_and_says_why() {
        let (mut waiting, now) = (Waiting::default(), Instant::now());
        waiting.stopped(A, behind(), 0, now);
        assert_eq!(waiting.take_due(now + Duration::from_secs(86_400), |_| true), []);
        assert!(waiting.take_reason().is_some_and(|why| why.to_string().contains("hooklog offsets repair")));
    }

    #[test]
    fn a_task_goes_on_as_long_as_anything_is_tried_again() {
        let (mut waiting, now) = (Waiting::default(), Instant::now());
        waiting.stopped(A, behind(), 0, now);
        waiting.stopped(B, full(), 0, now);
        assert!(waiting.take_reason().is_none());
        waiting.forget(&[B]);
        assert!(waiting.take_reason().is_some());
    }

    #[test]
    fn what_is_given_up_is_forgotten_and_what_comes_back_is_due_again() {
        let (mut waiting, now) = (Waiting::default(), Instant::now());
        waiting.stopped(A, behind(), 0, now);
        waiting.came_in(B, now);
        waiting.forget(&[A, B]);
        assert_eq!(waiting.take_due(now, |_| true), []);
        assert!(waiting.take_reason().is_none());
        waiting.stopped(A, behind(), 3, now);
        waiting.came_in(A, now);
        assert_eq!(waiting.take_due(now, |_| true), [(A, 0)]);
    }
}
