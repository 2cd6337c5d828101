//! Where a transforming task goes on after a start or an abort: decided from facts, before anything is done. Pure.
//!
//! S is what the store holds, N what the group has committed. N is believed only where our stamp says that it counts in this
//! log and was committed by this fold: Kafka forgets offsets and people reset them. Neither proves that the outputs before it
//! are committed (see [`crate::owed`]), and outputs may be committed beyond both: a commit whose answer was lost, or one whose
//! end marker reached some partitions only. So the task goes on behind the latest of S, N and the outputs, and what is owed of
//! the outputs before that is emitted first.

use std::str::FromStr;

use hooklog_log::committed::Committed;
use hooklog_log::watermarks::Watermarks;
use hooklog_schemas::ids::Span;
use hooklog_schemas::{Millis, NextOffset, Offset, Partition, Stamp};
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
    pub input: Watermarks,
}

/// Where to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resume {
    /// Roll the store forward from here, effects suppressed ...
    pub from: NextOffset,
    /// ... up to here; then go on with effects.
    pub until: NextOffset,
    /// Whether the group's offset has to be committed anew: it is not `until`, or not ours.
    pub commits: bool,
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
        "partition {partition}: the group's committed offset is {committed}, but later offsets are committed and verified (the store has applied up to {applied}): the group was reset. Continuing at {committed} would emit events twice. See `hooklog offsets repair`"
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
    /// The log lost its end and was written on, so that positions mean other records.
    #[error(
        "partition {partition}: the record at offset {offset} differs from the record that was processed at this offset. The log lost its newest records, and new ones were appended since, for example after a restore from a backup or an unclean leader election. Continuing would leave events out. See `hooklog offsets repair`, then `hooklog repair`"
    )]
    Rewritten {
        /// The partition.
        partition: Partition,
        /// A record that is another one.
        offset: Offset,
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
    /// Nothing tells where the task stood.
    #[error(
        "partition {partition}: the last processed position is unknown: the committed offset and the store are missing, and the beginning of `events` was deleted. Continuing could emit old events again or leave new ones out. Restore the store from a backup; or decide: `hooklog offsets repair --apply --unknown-at end` emits nothing that is in raw now, `--unknown-at beginning` emits all of it"
    )]
    Unknowable {
        /// The partition.
        partition: Partition,
    },
    /// Records that the store has to know of are gone.
    #[error(
        "partition {partition}: raw begins at {earliest}, and the store holds only what is before {applied}: the records in between were deleted, and some are younger than the dedup window, so repeats of them would be emitted again. Restore the store from a backup; or accept that with `hooklog offsets repair --apply`"
    )]
    Truncated {
        /// The partition.
        partition: Partition,
        /// S.
        applied: NextOffset,
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

/// N where no offset can be believed: the larger of S and one past the highest input position among the outputs. What came
/// after that in the log was duplicates, and folding those again emits nothing.
pub fn rebuilt(facts: &Facts, highest_output: Option<Offset>) -> NextOffset {
    let emitted = highest_output.map_or(facts.input.earliest, Offset::next);
    facts.applied.max(emitted)
}

/// Whether nothing tells where the task stood: no offset, no store, and outputs that were deleted (`is_blind`) may have been of
/// records behind the latest one that is known to have an output.
pub fn is_unknowable(facts: &Facts, highest_output: Option<Offset>, is_blind: bool) -> bool {
    let has_nothing = trust(facts) == Trust::Unknown && facts.applied == NextOffset::ZERO;
    is_blind && has_nothing && rebuilt(facts, highest_output) < facts.input.end
}

/// The plan, where `highest_output` is the latest record that has an output, and all outputs of records before `verified` are
/// known to be there for good.
///
/// # Errors
/// [`Stop`] where going on would double or lose events.
pub fn plan(facts: &Facts, highest_output: Option<Offset>, verified: Option<NextOffset>) -> Result<Resume, Stop> {
    let Facts { partition, applied, input, .. } = *facts;
    let known = rebuilt(facts, highest_output);
    let (until, commits) = match trust(facts) {
        Trust::Stamped(next) => {
            // A commit that was taken back leaves N at or behind what is verified. Anything else is somebody's doing.
            if next < applied && verified.is_some_and(|verified| next < verified) {
                return Err(Stop::Behind { partition, committed: next, applied });
            }
            let until = emitted(applied, highest_output).max(next);
            (until, until != next)
        }
        // At a first start, too: an offset that is missing later then says that it was lost.
        Trust::Unknown => (known, true),
    };
    if until > input.end {
        return Err(Stop::Beyond { partition, position: until, end: input.end });
    }
    if until < input.earliest {
        return Err(Stop::Deleted { partition, next: until, earliest: input.earliest });
    }
    Ok(Resume { from: applied.max(input.earliest), until, commits })
}

fn emitted(applied: NextOffset, highest_output: Option<Offset>) -> NextOffset {
    highest_output.map_or(applied, |highest| highest.next().max(applied))
}

/// Whether rolling a store forward by `resume` passes over records that are gone, and that the store must know of: `first` is
/// the time of the first record that is left, and `next` that of the first one that is decided anew. Where the task never took
/// anything in, nothing is missed: it has no store, and has committed nothing.
pub fn passes_over_window(facts: &Facts, resume: &Resume, window: Span, first: Millis, next: Millis) -> bool {
    let passes_over = facts.applied < facts.input.earliest;
    let has_committed = matches!(trust(facts), Trust::Stamped(_));
    let has_begun = facts.applied > NextOffset::ZERO || resume.until > facts.input.earliest || has_committed;
    passes_over && has_begun && first > next.before(window)
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
            input: Watermarks { earliest: NextOffset(earliest), end: NextOffset(end) },
        }
    }

    /// A plan without any output, and nothing verified.
    fn plain(applied: i64, earliest: i64, end: i64, committed: i64) -> Result<Resume, Stop> {
        plan(&facts(applied, earliest, end, Some((committed, &stamp().to_string()))), None, None)
    }

    fn set_back() -> Result<Resume, Stop> {
        plan(&facts(7, 0, 9, Some((3, &stamp().to_string()))), None, Some(NextOffset(5)))
    }

    fn resume(from: i64, until: i64, commits: bool) -> Result<Resume, Stop> {
        Ok(Resume { from: NextOffset(from), until: NextOffset(until), commits })
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
    fn a_store_that_is_behind_is_rolled_forward() {
        assert_eq!(plain(3, 0, 9, 7), resume(3, 7, false));
        assert_eq!(plain(7, 0, 9, 7), resume(7, 7, false));
        assert_eq!(plain(0, 4, 9, 7), resume(4, 7, false));
    }

    #[test]
    fn a_committed_offset_that_regressed_is_committed_again_and_one_that_was_set_back_stops() {
        let ours = stamp().to_string();
        let regressed = facts(7, 0, 9, Some((5, &ours)));
        assert_eq!(plan(&regressed, None, Some(NextOffset(5))), resume(7, 7, true));
        assert_eq!(plan(&regressed, None, Some(NextOffset(2))), resume(7, 7, true));
        assert!(matches!(plan(&regressed, None, Some(NextOffset(6))), Err(Stop::Behind { .. })));
        assert_eq!(plan(&regressed, None, None), resume(7, 7, true), "nothing was verified yet");
    }

    #[test]
    fn outputs_beyond_the_committed_offset_are_never_emitted_again() {
        let ours = stamp().to_string();
        let committed = facts(3, 0, 9, Some((4, &ours)));
        assert_eq!(plan(&committed, Some(Offset(6)), None), resume(3, 7, true));
        assert_eq!(plan(&committed, Some(Offset(3)), None), resume(3, 4, false));
        assert_eq!(plan(&facts(0, 0, 9, Some((4, &ours))), Some(Offset(6)), None), resume(0, 7, true), "store lost");
    }

    #[test]
    fn a_first_start_commits_where_it_begins_and_one_without_offsets_what_it_finds() {
        assert_eq!(plan(&facts(0, 0, 9, None), None, None), resume(0, 0, true));
        assert_eq!(plan(&facts(0, 4, 9, None), None, None), resume(4, 4, true));
        assert_eq!(plan(&facts(5, 0, 9, None), Some(Offset(7)), None), resume(5, 8, true));
        assert_eq!(plan(&facts(5, 0, 9, Some((0, ""))), None, Some(NextOffset(5))), resume(5, 5, true));
    }

    #[test]
    fn where_nothing_tells_how_far_it_was_nothing_is_decided() {
        let ours = stamp().to_string();
        assert!(is_unknowable(&facts(0, 0, 9, None), None, true));
        assert!(is_unknowable(&facts(0, 0, 9, Some((3, ""))), Some(Offset(4)), true));
        assert!(!is_unknowable(&facts(0, 0, 9, None), None, false), "a first start");
        assert!(!is_unknowable(&facts(0, 0, 9, Some((3, &ours))), None, true), "an offset of ours");
        assert!(!is_unknowable(&facts(5, 0, 9, None), None, true), "a store");
        assert!(!is_unknowable(&facts(0, 0, 9, None), Some(Offset(8)), true), "the last record has its event");
    }

    #[test]
    fn deleted_records_that_the_window_still_needs_stop_a_store_that_lacks_them() {
        let (window, hour) = (Span(100), |facts: &Facts, first, next| {
            let plan = plan(facts, None, None).unwrap();
            passes_over_window(facts, &plan, Span(100), Millis(first), Millis(next))
        });
        let ours = stamp().to_string();
        let lost = facts(0, 4, 9, Some((7, &ours)));
        assert!(hour(&lost, 1000, 1099), "one of {window:?} ago may have been repeated");
        assert!(!hour(&lost, 1000, 1100), "all that is gone is older than the window");
        assert!(!hour(&facts(4, 4, 9, Some((7, &ours))), 1000, 1000), "nothing is missed");
        assert!(!hour(&facts(0, 4, 9, None), 1000, 1000), "a first start on an old log");
        assert!(hour(&facts(0, 4, 9, Some((4, &ours))), 1000, 1000), "raw was deleted up to the committed offset");
        assert!(!hour(&facts(4, 4, 9, Some((4, &ours))), 1000, 1000), "the start after a first one on an old log");
        assert!(hour(&facts(2, 4, 9, Some((4, &ours))), 1000, 1000), "a store of before");
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
        assert!(matches!(set_back(), Err(Stop::Behind { .. })));
        assert!(matches!(plain(0, 0, 9, 10), Err(Stop::Beyond { .. })));
        assert!(matches!(plan(&facts(10, 0, 9, None), None, None), Err(Stop::Beyond { .. })));
        assert!(matches!(plan(&facts(0, 0, 9, None), Some(Offset(9)), None), Err(Stop::Beyond { .. })));
        assert!(matches!(plain(0, 4, 9, 3), Err(Stop::Deleted { .. })));
    }

    #[test]
    fn every_stop_names_the_way_out() {
        for stop in [set_back(), plain(0, 0, 9, 10)] {
            assert!(stop.unwrap_err().to_string().contains("hooklog offsets repair"));
        }
    }

    proptest! {
        #[test]
        fn no_plan_skips_a_record_or_emits_one_again(
            applied in 0_i64..20, earliest in 0_i64..20, end in 0_i64..20, next in 0_i64..20,
            highest in proptest::option::of(0_i64..20), verified in proptest::option::of(0_i64..20),
        ) {
            let facts = facts(applied, earliest, end, Some((next, &stamp().to_string())));
            if let Ok(plan) = plan(&facts, highest.map(Offset), verified.map(NextOffset)) {
                let emitted = highest.map_or(0, |highest| highest + 1);
                prop_assert_eq!(plan.until, NextOffset(next.max(applied).max(emitted)));
                prop_assert_eq!(plan.commits, plan.until != NextOffset(next));
                prop_assert!(plan.from <= plan.until && plan.until <= NextOffset(end));
                prop_assert!(plan.from == NextOffset(applied) || plan.from == NextOffset(earliest) && applied < earliest);
            }
        }
    }
}
