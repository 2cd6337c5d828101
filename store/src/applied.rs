//! The position inside a store.

use hooklog_schemas::{Millis, NextOffset, Offset, Partition};

/// One partition of one input topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// The topic's full name.
    pub topic: String,
    /// The partition.
    pub partition: Partition,
}

/// Up to where a store holds the fold of a [`TopicPartition`], and the running maximum of its records' times up to there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The first record that is not in the store.
    pub next: NextOffset,
    /// M: time as the log tells it. Later records count as no earlier than this.
    pub stream_time: Millis,
    /// The last record that was folded, if the store knows it: one that was made before this was kept does not.
    pub last: Option<LastRecord>,
}

/// Which record was folded last. A log that lost its end and was written on has another one there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastRecord {
    /// Where it stands.
    pub offset: Offset,
    /// A digest of what it holds.
    pub digest: [u8; 16],
}

/// How a digest is made; the version of `Input::reached` in `hooklog-task`.
const DIGEST: u8 = 1;

impl Applied {
    /// Of a store that holds nothing yet.
    pub const NOTHING: Applied = Applied { next: NextOffset::ZERO, stream_time: Millis::MIN, last: None };

    pub(crate) fn to_bytes(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(41);
        bytes.extend(self.next.0.to_be_bytes());
        bytes.extend(self.stream_time.0.to_be_bytes());
        if let Some(LastRecord { offset, digest }) = self.last {
            bytes.push(DIGEST);
            bytes.extend(offset.0.to_be_bytes());
            bytes.extend(digest);
        }
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Applied> {
        let (next, rest) = number(bytes)?;
        let (stream_time, rest) = number(rest)?;
        let last = match rest {
            [] => None,
            [version, rest @ ..] => {
                let (offset, digest) = number(rest)?;
                let last = LastRecord { offset: Offset(offset), digest: digest.try_into().ok()? };
                // A digest that is made in another way cannot be compared.
                Some(last).filter(|_| *version == DIGEST)
            }
        };
        Some(Applied { next: NextOffset(next), stream_time: Millis(stream_time), last })
    }
}

fn number(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let (number, rest) = bytes.split_first_chunk::<8>()?;
    Some((i64::from_be_bytes(*number), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_written_as_it_was_in_the_first_release() {
        let applied = Applied { next: NextOffset(258), stream_time: Millis(-2), last: None };
        assert_eq!(hex::encode(applied.to_bytes()), "0000000000000102fffffffffffffffe");
        assert_eq!(Applied::from_bytes(&applied.to_bytes()), Some(applied));
    }

    #[test]
    fn the_last_record_follows_the_position() {
        let last = Some(LastRecord { offset: Offset(256), digest: [7; 16] });
        let applied = Applied { next: NextOffset(258), stream_time: Millis(-2), last };
        let bytes = applied.to_bytes();
        assert_eq!(hex::encode(&bytes[16..]), "01000000000000010007070707070707070707070707070707");
        assert_eq!(Applied::from_bytes(&bytes), Some(applied));
        let mut other = bytes;
        other[16] = 2;
        assert_eq!(
            Applied::from_bytes(&other),
            Some(Applied { last: None, ..applied }),
            "it tells nothing to this version"
        );
    }

    #[test]
    fn what_is_of_another_length_is_no_position() {
        for length in [0, 8, 15, 17, 24, 40, 42] {
            assert_eq!(Applied::from_bytes(&vec![0; length]), None, "{length}");
        }
    }
}
