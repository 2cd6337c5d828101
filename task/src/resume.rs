//! Where a transforming task goes on after a start: decided from facts, before anything is done. Pure.
//!
//! S is what the store holds, N what the group has committed. Outputs up to N are in the log for good, so between S and N
//! only the store has to follow; from N on everything is new. N is believed only where our stamp says that it counts in
//! this log and was committed by this fold; Kafka forgets offsets and people reset them.

use std::str::FromStr;

use hooklog_log::committed::Committed;
use hooklog_log::ends::Ends;
use hooklog_schemas::{NextOffset, Offset, Partition, Stamp};
use thiserror::Error;

/// What is known of one partition before its plan is made.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The partition.
    pub partition: Partition,
    /// S.
    pub applied: NextOffset,
    /// What the group has committed, if anything.
    pub committed: Option<Committed>,
    /// The stamp that this fold commits on this log.
    pub stamp: Stamp,
    /// What there is of the input.
    pub input: Ends,
}

/// Where to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resume {
    /// Roll the store forward from here, effects suppressed ...
    pub from: NextOffset,
    /// ... up to here, N; then go on with effects.
    pub until: NextOffset,
}

/// Whether N can be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// It carries our stamp.
    Stamped(NextOffset),
    /// It is missing, or somebody else's: it has to be found in the outputs.
    Unknown,
}

/// Why a partition must not go on by itself.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Stop {
    /// The group stands before the store.
    #[error(
        "partition {partition}: the group's offset {committed} lies before what is in the store ({applied}): it was set back, or Kafka took a commit back; going on would double events or lose them. See `hooklog offsets repair`"
    )]
    Behind {
        /// The partition.
        partition: Partition,
        /// N.
        committed: NextOffset,
        /// S.
        applied: NextOffset,
    },
    /// A position lies beyond the log.
    #[error(
        "partition {partition}: position {position} lies beyond the end of the log ({end}); the log lost its tail or is another one. See `hooklog offsets repair`"
    )]
    Beyond {
        /// The partition.
        partition: Partition,
        /// S or N.
        position: NextOffset,
        /// The log's end.
        end: NextOffset,
    },
    /// Records that were never processed are gone.
    #[error(
        "partition {partition}: records from {next} to {earliest} were deleted before they were processed; the webhooks in them are lost to `events`. Fetch them from Stripe again, then see `hooklog offsets repair`"
    )]
    Deleted {
        /// The partition.
        partition: Partition,
        /// N.
        next: NextOffset,
        /// The first record that is left.
        earliest: NextOffset,
    },
}

/// Whether the committed offset of `facts` is one of ours.
pub fn trust(facts: &Facts) -> Trust {
    match &facts.committed {
        Some(committed) if is_stamped(committed, &facts.stamp) => Trust::Stamped(committed.next),
        _ => Trust::Unknown,
    }
}

fn is_stamped(committed: &Committed, stamp: &Stamp) -> bool {
    Stamp::from_str(&committed.metadata).as_ref() == Ok(stamp)
}

/// Whether `committed`, read while nothing is open, says that what the store holds was never committed, though it was
/// acknowledged. Somebody else's offset says nothing: the next commit replaces it.
pub fn is_taken_back(committed: &Committed, stamp: &Stamp, applied: NextOffset) -> bool {
    is_stamped(committed, stamp) && committed.next < applied
}

/// N where no offset can be believed: the larger of S and one past the highest input position among the outputs. What came
/// after that in the log was duplicates, and folding those again emits nothing.
pub fn rebuilt(facts: &Facts, highest_output: Option<Offset>) -> NextOffset {
    let emitted = highest_output.map_or(facts.input.earliest, Offset::next);
    facts.applied.max(emitted)
}

