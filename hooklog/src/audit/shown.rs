//! What `events` can still show. Pure.
//!
//! Where the beginning of a partition of `events` was deleted, or an open transaction hides its end, a record without an event
//! may have one all the same. Positions of one partition of `raw` only grow within one partition of `events`: what comes
//! before the first one that is left was there or not, and nobody can say.

use std::collections::BTreeSet;

use hooklog_log::watermarks::Watermarks;
use hooklog_schemas::{NextOffset, Offset, Partition};

/// Each partition of `events`.
pub(super) struct Shown(Vec<Seen>);

struct Seen {
    /// Its beginning is gone.
    is_cut: bool,
    /// A transaction that nobody ends hides its end.
    is_held: bool,
    /// The record that the first event of each partition of `raw` names.
    first: Vec<Option<Offset>>,
}

impl Shown {
    /// Nothing yet of partitions with these `ends`, of which some are `held`; for `raw` of so many partitions.
    pub(super) fn of(ends: &[Watermarks], held: &BTreeSet<Partition>, raw: usize) -> Shown {
        let seen = |(partition, ends): (i32, &Watermarks)| Seen {
            is_cut: ends.earliest > NextOffset::ZERO,
            is_held: held.contains(&Partition(partition)),
            first: vec![None; raw],
        };
        Shown((0..).zip(ends).map(seen).collect())
    }

    /// The next event in order of a partition of `events`. Not one that a repair wrote: that stands behind later ones.
    pub(super) fn note(&mut self, partition: Partition, of: usize, record: Offset) {
        if let Some(seen) = self.seen(partition).and_then(|at| self.0.get_mut(at)) {
            // The first, not the lowest: what stands out of order must not make records before it missing.
            seen.first[of].get_or_insert(record);
        }
    }

    /// Whether the event of a record of the partition `of` of `raw`, which belongs to `partition` of `events`, may have been
    /// deleted, or may be hidden.
    pub(super) fn may_hide(&self, partition: Partition, of: usize, record: Offset) -> bool {
        let Some(seen) = self.seen(partition).and_then(|at| self.0.get(at)) else { return false };
        seen.is_held || seen.is_cut && seen.first[of].is_none_or(|first| record < first)
    }

    fn seen(&self, partition: Partition) -> Option<usize> {
        usize::try_from(partition.0).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CUT: Partition = Partition(0);
    const WHOLE: Partition = Partition(1);
    const HELD: Partition = Partition(2);

    fn shown() -> Shown {
        let from = |earliest| Watermarks { earliest: NextOffset(earliest), end: NextOffset(90) };
        Shown::of(&[from(40), from(0), from(0)], &BTreeSet::from([HELD]), 2)
    }

    #[test]
    fn what_comes_before_the_first_event_that_is_left_may_have_been_deleted() {
        let mut shown = shown();
        [7, 9].into_iter().for_each(|record| shown.note(CUT, 0, Offset(record)));
        let hides = |record| shown.may_hide(CUT, 0, Offset(record));
        assert_eq!([hides(6), hides(7), hides(8), hides(10)], [true, false, false, false]);
    }

    #[test]
    fn where_no_event_of_a_partition_of_raw_is_left_nothing_of_it_is_missing() {
        let mut shown = shown();
        shown.note(CUT, 0, Offset(7));
        assert!(shown.may_hide(CUT, 1, Offset(1_000)));
        assert!(!shown.may_hide(WHOLE, 1, Offset(0)), "a whole partition hides nothing");
    }

    #[test]
    fn an_event_out_of_order_does_not_move_the_edge_back() {
        let mut shown = shown();
        [7, 3].into_iter().for_each(|record| shown.note(CUT, 0, Offset(record)));
        assert!(shown.may_hide(CUT, 0, Offset(5)));
    }

    #[test]
    fn a_transaction_that_nobody_ends_may_hide_anything_of_its_partition() {
        let mut shown = shown();
        shown.note(HELD, 0, Offset(3));
        assert!(shown.may_hide(HELD, 0, Offset(9)) && shown.may_hide(HELD, 1, Offset(0)));
    }
}
