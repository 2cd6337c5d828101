//! Logs of before whose events stand in `events`: `raw` was made anew, and today's was adopted in its place.
//!
//! The events of one log end where those of the next one begin, in each partition of `events`. So the places at which they
//! change are found without reading all of it.

use std::collections::BTreeSet;

use anyhow::Result;
use hooklog_log::connection::Isolation;
use hooklog_log::control::{self, History};
use hooklog_log::provision::Provisioned;
use hooklog_log::reader::{OffsetRange, Reader};
use hooklog_log::{Connection, watermarks};
use hooklog_schemas::{NextOffset, Partition, header};
use rdkafka::message::{Headers, Message};

/// The logs that events name, which are neither today's `raw` nor known from `control`.
pub(super) fn unrecorded(connection: &Connection, topics: &Provisioned) -> Result<BTreeSet<String>> {
    let (today, events) = (&topics.raw.id.0, &topics.events);
    let mut found = BTreeSet::new();
    let ends = watermarks::all(connection, &events.name, events.partitions, Isolation::Committed)?;
    for (partition, ends) in (0..).map(Partition).zip(ends) {
        let named = |from| {
            let span = OffsetRange { topic: events.name.clone(), partition, from, to: ends.end };
            let mut reader = Reader::open(connection, Isolation::Committed, span)?;
            let first = reader.next()?;
            Ok(first.and_then(|event| Some((NextOffset(event.offset()), log_of(&event)?))))
        };
        found.extend(before(today, ends.earliest, ends.end, named)?);
    }
    let known = History::read(connection, &topics.topics, &topics.raw.id)?.former;
    Ok(&found - &known)
}

/// Notes in `control` that they were `raw` before today's.
pub(super) fn record(connection: &Connection, topics: &Provisioned, former: &BTreeSet<String>) -> Result<()> {
    for log in former {
        tracing::warn!(log, "the events of this log are history from now on: audit does not judge them any more");
        control::note_former(connection, &topics.topics, log, &topics.raw.id)?;
    }
    Ok(())
}

fn log_of(event: &impl Message) -> Option<String> {
    let header = event.headers()?.iter().find(|found| found.key == header::LOG)?;
    std::str::from_utf8(header.value?).ok().map(str::to_owned)
}

/// The logs that come before `today`, between `from` and `end`. `named` tells of the first event at or after an offset
/// where it stands and which log it names.
fn before(
    today: &str,
    mut from: NextOffset,
    end: NextOffset,
    named: impl Fn(NextOffset) -> Result<Option<(NextOffset, String)>>,
) -> Result<BTreeSet<String>> {
    let mut logs = BTreeSet::new();
    while let Some((at, log)) = named(from)?.filter(|(_, log)| log != today) {
        let (mut of_it, mut not_of_it) = (at.0, end.0);
        while not_of_it - of_it > 1 {
            let middle = of_it + (not_of_it - of_it) / 2;
            match named(NextOffset(middle))? {
                Some((_, other)) if other == log => of_it = middle,
                _ => not_of_it = middle,
            }
        }
        logs.insert(log);
        from = NextOffset(not_of_it);
    }
    Ok(logs)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found in a partition whose offsets name these logs; `-` holds no record.
    fn found(offsets: &str, today: &str) -> Vec<String> {
        let end = NextOffset(i64::try_from(offsets.len()).unwrap());
        let named = |from: NextOffset| {
            let at = usize::try_from(from.0).unwrap();
            let first = offsets.char_indices().find(|(offset, log)| *offset >= at && *log != '-');
            Ok(first.map(|(offset, log)| (NextOffset(i64::try_from(offset).unwrap()), log.to_string())))
        };
        before(today, NextOffset::ZERO, end, named).unwrap().into_iter().collect()
    }

    #[test]
    fn all_logs_before_todays_are_found_whatever_lies_between() {
        assert_eq!(found("aa-aab-bb--ccc-", "c"), ["a", "b"]);
        assert_eq!(found("-a-", "c"), ["a"]);
        assert_eq!(found("ab", "c"), ["a", "b"]);
    }

    #[test]
    fn where_all_is_of_today_nothing_is_found() {
        for offsets in ["", "-", "c", "-cc-c-"] {
            assert_eq!(found(offsets, "c"), [""; 0], "{offsets}");
        }
    }
}
