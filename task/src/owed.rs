//! Which outputs of applied records the output topic lacks. Pure.
//!
//! A store that holds the fold of a record does not prove that the record's outputs are committed: an acknowledged commit can
//! be taken back in some partitions of the output topic, or in all (see [`hooklog_log::hanging`]), and a commit whose answer
//! was lost may have happened in some. What the store remembers of its outputs, less what a reader of committed records finds,
//! is owed: it is emitted again, exactly, before anything else.

use std::collections::{BTreeMap, BTreeSet};

use hooklog_schemas::{Millis, NextOffset, Offset, Partition};
use hooklog_store::Emission;

/// The outputs of one input partition that are committed, once nothing of it is open any more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Present {
    /// By partition of the output topic: every output up to this record counts as there. The positions of one input partition
    /// only grow within an output partition (I9), so all before the highest one that was found is there; and of what was
    /// deleted from the topic's beginning nothing can be said, so it is not emitted again.
    up_to: BTreeMap<Partition, Offset>,
    /// Outputs that were found: partition of the output topic, record.
    seen: BTreeSet<(Partition, Offset)>,
    highest: Option<Offset>,
}

impl Present {
    /// An output of the record at `offset` stands in `output`.
    pub fn note(&mut self, output: Partition, offset: Offset) {
        self.seen.insert((output, offset));
        self.highest = self.highest.max(Some(offset));
    }

    /// The record at `offset` has an output in `output`, and so has every one before it that emits to there.
    pub fn note_all_up_to(&mut self, output: Partition, offset: Offset) {
        self.count_up_to(output, offset);
        self.highest = self.highest.max(Some(offset));
    }

    /// The beginning of `output` was deleted: of records before the first one that is left nothing can be said, so their
    /// outputs count as there.
    pub fn is_cut_off(&mut self, output: Partition) {
        let lowest = self.seen.range((output, Offset(i64::MIN))..=(output, Offset(i64::MAX))).next();
        self.count_up_to(output, lowest.map_or(Offset(i64::MAX), |(_, offset)| *offset));
    }

    fn count_up_to(&mut self, output: Partition, offset: Offset) {
        let known = self.up_to.entry(output).or_insert(offset);
        *known = offset.max(*known);
    }

    /// Whether an output partition has lost its beginning and with it every trace of this input partition.
    pub fn is_blind(&self) -> bool {
        self.up_to.values().any(|offset| *offset == Offset(i64::MAX))
    }

    /// The latest record that has an output.
    pub fn highest(&self) -> Option<Offset> {
        self.highest
    }

    /// The latest record that is known to have an output in `output`. One of an earlier record that is emitted now stands out of
    /// order.
    pub fn highest_in(&self, output: Partition) -> Option<Offset> {
        let seen = self.seen.range((output, Offset(i64::MIN))..=(output, Offset(i64::MAX))).next_back();
        self.up_to.get(&output).copied().max(seen.map(|(_, offset)| *offset))
    }

    /// Where outputs of a task that remembers nothing of them could be missing at the earliest: all before that is there.
    pub fn complete_before(&self, outputs: u32, earliest: NextOffset) -> NextOffset {
        let before = |output| match self.up_to.get(&Partition(output)) {
            Some(Offset(i64::MAX)) => NextOffset(i64::MAX),
            known => known.map_or(earliest, |offset| offset.next()),
        };
        (0..outputs.cast_signed()).map(before).min().unwrap_or(earliest).max(earliest)
    }

    fn holds(&self, output: Partition, offset: Offset) -> bool {
        self.up_to.get(&output).is_some_and(|known| offset <= *known) || self.seen.contains(&(output, offset))
    }
}

/// Which records are decided by a fold that is rolled over them just as they were the first time. What it emits of others says
/// nothing of what was emitted then, so it is not remembered and never owed; an audit speaks of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Comparable {
    /// Before that all outputs are there, or another fold decided: one with another dedup window.
    pub from: NextOffset,
    /// Before that the fold may lack records that were deleted.
    pub since: Millis,
}