/// The plan for a partition whose N is `next`.
///
/// # Errors
/// [`Stop`] where going on would double or lose events.
pub fn plan(facts: &Facts, next: NextOffset) -> Result<Resume, Stop> {
    let Facts { partition, applied, input, .. } = *facts;
    let furthest = applied.max(next);
    if furthest > input.end {
        return Err(Stop::Beyond { partition, position: furthest, end: input.end });
    }
    if next < applied {
        return Err(Stop::Behind { partition, committed: next, applied });
    }
    if next < input.earliest {
        return Err(Stop::Deleted { partition, next, earliest: input.earliest });
    }
    // What expired before S..N was rolled over is older than the window, which raw outlives: see provision.
    Ok(Resume { from: applied.max(input.earliest), until: next })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stamp() -> Stamp {
        Stamp { log: "log".to_owned(), fold: 1 }
    }

    fn facts(applied: i64, earliest: i64, end: i64, committed: Option<(i64, &str)>) -> Facts {
        let next = |(next, metadata): (i64, &str)| Committed {
            partition: Partition(0),
            next: NextOffset(next),
            metadata: metadata.to_owned(),
        };
        Facts {
            partition: Partition(0),
            applied: NextOffset(applied),
            committed: committed.map(next),
            stamp: stamp(),
            input: Ends { earliest: NextOffset(earliest), end: NextOffset(end) },
        }
    }

    fn resume(from: i64, until: i64) -> Result<Resume, Stop> {
        Ok(Resume { from: NextOffset(from), until: NextOffset(until) })
    }

    #[test]
    fn only_our_own_stamp_on_this_log_is_believed() {
        let ours = stamp().to_string();
        assert_eq!(trust(&facts(0, 0, 9, Some((7, &ours)))), Trust::Stamped(NextOffset(7)));
        for metadata in ["", "hooklog/1 log=other fold=1", "hooklog/1 log=log fold=2"] {
            assert_eq!(trust(&facts(0, 0, 9, Some((7, metadata)))), Trust::Unknown, "{metadata}");
        }
        assert_eq!(trust(&facts(0, 0, 9, None)), Trust::Unknown);
    }

    #[test]
    fn only_an_offset_of_ours_before_the_store_says_that_a_commit_is_gone() {
        let committed = |next, metadata: &str| Committed {
            partition: Partition(0),
            next: NextOffset(next),
            metadata: metadata.to_owned(),
        };
        let ours = stamp().to_string();
        assert!(is_taken_back(&committed(6, &ours), &stamp(), NextOffset(7)));
        assert!(!is_taken_back(&committed(7, &ours), &stamp(), NextOffset(7)));
        assert!(!is_taken_back(&committed(8, &ours), &stamp(), NextOffset(7)));
        assert!(!is_taken_back(&committed(6, ""), &stamp(), NextOffset(7)));
    }

    #[test]
    fn a_store_that_is_behind_is_rolled_forward() {
        assert_eq!(plan(&facts(3, 0, 9, None), NextOffset(7)), resume(3, 7));
        assert_eq!(plan(&facts(7, 0, 9, None), NextOffset(7)), resume(7, 7));
        assert_eq!(plan(&facts(0, 4, 9, None), NextOffset(7)), resume(4, 7));
    }

    #[test]
    fn offsets_that_were_deleted_are_found_in_the_outputs() {
        assert_eq!(rebuilt(&facts(5, 0, 9, None), Some(Offset(7))), NextOffset(8));
        assert_eq!(rebuilt(&facts(9, 0, 9, None), Some(Offset(7))), NextOffset(9));
        assert_eq!(rebuilt(&facts(0, 0, 9, None), None), NextOffset(0));
        assert_eq!(rebuilt(&facts(0, 4, 9, None), None), NextOffset(4), "a first start on an old log");
    }

    #[test]
    fn what_would_double_or_lose_events_stops() {
        assert!(matches!(plan(&facts(7, 0, 9, None), NextOffset(3)), Err(Stop::Behind { .. })));
        assert!(matches!(plan(&facts(0, 0, 9, None), NextOffset(10)), Err(Stop::Beyond { .. })));
        assert!(matches!(plan(&facts(10, 0, 9, None), NextOffset(9)), Err(Stop::Beyond { .. })));
        assert!(matches!(plan(&facts(0, 4, 9, None), NextOffset(3)), Err(Stop::Deleted { .. })));
    }

    #[test]
    fn every_stop_names_the_way_out() {
        for stop in [plan(&facts(7, 0, 9, None), NextOffset(3)), plan(&facts(0, 0, 9, None), NextOffset(10))] {
            assert!(stop.unwrap_err().to_string().contains("hooklog offsets repair"));
        }
    }

    proptest! {
        #[test]
        fn no_plan_skips_a_record_or_emits_one_again(applied in 0_i64..20, earliest in 0_i64..20, end in 0_i64..20, next in 0_i64..20) {
            if let Ok(plan) = plan(&facts(applied, earliest, end, None), NextOffset(next)) {
                prop_assert_eq!(plan.until, NextOffset(next));
                prop_assert!(plan.from <= plan.until && plan.until <= NextOffset(end));
                prop_assert!(plan.from == NextOffset(applied) || plan.from == NextOffset(earliest) && applied < earliest);
            }
        }
    }
}
