//! What the store says of an identity: 24 bytes.

use hooklog_schemas::{Millis, Offset};
use hooklog_task::Input;
use rapidhash::v3::rapidhash_v3;

/// When an identity was last seen, and what its first record was: the one that was emitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// T' of its last record. Stands first: the store's buckets go by it.
    pub(super) last: Millis,
    /// The record that was emitted; in the same partition of `raw`, since an identity never leaves it.
    pub(super) first: Offset,
    /// rapidhash v3 of the first record's bytes: the same on every machine, for ever. Another one says that the bodies
    /// differ; whether they contradict each other takes both of them to say.
    pub(super) body: u64,
}

impl Seen {
    /// Of an identity that is seen for the first time.
    pub(super) fn of(input: &Input<'_>) -> Seen {
        Seen { last: input.time, first: input.offset, body: rapidhash_v3(input.value) }
    }

    /// Nothing for a value that is none of ours.
    pub(super) fn of_bytes(bytes: &[u8]) -> Option<Seen> {
        let (last, rest) = bytes.split_first_chunk()?;
        let (first, rest) = rest.split_first_chunk()?;
        let body = rest.first_chunk()?;
        Some(Seen {
            last: Millis(i64::from_be_bytes(*last)),
            first: Offset(i64::from_be_bytes(*first)),
            body: u64::from_be_bytes(*body),
        })
    }

    pub(super) fn to_bytes(self) -> [u8; 24] {
        let mut bytes = [0; 24];
        bytes[..8].copy_from_slice(&self.last.0.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.first.0.to_be_bytes());
        bytes[16..].copy_from_slice(&self.body.to_be_bytes());
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GOLDEN: [u64; 9] = [
        232_177_599_295_442_350,
        15_839_320_130_220_386_324,
        15_474_299_862_025_619_993,
        8_433_212_297_523_712_870,
        17_065_807_216_024_460_433,
        7_381_809_234_932_091_623,
        12_371_122_282_927_455_779,
        12_550_011_440_240_796_084,
        16_805_902_675_048_583_318,
    ];

    /// Stores of two machines, or of two builds, must agree to the byte: their content hashes are compared.
    #[test]
    fn what_is_kept_of_an_identity_is_what_it_was_in_the_first_release_of_fold_2() {
        let seen = Seen { last: Millis(1), first: Offset(2), body: rapidhash_v3(br#"{"id":"evt_1"}"#) };
        let hex = seen.to_bytes().map(|byte| format!("{byte:02x}")).concat();
        assert_eq!(hex, "00000000000000010000000000000002570c97a984b504ea");
        // Each of these lengths takes another way through the hash.
        let long: Vec<u8> = (0..2_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        let hashes = [0, 3, 16, 17, 48, 112, 113, 400, 2_000].map(|length| rapidhash_v3(&long[..length]));
        assert_eq!(hashes, GOLDEN);
    }

    proptest! {
        #[test]
        fn it_reads_back_as_written(last: i64, first: i64, body: u64) {
            let seen = Seen { last: Millis(last), first: Offset(first), body };
            prop_assert_eq!(Seen::of_bytes(&seen.to_bytes()), Some(seen));
            prop_assert_eq!(Seen::of_bytes(&seen.to_bytes()[..23]), None);
        }
    }
}
