//! What the views skipped, counted by reason and with where to look, so that nothing is silent.

use std::collections::BTreeMap;

use hooklog_schemas::Offset;

/// The reason of events that these views do not need.
pub const NOT_NEEDED: &str = "not needed";

/// How often something happened, and where first and last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// How many records.
    pub records: i64,
    /// The first one's offset.
    pub first: i64,
    /// The last one's offset.
    pub last: i64,
}

/// The counts of one partition, by reason. Reasons are words of ours, so their number is bounded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally(pub BTreeMap<String, Count>);

impl Tally {
    /// Counts one record.
    pub fn count(&mut self, reason: &str, offset: Offset) {
        match self.0.get_mut(reason) {
            Some(count) => (count.records, count.last) = (count.records + 1, offset.0),
            None => {
                self.0.insert(reason.to_owned(), Count { records: 1, first: offset.0, last: offset.0 });
            }
        }
    }
}