impl Comparable {
    /// Whether what the fold emits of the record at `offset`, at stream time `time`, was emitted before.
    pub fn holds(&self, offset: Offset, time: Millis) -> bool {
        offset >= self.from.offset() && time >= self.since
    }
}

/// What is owed of `emissions`: the batches that lack outputs, each with those alone.
pub fn owed(emissions: Vec<Emission>, present: &Present) -> Vec<Emission> {
    let missing = |mut batch: Emission| {
        batch.outputs.retain(|(offset, output)| !present.holds(*output, *offset));
        (!batch.outputs.is_empty()).then_some(batch)
    };
    emissions.into_iter().filter_map(missing).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Partition = Partition(0);
    const B: Partition = Partition(1);

    fn batch(from: i64, outputs: &[(i64, Partition)]) -> Emission {
        let outputs = outputs.iter().map(|(offset, output)| (Offset(*offset), *output)).collect();
        Emission { from: NextOffset(from), stream_time: Millis(5), outputs }
    }

    fn present(found: &[(Partition, i64)]) -> Present {
        let mut present = Present::default();
        found.iter().for_each(|(output, offset)| present.note(*output, Offset(*offset)));
        present
    }

    #[test]
    fn what_is_found_is_not_owed_and_the_rest_of_its_batch_is() {
        let batches = || vec![batch(0, &[(0, A), (1, B), (2, A)]), batch(3, &[(4, B)])];
        assert_eq!(owed(batches(), &present(&[(A, 0), (B, 1), (A, 2), (B, 4)])), []);
        assert_eq!(owed(batches(), &present(&[(A, 0), (A, 2), (B, 4)])), [batch(0, &[(1, B)])]);
        assert_eq!(owed(batches(), &present(&[])), batches());
    }

    #[test]
    fn only_what_is_decided_as_it_was_the_first_time_can_be_compared() {
        let comparable = Comparable { from: NextOffset(7), since: Millis(100) };
        assert!(comparable.holds(Offset(7), Millis(100)));
        assert!(!comparable.holds(Offset(6), Millis(100)), "all is there, or another window was in force");
        assert!(!comparable.holds(Offset(7), Millis(99)), "it may repeat a record that was deleted");
    }

    #[test]
    fn an_output_in_another_partition_does_not_count() {
        assert_eq!(owed(vec![batch(0, &[(0, A)])], &present(&[(B, 0)])), [batch(0, &[(0, A)])]);
    }

    #[test]
    fn all_before_the_highest_output_of_a_partition_is_there() {
        let mut present = Present::default();
        for (output, offset) in [(A, 1), (A, 4), (B, 2)] {
            present.note_all_up_to(output, Offset(offset));
        }
        let batches = vec![batch(0, &[(1, A), (2, B), (3, B), (4, A), (5, A)])];
        assert_eq!(owed(batches, &present), [batch(0, &[(3, B), (5, A)])]);
        assert_eq!(present.highest(), Some(Offset(4)));
        assert_eq!(present.complete_before(2, NextOffset(0)), NextOffset(3));
        assert_eq!(present.complete_before(3, NextOffset(1)), NextOffset(1), "one partition has none");
    }

    #[test]
    fn what_was_deleted_from_the_output_topic_is_never_owed() {
        let mut present = present(&[(A, 7)]);
        present.is_cut_off(A);
        present.is_cut_off(B);
        assert_eq!(owed(vec![batch(0, &[(1, A), (2, B), (7, A), (8, A)])], &present), [batch(0, &[(8, A)])]);
        assert_eq!(present.complete_before(2, NextOffset(0)), NextOffset(8), "where nothing is left nothing is owed");
        assert!(present.is_blind());
        assert_eq!((present.highest_in(A), present.highest_in(Partition(9))), (Some(Offset(7)), None));
    }
}
