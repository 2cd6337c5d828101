//! Which offset a partition of the processor's group must have, and why. Pure.

use hooklog_schemas::{NextOffset, Offset};
use hooklog_task::resume::{self, Facts, Trust};

/// What becomes of one partition's offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mended {
    pub(super) new: NextOffset,
    pub(super) case: Case,
    /// Records that the store has to know of were deleted from the beginning of raw.
    pub(super) is_truncated: bool,
}

impl Mended {
    /// Whether anything has to be written.
    pub(super) fn changes(self) -> bool {
        self.case.changes() || self.is_truncated
    }

    pub(super) fn why(self) -> &'static str {
        if self.is_truncated && !self.case.changes() {
            return "records that the store lacks were deleted from raw: repeats of them will be emitted again";
        }
        self.case.why()
    }
}

/// How a committed offset stands to the log and to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Case {
    Right,
    NotCommitted,
    Unstamped,
    OtherStamp,
    /// Before what was emitted, or before the store.
    Behind,
    /// Beyond the end of raw.
    Beyond,
    /// Before the first record that is left.
    Deleted,
    /// Events, or the store, are of records that raw does not have any more.
    LostTail,
    /// The same, and raw was written on since: other records stand at their places.
    Rewritten,
    /// Nothing tells where it was: for a person to decide.
    Unknowable,
    /// A person has decided.
    Decided,
}

/// Where a partition goes on of which nothing tells where it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum UnknownAt {
    /// All that raw has is emitted, again perhaps
    Beginning,
    /// Nothing that is in raw now is emitted
    End,
}

impl Case {
    /// Whether the offset, or the stamp on it, has to be written.
    pub(super) fn changes(self) -> bool {
        !matches!(self, Case::Right | Case::Unknowable)
    }

    /// Whether it may be written without anybody being asked: nothing is doubled, and what is missing from `events` shows in
    /// an audit and is emitted after it.
    pub(super) fn is_harmless(self) -> bool {
        matches!(self, Case::NotCommitted | Case::Unstamped | Case::OtherStamp | Case::Behind)
    }

    /// Whether records of raw were acknowledged and are gone.
    pub(super) fn is_loss_of_raw(self) -> bool {
        matches!(self, Case::Beyond) || self.is_other_history()
    }

    /// Whether the store, or events, tell of another history than raw does.
    pub(super) fn is_other_history(self) -> bool {
        matches!(self, Case::LostTail | Case::Rewritten)
    }

    pub(super) fn why(self) -> &'static str {
        match self {
            Case::Right => "it is as it must be",
            Case::NotCommitted => "none is committed",
            Case::Unstamped => "it has no stamp: somebody else set it",
            Case::OtherStamp => "its stamp is that of another log or another fold",
            Case::Behind => {
                "it lies before what was emitted, or before the store: from there events would be doubled, or lost"
            }
            Case::Beyond => "it lies beyond the end of raw",
            Case::Deleted => "records were deleted before they were taken in: they are lost to events",
            Case::Unknowable => {
                "neither it, nor a store, nor events tell where it was; --unknown-at end or --unknown-at beginning decides"
            }
            Case::Decided => "nothing told where it was: --unknown-at decides",
            Case::LostTail => {
                "raw lost its newest records: the store, or events, refer to records beyond its end; run `hooklog repair` after this"
            }
            Case::Rewritten => {
                "raw lost its newest records and new ones were appended: at some offsets it holds other records than the store, or events, refer to; run `hooklog repair` after this"
            }
        }
    }
}

/// The offset at which nothing is doubled and nothing lost: the larger of S and one past the highest position that has an
/// event. A stamped offset after that one stays, since only duplicates lie in between.
///
/// Where nothing tells, since `events` has lost its beginning (`is_blind`), only `decision` does.
pub(super) fn mended(
    facts: &Facts,
    highest_event: Option<Offset>,
    is_blind: bool,
    decision: Option<UnknownAt>,
) -> Mended {
    if resume::is_unknowable(facts, highest_event, is_blind) {
        let (new, case) = match decision {
            Some(UnknownAt::Beginning) => (facts.input.earliest, Case::Decided),
            Some(UnknownAt::End) => (facts.input.end, Case::Decided),
            None => (resume::rebuilt(facts, highest_event), Case::Unknowable),
        };
        return Mended { new, case, is_truncated: false };
    }

    let input = facts.input;
    let least = resume::rebuilt(facts, highest_event);
    let new = least.max(input.earliest).min(input.end);
    if least > input.end {
        return Mended { new, case: Case::LostTail, is_truncated: false };
    }
    let case = match resume::trust(facts) {
        Trust::Stamped(next) if next > input.end => Case::Beyond,
        Trust::Stamped(next) if next < least => Case::Behind,
        Trust::Stamped(next) if next < input.earliest => Case::Deleted,
        Trust::Stamped(next) => {
            return Mended { new: next, case: Case::Right, is_truncated: lacks_records(facts, next) };
        }
        Trust::Unknown => mistrust(facts),
    };
    Mended { new, case, is_truncated: lacks_records(facts, new) }
}

