//! Which offset a partition of the processor's group must have, and why. Pure.

use hooklog_schemas::{NextOffset, Offset};
use hooklog_task::resume::{self, Facts, Trust};

/// What becomes of one partition's offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mended {
    pub(super) new: NextOffset,
    /// Whether the offset, or the stamp on it, has to be written.
    pub(super) changes: bool,
    pub(super) why: &'static str,
}

/// The offset at which nothing is doubled and nothing lost: the larger of S and one past the highest position that has an
/// event. A stamped offset after that one stays, since only duplicates lie in between.
pub(super) fn mended(facts: &Facts, highest_event: Option<Offset>) -> Mended {
    let input = facts.input;
    let least = resume::rebuilt(facts, highest_event);
    let new = least.max(input.earliest).min(input.end);
    let change = |why| Mended { new, changes: true, why };
    if least > input.end {
        return change(
            "raw lost its tail: events, or the store, know of records beyond its end; delete the store, then audit",
        );
    }
    match resume::trust(facts) {
        Trust::Stamped(next) if next > input.end => change("it lies beyond the end of raw"),
        Trust::Stamped(next) if next < least => {
            change("it lies before what was emitted already: events would be doubled")
        }
        Trust::Stamped(next) if next < input.earliest => {
            change("records were deleted before they were taken in: they are lost to events")
        }
        Trust::Stamped(next) => Mended { new: next, changes: false, why: "it is as it must be" },
        Trust::Unknown => change(mistrust(facts)),
    }
}

fn mistrust(facts: &Facts) -> &'static str {
    match facts.committed.as_ref().map(|committed| committed.metadata.as_str()) {
        None => "none is committed",
        Some("") => "it has no stamp: somebody else set it",
        Some(_) => "its stamp is that of another log or another fold",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hooklog_log::committed::Committed;
    use hooklog_log::ends::Ends;
    use hooklog_schemas::{Partition, Stamp};

    const OURS: &str = "hooklog/1 log=log fold=1";

    /// A partition with records from `earliest` to `end`, a store at `applied` and this committed offset.
    fn facts(applied: i64, earliest: i64, end: i64, committed: Option<(i64, &str)>) -> Facts {
        let (partition, stamp) = (Partition(0), Stamp { log: "log".into(), fold: 1 });
        let committed = committed.map(|(next, metadata)| Committed {
            partition,
            next: NextOffset(next),
            metadata: metadata.to_owned(),
        });
        let input = Ends { earliest: NextOffset(earliest), end: NextOffset(end) };
        Facts { partition, applied: NextOffset(applied), committed, stamp, input }
    }

    #[track_caller]
    fn check(facts: &Facts, highest: Option<i64>, new: i64, changes: bool, why: &str) {
        let mended = mended(facts, highest.map(Offset));
        assert_eq!((mended.new, mended.changes), (NextOffset(new), changes), "{mended:?}");
        assert!(mended.why.contains(why), "{mended:?}");
    }

    #[test]
    fn a_stamped_offset_with_only_duplicates_before_it_stays() {
        check(&facts(5, 0, 9, Some((7, OURS))), Some(4), 7, false, "as it must be");
        check(&facts(7, 0, 9, Some((7, OURS))), Some(6), 7, false, "as it must be");
        check(&facts(0, 0, 9, Some((9, OURS))), None, 9, false, "as it must be");
    }

    #[test]
    fn deleted_offsets_come_back_from_the_store_or_from_events_whichever_knows_more() {
        check(&facts(8, 0, 9, None), Some(4), 8, true, "none is committed");
        check(&facts(0, 0, 9, None), Some(4), 5, true, "none is committed");
        check(&facts(0, 3, 9, None), None, 3, true, "none is committed");
    }

    #[test]
    fn an_offset_that_was_reset_by_hand_is_not_believed_either_way() {
        check(&facts(8, 0, 9, Some((0, ""))), Some(7), 8, true, "no stamp");
        check(&facts(8, 0, 99, Some((99, ""))), Some(7), 8, true, "no stamp");
        check(&facts(8, 0, 9, Some((8, "hooklog/1 log=other fold=1"))), Some(7), 8, true, "another log");
    }

    #[test]
    fn a_stamped_offset_that_would_double_or_lose_is_replaced() {
        check(&facts(8, 0, 9, Some((6, OURS))), None, 8, true, "doubled");
        check(&facts(0, 0, 9, Some((6, OURS))), Some(6), 7, true, "doubled");
        check(&facts(0, 0, 9, Some((10, OURS))), Some(6), 7, true, "beyond the end");
        check(&facts(0, 5, 9, Some((4, OURS))), Some(3), 5, true, "deleted before");
    }

    #[test]
    fn where_raw_lost_its_tail_the_offset_goes_to_its_end() {
        check(&facts(0, 0, 9, Some((12, OURS))), Some(11), 9, true, "lost its tail");
        check(&facts(12, 0, 9, None), None, 9, true, "lost its tail");
    }
}
