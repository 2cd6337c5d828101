//! The position inside a store.

use hooklog_schemas::{Millis, NextOffset, Partition};

/// One partition of one input topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Source {
    /// The topic's full name.
    pub topic: String,
    /// The partition.
    pub partition: Partition,
}

/// Up to where a store holds the fold of a [`Source`], and the running maximum of its records' times up to there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The first record that is not in the store.
    pub next: NextOffset,
    /// M: time as the log tells it. Later records count as no earlier than this.
    pub clock: Millis,
}

impl Applied {
    /// Of a store that holds nothing yet.
    pub const NOTHING: Applied = Applied { next: NextOffset::ZERO, clock: Millis::MIN };

    pub(crate) fn to_bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.next.0.to_be_bytes());
        bytes[8..].copy_from_slice(&self.clock.0.to_be_bytes());
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Applied> {
        let (next, clock) = bytes.split_first_chunk::<8>()?;
        let clock: &[u8; 8] = clock.try_into().ok()?;
        Some(Applied { next: NextOffset(i64::from_be_bytes(*next)), clock: Millis(i64::from_be_bytes(*clock)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_written_as_it_was_in_the_first_release() {
        let applied = Applied { next: NextOffset(258), clock: Millis(-2) };
        assert_eq!(hex::encode(applied.to_bytes()), "0000000000000102fffffffffffffffe");
        assert_eq!(Applied::from_bytes(&applied.to_bytes()), Some(applied));
        assert_eq!(Applied::from_bytes(&[0; 15]), None);
        assert_eq!(Applied::from_bytes(&[0; 17]), None);
    }
}
