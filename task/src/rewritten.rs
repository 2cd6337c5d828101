//! Whether a log is still the one that a store and outputs were made of.
//!
//! A topic keeps its id where it loses its end and is written on: a replica that lags was elected, power was lost, or a backup
//! of the broker's files was put back. Offsets look right then, and mean other records. So a store remembers the last record
//! that it holds, and that one must still stand at its place. Of an output there is its time: that of its input record (T'), or
//! later than that; a record that was written since is later than the output.

use std::collections::BTreeMap;

use hooklog_log::Connection;
use hooklog_log::connection::Isolation;
use hooklog_log::reader::{OffsetRange, Reader};
use hooklog_log::watermarks::Watermarks;
use hooklog_schemas::{Millis, NextOffset, Offset, Partition};
use hooklog_store::{Applied, LastRecord};

use crate::error::Error;
use crate::input::{self, Input};

/// An output, and the record that it was made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    /// The record's offset.
    pub offset: Offset,
    /// The output's time.
    pub time: Millis,
}

/// What the records of one partition are compared with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// The last record of a store.
    pub last: Option<LastRecord>,
    /// The output of the latest record that has one.
    pub latest: Option<Origin>,
}

/// The record of partition `partition` of `topic` that is another one than it was, if one is. What was deleted cannot be
/// compared, and what lies beyond the end is for [`crate::resume`].
///
/// # Errors
/// [`Error::Log`].
pub fn rewritten(
    connection: &Connection,
    (topic, partition): (&str, Partition),
    isolation: Isolation,
    ends: Watermarks,
    known: Known,
) -> Result<Option<Offset>, Error> {
    let wanted = [known.last.map(|last| last.offset), known.latest.map(|latest| latest.offset)];
    let is_there = |offset: &Offset| ends.earliest.offset() <= *offset && *offset < ends.end.offset();
    let mut found = BTreeMap::new();
    for offset in wanted.into_iter().flatten().filter(is_there) {
        let span = OffsetRange { topic: topic.to_owned(), partition, from: NextOffset(offset.0), to: offset.next() };
        let mut reader = Reader::open(connection, isolation, span)?;
        // Where nothing can be read now a record was read before: it is gone, and with it what it was.
        let record =
            reader.next()?.map(|message| (Input::read(&message, Millis::MIN).reached(), input::time(&message)));
        found.insert(offset, record);
    }
    Ok(found.into_iter().find(|(offset, found)| is_another(*offset, *found, known)).map(|(offset, _)| offset))
}

/// Whether what was `found` at `offset` contradicts what is `known` of it. Pure.
fn is_another(offset: Offset, found: Option<(Applied, Millis)>, known: Known) -> bool {
    let Some((reached, time)) = found else { return true };
    let is_not_last = known.last.is_some_and(|last| last.offset == offset && reached.last != Some(last));
    let is_too_late = known.latest.is_some_and(|latest| latest.offset == offset && time > latest.time);
    is_not_last || is_too_late
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Offset = Offset(7);

    fn last(digest: u8) -> LastRecord {
        LastRecord { offset: AT, digest: [digest; 16] }
    }

    fn found(digest: u8, time: i64) -> Option<(Applied, Millis)> {
        Some((Applied { next: AT.next(), stream_time: Millis(time), last: Some(last(digest)) }, Millis(time)))
    }

    #[test]
    fn the_last_record_of_a_store_must_be_the_same_to_the_byte() {
        let known = Known { last: Some(last(1)), latest: None };
        assert!(!is_another(AT, found(1, 100), known));
        assert!(is_another(AT, found(2, 100), known));
        assert!(is_another(AT, None, known));
        assert!(!is_another(Offset(6), found(2, 100), known), "of that one nothing is known");
    }

    #[test]
    fn a_record_that_is_later_than_its_output_was_written_after_it() {
        let known = Known { last: None, latest: Some(Origin { offset: AT, time: Millis(100) }) };
        assert!(!is_another(AT, found(1, 100), known));
        assert!(!is_another(AT, found(1, 99), known), "the log's clock was ahead before: T' is later than T");
        assert!(is_another(AT, found(1, 101), known));
        assert!(!is_another(Offset(8), found(1, 101), known));
    }
}
