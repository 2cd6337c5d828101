//! Every way in which a transaction can have been half ended, and what recovery makes of it. Tests only.
//!
//! The world: partition 0 of the input has six records. Records 0 and 1 were committed long ago. Records 2 to 5 were one
//! transaction: 2 and 4 emit to output partition 0, 3 and 5 to output partition 1. Then something happened, everything that hung
//! was aborted, and the task starts.

use hooklog_log::committed::Committed;
use hooklog_log::watermarks::Watermarks;
use hooklog_schemas::{Millis, NextOffset, Offset, Partition, Stamp};
use hooklog_store::Emission;

use crate::owed::{Present, owed};
use crate::resume::{Facts, Stop, plan};

const END: i64 = 6;
const BEFORE: i64 = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Decided {
    Commit,
    Abort,
    /// The coordinator never heard of its end.
    Open,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Store {
    /// Holds the transaction: its commit was acknowledged.
    Applied,
    /// Ends before it: the answer was lost.
    Before,
    Lost,
}

#[derive(Clone, Copy, Debug)]
struct Case {
    decided: Decided,
    store: Store,
    /// Whether each output partition got its end marker.
    markers: [bool; 2],
    /// Whether the group's offsets got theirs.
    offsets: bool,
}

fn output_of(offset: i64) -> Partition {
    Partition(i32::try_from(offset % 2).unwrap())
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for decided in [Decided::Commit, Decided::Abort, Decided::Open] {
        for store in [Store::Applied, Store::Before, Store::Lost] {
            for flags in 0..8_u8 {
                let flag = |n: u8| flags & (1 << n) != 0;
                let case = Case { decided, store, markers: [flag(0), flag(1)], offsets: flag(2) };
                // Only a commit is ever applied.
                if decided == Decided::Commit || store != Store::Applied {
                    cases.push(case);
                }
            }
        }
    }
    cases
}

impl Case {
    /// What a reader of committed records finds, by output partition.
    fn outputs(&self) -> Vec<(Partition, i64)> {
        let is_there = |offset: &i64| {
            let is_marked = self.markers[usize::try_from(offset % 2).unwrap()];
            *offset < BEFORE || self.decided == Decided::Commit && is_marked
        };
        (0..END).filter(is_there).map(|offset| (output_of(offset), offset)).collect()
    }

    fn applied(&self) -> i64 {
        match self.store {
            Store::Applied => END,
            Store::Before => BEFORE,
            Store::Lost => 0,
        }
    }

    /// `applied` is S.
    fn facts(&self, applied: NextOffset) -> Facts {
        let stamp = Stamp { log: "log".to_owned(), fold: 1 };
        let next = if self.decided == Decided::Commit && self.offsets { END } else { BEFORE };
        let committed = Committed { partition: Partition(0), next: NextOffset(next), metadata: stamp.to_string() };
        let input = Watermarks { earliest: NextOffset(0), end: NextOffset(END) };
        Facts { partition: Partition(0), applied, committed: Some(committed), stamp, input }
    }

    fn present(&self) -> Present {
        let mut present = Present::default();
        for (output, offset) in self.outputs() {
            match self.store {
                Store::Lost => present.note_all_up_to(output, Offset(offset)),
                _ if offset < BEFORE => {}
                _ => present.note(output, Offset(offset)),
            }
        }
        present
    }

    /// The outputs that stand in the topic once the task has started and folded all there is. `failures` starts rolled the
    /// store forward before that and could not commit what was owed.
    fn outcome(&self, failures: usize) -> Result<Vec<(Partition, i64)>, Stop> {
        let (present, mut applied) = (self.present(), NextOffset(self.applied()));
        let verified = (self.store != Store::Lost).then_some(NextOffset(BEFORE));
        for _ in 0..failures {
            applied = plan(&self.facts(applied), present.highest(), verified)?.until;
        }
        let facts = self.facts(applied);
        let plan = plan(&facts, present.highest(), verified)?;
        let emission = |from: i64, to: i64| Emission {
            from: NextOffset(from),
            stream_time: Millis(0),
            outputs: (from..to).map(|offset| (Offset(offset), output_of(offset))).collect(),
        };
        // What the store remembers, and what rolling it forward adds.
        let remembered = emission(if self.store == Store::Lost { 0 } else { BEFORE }, facts.applied.0);
        let rolled = emission(plan.from.0, plan.until.0);
        let owed = owed(vec![remembered, rolled], &present);
        let emitted = owed.into_iter().flat_map(|batch| batch.outputs).map(|(offset, output)| (output, offset.0));
        let new = (plan.until.0..END).map(|offset| (output_of(offset), offset));
        let mut all: Vec<_> = self.outputs().into_iter().chain(emitted).chain(new).collect();
        all.sort_unstable();
        Ok(all)
    }
}

#[test]
fn however_a_transaction_was_half_ended_every_output_is_there_once_after_the_start() {
    let mut expected: Vec<_> = (0..END).map(|offset| (output_of(offset), offset)).collect();
    expected.sort_unstable();
    let cases = cases();
    assert_eq!(cases.len(), 56);
    for case in cases {
        for failures in 0..3 {
            assert_eq!(case.outcome(failures), Ok(expected.clone()), "{case:?}, {failures} failures");
        }
    }
}
