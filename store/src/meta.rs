//! What a store says of itself, in a column family of its own.

use hooklog_schemas::Partition;

use crate::applied::{Applied, Source};

/// The column family's name.
pub(crate) const META: &str = "meta";
/// Under this key stands the line that says what the store holds.
pub(crate) const KIND: &[u8] = b"kind";
/// Before every position.
const APPLIED: &[u8] = b"applied/";

/// `applied/<topic>/<partition>`; a topic's name holds no `/`.
pub(crate) fn applied_key(source: &Source) -> Vec<u8> {
    [APPLIED, source.topic.as_bytes(), b"/", source.partition.to_string().as_bytes()].concat()
}

/// Reads one entry back, or says that it is no position.
pub(crate) fn applied_entry(key: &[u8], value: &[u8]) -> Option<(Source, Applied)> {
    let (topic, partition) = std::str::from_utf8(key.strip_prefix(APPLIED)?).ok()?.rsplit_once('/')?;
    let source = Source { topic: topic.to_owned(), partition: Partition(partition.parse().ok()?) };
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
        let source = Source { topic: "hooklog.raw".to_owned(), partition: Partition(11) };
        let key = applied_key(&source);
        assert_eq!(key, b"applied/hooklog.raw/11");
        let applied = Applied::NOTHING;
        assert_eq!(applied_entry(&key, &applied.to_bytes()), Some((source, applied)));
        assert_eq!(applied_entry(&key, b"short"), None);
    }
}
