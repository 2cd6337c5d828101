//! Which partition a key goes to: the Java client's default, so that every client agrees.
//!
//! librdkafka's own default differs (CRC-32), and a partitioner that asks the cluster for the count would send one key to
//! two partitions while a topic grows. So producers here compute this over the *pinned* count and name the partition.

use hooklog_schemas::Partition;

/// The partition of `key` among `pinned` (at least 1), as the Java client's default partitioner gives it.
pub fn partition_for(key: &[u8], pinned: u32) -> Partition {
    let positive = murmur2(key) & 0x7fff_ffff;
    Partition(i32::try_from(positive % pinned.max(1)).expect("31 bits fit"))
}

/// MurmurHash2 with Kafka's seed, over 32-bit little-endian words.
/// <https://github.com/apache/kafka/blob/4.3/clients/src/main/java/org/apache/kafka/common/utils/Utils.java>
pub fn murmur2(key: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    let length = u32::try_from(key.len() & 0xffff_ffff).expect("masked to 32 bits");
    let mut words = key.chunks_exact(4);
    let mut hash = words.by_ref().fold(SEED ^ length, |hash, word| {
        let mut k = u32::from_le_bytes(word.try_into().expect("four bytes")).wrapping_mul(M);
        k ^= k >> 24;
        hash.wrapping_mul(M) ^ k.wrapping_mul(M)
    });
    let rest = words.remainder();
    if !rest.is_empty() {
        let tail = rest.iter().rev().fold(0, |tail, byte| (tail << 8) | u32::from(*byte));
        hash = (hash ^ tail).wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_one_of_the_java_client() {
        // Values of org.apache.kafka.common.utils.Utils.murmur2, as its own test lists them.
        for (key, hash) in [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(key.as_bytes()).cast_signed(), hash, "{key}");
        }
    }

    /// Computed by `Utils.murmur2` and `Utils.toPositive` of kafka-clients 4.3.1: its bytes are signed, ours are not.
    #[test]
    fn keys_beyond_ascii_go_where_the_java_client_puts_them() {
        for (key, hash, of_4, of_12) in [
            ("stripe/live/cus_9s6XKzkNRiz8i3", -1_632_613_321, 3, 7),
            ("acct_1/test/größe", -848_182_662, 2, 2),
            ("東京", -1_368_386_005, 3, 7),
            ("stripe/live/\u{1f600}", -1_256_707_186, 2, 10),
            ("é", 186_971_271, 3, 3),
            ("ab\0", 1_167_978_161, 1, 5),
            ("\u{7f}\u{80}\u{ff}", -1_995_144_424, 0, 4),
            ("", 275_646_681, 1, 9),
        ] {
            assert_eq!(murmur2(key.as_bytes()).cast_signed(), hash, "{key:?}");
            let at = |pinned| partition_for(key.as_bytes(), pinned).0;
            assert_eq!((at(4), at(12)), (of_4, of_12), "{key:?}");
        }
        assert_eq!(murmur2(b"\xff\xfe\xfd").cast_signed(), 998_637_092);
        let upper: Vec<u8> = (128..=255).collect();
        assert_eq!(murmur2(&upper).cast_signed(), 872_916_902);
    }

    #[test]
    fn every_partition_is_within_the_pinned_count() {
        for n in 0..1000_u32 {
            let key = n.to_string();
            assert!((0..4).contains(&partition_for(key.as_bytes(), 4).0));
            assert_eq!(partition_for(key.as_bytes(), 1), Partition(0));
        }
    }
}
