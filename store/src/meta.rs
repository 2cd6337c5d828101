//! What a store says of itself, in a column family of its own.

use hooklog_schemas::{NextOffset, Partition};

use crate::applied::{Applied, TopicPartition};

/// The column family's name.
pub(crate) const META: &str = "meta";
/// Under this key stands the line that says what the store holds.
pub(crate) const KIND: &[u8] = b"kind";
/// Before every position.
const APPLIED: &[u8] = b"applied/";
/// Before every note of what is verified.
const VERIFIED: &[u8] = b"verified/";
/// The column family of what batches emitted; no family of a layout begins with `meta`.
pub(crate) const EMISSIONS: &str = "meta-emissions";

/// `applied/<topic>/<partition>`; a topic's name holds no `/`.
pub(crate) fn applied_key(source: &TopicPartition) -> Vec<u8> {
    [APPLIED, source.topic.as_bytes(), b"/", source.partition.to_string().as_bytes()].concat()
}

/// `verified/<topic>/<partition>`.
pub(crate) fn verified_key(source: &TopicPartition) -> Vec<u8> {
    [VERIFIED, source.topic.as_bytes(), b"/", source.partition.to_string().as_bytes()].concat()
}

/// `<topic>/<partition>/` and the offset of the batch's first record, in the order of offsets.
pub(crate) fn emission_key(source: &TopicPartition, from: NextOffset) -> Vec<u8> {
    [&emissions_of(source)[..], &from.0.to_be_bytes()].concat()
}

/// The offset in the key of an emission of `source`; nothing where the key is another source's.
pub(crate) fn emission_from(source: &TopicPartition, key: &[u8]) -> Option<NextOffset> {
    let offset: &[u8; 8] = key.strip_prefix(&emissions_of(source)[..])?.try_into().ok()?;
    Some(NextOffset(i64::from_be_bytes(*offset)))
}

fn emissions_of(source: &TopicPartition) -> Vec<u8> {
    [source.topic.as_bytes(), b"/", source.partition.to_string().as_bytes(), b"/"].concat()
}

/// Reads one entry back, or says that it is no position.
pub(crate) fn applied_entry(key: &[u8], value: &[u8]) -> Option<(TopicPartition, Applied)> {
    let (topic, partition) = std::str::from_utf8(key.strip_prefix(APPLIED)?).ok()?.rsplit_once('/')?;
    let source = TopicPartition { topic: topic.to_owned(), partition: Partition(partition.parse().ok()?) };
    Some((source, Applied::from_bytes(value)?))
}

pub(crate) fn is_applied(key: &[u8]) -> bool {
    key.starts_with(APPLIED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_reads_back_under_its_own_source() {
        let source = TopicPartition { topic: "hooklog.raw".to_owned(), partition: Partition(11) };
        let key = applied_key(&source);
        assert_eq!(key, b"applied/hooklog.raw/11");
        let applied = Applied::NOTHING;
        assert_eq!(applied_entry(&key, &applied.to_bytes()), Some((source, applied)));
        assert_eq!(applied_entry(&key, b"short"), None);
    }

    #[test]
    fn an_emission_is_found_under_its_own_source_only() {
        let of = |partition| TopicPartition { topic: "hooklog.raw".to_owned(), partition: Partition(partition) };
        let key = emission_key(&of(1), NextOffset(258));
        assert_eq!(emission_from(&of(1), &key), Some(NextOffset(258)));
        assert_eq!(emission_from(&of(11), &key), None);
        assert_eq!(emission_from(&of(1), &emission_key(&of(11), NextOffset(258))), None);
        assert!(emission_key(&of(1), NextOffset(255)) < key);
    }
}