/// The offset where raw lost its end and was written on: behind everything that is there. Nothing tells which of it has an
/// event, so a repair emits what is missing.
pub(super) fn rewritten(facts: &Facts) -> Mended {
    Mended { new: facts.input.end, case: Case::Rewritten, is_truncated: false }
}

/// Whether the store ends before raw begins, though the processor has been beyond that.
fn lacks_records(facts: &Facts, next: NextOffset) -> bool {
    let earliest = facts.input.earliest;
    let has_committed = matches!(resume::trust(facts), Trust::Stamped(_));
    facts.applied < earliest && (next > earliest || facts.applied > NextOffset::ZERO || has_committed)
}

fn mistrust(facts: &Facts) -> Case {
    match facts.committed.as_ref().map(|committed| committed.metadata.as_str()) {
        None => Case::NotCommitted,
        Some("") => Case::Unstamped,
        Some(_) => Case::OtherStamp,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hooklog_log::committed::Committed;
    use hooklog_log::watermarks::Watermarks;
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
        let input = Watermarks { earliest: NextOffset(earliest), end: NextOffset(end) };
        Facts { partition, applied: NextOffset(applied), committed, stamp, input }
    }

    #[track_caller]
    fn check(facts: &Facts, highest: Option<i64>, new: i64, changes: bool, why: &str) {
        let mended = mended(facts, highest.map(Offset), false, None);
        assert_eq!((mended.new, mended.case.changes()), (NextOffset(new), changes), "{mended:?}");
        assert!(mended.case.why().contains(why), "{mended:?}");
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
        check(&facts(0, 0, 9, Some((12, OURS))), Some(11), 9, true, "lost its newest");
        check(&facts(12, 0, 9, None), None, 9, true, "lost its newest");
    }

    #[test]
    fn where_nothing_tells_a_person_decides_and_nothing_is_written_before() {
        let at = |decision| mended(&facts(0, 2, 9, None), Some(Offset(4)), true, decision);
        let unknown = at(None);
        assert!(!unknown.changes() && !unknown.case.is_harmless() && unknown.why().contains("--unknown-at"));
        assert_eq!((at(Some(UnknownAt::End)).new, at(Some(UnknownAt::Beginning)).new), (NextOffset(9), NextOffset(2)));
        assert!(at(Some(UnknownAt::End)).changes() && !at(Some(UnknownAt::End)).case.is_harmless());
        let known = mended(&facts(0, 2, 9, Some((5, OURS))), Some(Offset(4)), true, Some(UnknownAt::End));
        assert_eq!((known.new, known.changes()), (NextOffset(5), true), "where something tells, that counts");
    }

    #[test]
    fn a_store_that_lacks_deleted_records_is_named_where_the_processor_has_been_beyond_them() {
        let truncated =
            |facts: Facts, highest: Option<i64>| mended(&facts, highest.map(Offset), false, None).is_truncated;
        assert!(truncated(facts(0, 3, 9, Some((7, OURS))), Some(6)));
        assert!(truncated(facts(2, 3, 9, Some((3, OURS))), None));
        assert!(truncated(facts(0, 3, 9, Some((3, OURS))), None), "raw was deleted up to its offset");
        assert!(!truncated(facts(0, 3, 9, None), None), "it never began");
        assert!(!truncated(facts(3, 3, 9, Some((7, OURS))), Some(6)));
    }

    #[test]
    fn only_what_loses_and_doubles_nothing_is_written_without_asking() {
        let case = |facts: Facts, highest: Option<i64>| mended(&facts, highest.map(Offset), false, None).case;
        let harmless = [
            case(facts(8, 0, 9, None), Some(4)),
            case(facts(8, 0, 9, Some((0, ""))), Some(4)),
            case(facts(8, 0, 9, Some((8, "hooklog/1 log=other fold=1"))), Some(7)),
            case(facts(8, 0, 9, Some((6, OURS))), None),
            case(facts(0, 0, 9, Some((6, OURS))), Some(6)),
        ];
        assert!(harmless.iter().all(|case| case.is_harmless() && !case.is_loss_of_raw()), "{harmless:?}");
        let lost = [case(facts(0, 0, 9, Some((10, OURS))), Some(6)), case(facts(12, 0, 9, None), None)];
        assert!(lost.iter().all(|case| case.is_loss_of_raw() && !case.is_harmless()), "{lost:?}");
        let deleted = case(facts(0, 5, 9, Some((4, OURS))), Some(3));
        assert!(!deleted.is_harmless() && !deleted.is_loss_of_raw(), "{deleted:?}");
        let right = case(facts(5, 0, 9, Some((7, OURS))), Some(4));
        assert!(!right.changes() && !right.is_loss_of_raw(), "{right:?}");
    }
}
