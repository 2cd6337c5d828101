//! What a task remembers of its outputs until they are known to stand in the output topic for good.
//!
//! An acknowledged commit can still be undone: a transaction coordinator that skips the end marker of a partition leaves the
//! transaction open there, and the producer's next abort then ends it (KAFKA-20734). So each applied batch leaves behind which
//! of its records emitted what, and a [`Verified`] says up to where that is not needed any more.

use hooklog_schemas::{Millis, NextOffset, Offset, Partition};

/// What the records of one applied batch emitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Emission {
    /// The first record of the batch.
    pub from: NextOffset,
    /// M before that record: with it, the times of the batch's records can be computed again.
    pub stream_time: Millis,
    /// Each output, in order: the record that it came of, and its partition of the output topic.
    pub outputs: Vec<(Offset, Partition)>,
}

/// Up to where all outputs are in the output topic for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Every output of a record before this one is committed, and no open transaction can take it back.
    pub next: NextOffset,
    /// For each partition of the output topic: the outputs of all other records lie at this offset or behind it.
    pub outputs: Vec<NextOffset>,
}

/// The version of both formats.
const FORMAT: u8 = 1;

impl Emission {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(17 + 3 * self.outputs.len());
        bytes.push(FORMAT);
        bytes.extend(self.stream_time.0.to_be_bytes());
        let mut last = self.from.0;
        for (offset, partition) in &self.outputs {
            put_number(&mut bytes, (offset.0 - last).unsigned_abs());
            put_number(&mut bytes, u64::from(partition.0.cast_unsigned()));
            last = offset.0;
        }
        bytes
    }

    pub(crate) fn from_bytes(from: NextOffset, bytes: &[u8]) -> Option<Emission> {
        let (time, mut rest) = bytes.strip_prefix(&[FORMAT])?.split_first_chunk::<8>()?;
        let (mut outputs, mut last) = (Vec::new(), from.0);
        while !rest.is_empty() {
            last = last.checked_add_unsigned(take_number(&mut rest)?)?;
            let partition = i32::try_from(take_number(&mut rest)?).ok()?;
            outputs.push((Offset(last), Partition(partition)));
        }
        Some(Emission { from, stream_time: Millis(i64::from_be_bytes(*time)), outputs })
    }
}

impl Verified {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let offsets = std::iter::once(&self.next).chain(&self.outputs);
        std::iter::once(FORMAT).chain(offsets.flat_map(|offset| offset.0.to_be_bytes())).collect()
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Verified> {
        let (chunks, rest) = bytes.strip_prefix(&[FORMAT])?.as_chunks::<8>();
        let mut offsets = chunks.iter().map(|chunk| NextOffset(i64::from_be_bytes(*chunk)));
        let next = offsets.next().filter(|_| rest.is_empty())?;
        Some(Verified { next, outputs: offsets.collect() })
    }
}

/// Seven bits a byte, the lowest first; the high bit says that more follow.
fn put_number(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    bytes.push(number.to_le_bytes()[0]);
}

fn take_number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_emission_is_written_as_it_was_in_the_first_release() {
        let outputs = vec![(Offset(258), Partition(0)), (Offset(600), Partition(11))];
        let emission = Emission { from: NextOffset(256), stream_time: Millis(-2), outputs };
        assert_eq!(hex::encode(emission.to_bytes()), "01fffffffffffffffe0200d6020b");
        assert_eq!(Emission::from_bytes(NextOffset(256), &emission.to_bytes()), Some(emission));
    }

    #[test]
    fn what_is_verified_is_written_as_it_was_in_the_first_release() {
        let verified = Verified { next: NextOffset(258), outputs: vec![NextOffset(1), NextOffset(0)] };
        let bytes = verified.to_bytes();
        assert_eq!(hex::encode(&bytes), "01000000000000010200000000000000010000000000000000");
        assert_eq!(Verified::from_bytes(&bytes), Some(verified));
    }

    #[test]
    fn what_is_cut_or_of_another_format_is_not_read() {
        let emission =
            Emission { from: NextOffset(0), stream_time: Millis(7), outputs: vec![(Offset(200), Partition(3))] };
        let bytes = emission.to_bytes();
        for cut in [0, 1, 8, bytes.len() - 1] {
            assert_eq!(Emission::from_bytes(NextOffset(0), &bytes[..cut]), None, "{cut}");
        }
        assert_eq!(Verified::from_bytes(&[1, 0, 0]), None);
        assert_eq!(Verified::from_bytes(&[2; 9]), None);
        assert_eq!(Verified::from_bytes(&[]), None);
    }

    proptest! {
        #[test]
        fn emissions_read_back_as_written(from in 0..i64::MAX / 2, time: i64, steps in proptest::collection::vec((0_i64..1 << 40, 0..i32::MAX), 0..20)) {
            let mut at = from;
            let mut place = |(step, partition): (i64, i32)| { at += step; (Offset(at), Partition(partition)) };
            let outputs: Vec<_> = steps.into_iter().map(&mut place).collect();
            let emission = Emission { from: NextOffset(from), stream_time: Millis(time), outputs };
            prop_assert_eq!(Emission::from_bytes(emission.from, &emission.to_bytes()), Some(emission));
        }
    }
}
