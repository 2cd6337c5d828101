//! Records whose outputs the output topic refuses for good, such as one that is larger than the topic allows. Pure.
//!
//! Kafka refuses a batch whole, so the first refusal names many suspects. Each of them is then folded in a transaction of its
//! own: the innocent ones are committed, and the one that fails alone is the culprit. Its partition stops there, and no other.

use std::collections::{BTreeMap, BTreeSet};

use hooklog_schemas::{NextOffset, Offset, Partition, RawPosition};
use rdkafka::error::RDKafkaErrorCode;

#[derive(Debug, Default)]
pub(super) struct Refusals {
    /// Records that must not share a transaction with others.
    suspects: BTreeSet<(Partition, Offset)>,
    culprits: BTreeMap<Partition, (Offset, RDKafkaErrorCode)>,
}

/// What to do with the records at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Run {
    /// So many of them may be folded into the open transaction.
    Together(usize),
    /// The first one needs a transaction of its own.
    Alone,
    /// The first one was refused alone.
    Refused(Offset, RDKafkaErrorCode),
}

/// Whether trying again cannot help while the topic stays as it is.
pub(super) fn is_for_good(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(code, Code::MessageSizeTooLarge | Code::InvalidMessageSize | Code::InvalidRecord | Code::PolicyViolation)
}

impl Refusals {
    /// A transaction of `records` records failed, in which these outputs were refused.
    pub(super) fn failed(&mut self, records: usize, refused: &[(RawPosition, RDKafkaErrorCode)]) {
        for (position, code) in refused.iter().filter(|(_, code)| is_for_good(*code)) {
            self.suspects.insert((position.partition, position.offset));
            if records == 1 {
                self.culprits.insert(position.partition, (position.offset, *code));
            }
        }
    }

    /// What to do with the records of `partition` whose offsets are `offsets`, in order.
    pub(super) fn run(&self, partition: Partition, offsets: impl ExactSizeIterator<Item = Offset>) -> Run {
        if self.suspects.is_empty() {
            return Run::Together(offsets.len());
        }
        let mut together = 0;
        for offset in offsets {
            if !self.suspects.contains(&(partition, offset)) {
                together += 1;
                continue;
            }
            return match self.culprits.get(&partition) {
                _ if together > 0 => Run::Together(together),
                Some((culprit, code)) if *culprit == offset => Run::Refused(offset, *code),
                _ => Run::Alone,
            };
        }
        Run::Together(together)
    }

    /// Everything of `partition` before `next` is committed.
    pub(super) fn committed(&mut self, partition: Partition, next: NextOffset) {
        self.suspects.retain(|(suspect, offset)| *suspect != partition || *offset >= next.offset());
        self.culprits.retain(|culprit, (offset, _)| *culprit != partition || *offset >= next.offset());
    }

    /// `partition` is tried again: the topic may take the culprit now.
    pub(super) fn forgive(&mut self, partition: Partition) {
        self.culprits.remove(&partition);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const P: Partition = Partition(2);
    const TOO_LARGE: RDKafkaErrorCode = RDKafkaErrorCode::MessageSizeTooLarge;

    fn refused(offsets: &[i64], code: RDKafkaErrorCode) -> Vec<(RawPosition, RDKafkaErrorCode)> {
        let position = |offset: &i64| (RawPosition { partition: P, offset: Offset(*offset) }, code);
        offsets.iter().map(position).collect()
    }

    fn run(refusals: &Refusals, offsets: std::ops::Range<i64>) -> Run {
        refusals.run(P, offsets.map(Offset).collect::<Vec<_>>().into_iter())
    }

    #[test]
    fn without_a_refusal_all_go_together() {
        assert_eq!(run(&Refusals::default(), 3..9), Run::Together(6));
    }

    #[test]
    fn every_record_of_a_refused_batch_goes_alone_and_the_others_together() {
        let mut refusals = Refusals::default();
        refusals.failed(9, &refused(&[5, 6], TOO_LARGE));
        assert_eq!(run(&refusals, 3..9), Run::Together(2));
        assert_eq!(run(&refusals, 5..9), Run::Alone);
        refusals.committed(P, NextOffset(6));
        assert_eq!(run(&refusals, 6..9), Run::Alone);
        refusals.committed(P, NextOffset(7));
        assert_eq!(run(&refusals, 7..9), Run::Together(2));
        assert_eq!(refusals.run(Partition(0), [Offset(6)].into_iter()), Run::Together(1));
    }

    #[test]
    fn one_that_is_refused_alone_is_the_culprit_until_it_is_tried_again() {
        let mut refusals = Refusals::default();
        refusals.failed(9, &refused(&[5, 6], TOO_LARGE));
        refusals.failed(1, &refused(&[6], TOO_LARGE));
        assert_eq!(run(&refusals, 5..9), Run::Alone);
        assert_eq!(run(&refusals, 6..9), Run::Refused(Offset(6), TOO_LARGE));
        refusals.forgive(P);
        assert_eq!(run(&refusals, 6..9), Run::Alone);
    }

    #[test]
    fn what_may_pass_by_itself_makes_no_suspects() {
        let mut refusals = Refusals::default();
        refusals.failed(1, &refused(&[5], RDKafkaErrorCode::NotLeaderForPartition));
        assert_eq!(run(&refusals, 5..6), Run::Together(1));
    }
}
