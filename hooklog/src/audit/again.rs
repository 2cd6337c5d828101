//! Events that repeat an event whose record `raw` has lost. Pure: the events themselves are compared, by identity.
//!
//! Where both records are left, the records tell ([`super::window`]). Where `raw` was truncated the first one's is gone, and
//! only its event still says that the identity was met. So a start that skipped those records, and emitted again, is seen.

use std::io;

use hooklog_schemas::{DedupKey, Millis, NextOffset, Offset, Partition};

use hooklog_schemas::Stretches;

/// An event as far as it is compared with others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Emitted {
    pub(super) identity: DedupKey,
    /// The record that it names.
    pub(super) record: Offset,
    /// Where it stands in `events`.
    pub(super) partition: Partition,
    pub(super) offset: Offset,
    /// T' of its record.
    pub(super) time: Millis,
}

/// What is left of one partition of `raw` whose beginning is gone.
#[derive(Clone, Debug)]
pub(super) struct Cut {
    /// The first record that is left, and its time; where none is left, every time comes before it.
    pub(super) from: NextOffset,
    pub(super) first: Millis,
    pub(super) windows: Stretches,
}

impl Cut {
    /// Whether `event` can repeat one whose record is gone: a window behind the first record that is left, `raw` itself tells.
    pub(super) fn concerns(&self, event: &Emitted) -> bool {
        let window = self.windows.at(event.record);
        self.is_gone(event) || event.time.0 < self.first.0.saturating_add(window.0)
    }

    fn is_gone(&self, event: &Emitted) -> bool {
        event.record < self.from.offset()
    }
}

/// Those of `events` that repeat one whose record is gone. `events` is sorted by identity, then by record, then by place.
pub(super) fn repeats<E>(
    cut: &Cut,
    events: impl Iterator<Item = io::Result<Emitted>>,
    mut found: impl FnMut(Emitted) -> Result<(), E>,
) -> Result<(), E>
where
    E: From<io::Error>,
{
    let mut last: Option<(DedupKey, Millis)> = None;
    for event in events {
        let event = event?;
        let before = last.filter(|(identity, _)| *identity == event.identity).map(|(_, time)| time);
        let window = cut.windows.at(event.record);
        if cut.concerns(&event) && before.is_some_and(|before| event.time.0.saturating_sub(before.0) < window.0) {
            found(event)?;
        }
        if cut.is_gone(&event) {
            last = Some((event.identity, before.map_or(event.time, |before| before.max(event.time))));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use hooklog_schemas::ids::Span;

    fn cut(from: i64, first: i64) -> Cut {
        Cut { from: NextOffset(from), first: Millis(first), windows: Stretches::always(Span(100)) }
    }

    /// Which of these events, each an identity, a record and its time, repeat one whose record is gone.
    fn found(cut: &Cut, events: &[(u8, i64, i64)]) -> Vec<i64> {
        let event = |(offset, (identity, record, time)): (i64, &(u8, i64, i64))| Emitted {
            identity: DedupKey([*identity; 16]),
            record: Offset(*record),
            partition: Partition(0),
            offset: Offset(offset),
            time: Millis(*time),
        };
        let mut found = Vec::new();
        repeats::<io::Error>(cut, (0..).zip(events).map(event).map(Ok), |event| {
            found.push(event.offset.0);
            Ok(())
        })
        .unwrap();
        found
    }

    #[test]
    fn an_event_within_the_window_of_one_whose_record_is_gone_repeats_it() {
        assert_eq!(found(&cut(10, 50), &[(1, 3, 20), (1, 12, 119), (2, 13, 60)]), [1]);
        assert_eq!(
            found(&cut(10, 50), &[(1, 3, 20), (1, 12, 120)]),
            [0; 0],
            "on the edge of the window it is a new one"
        );
    }

    #[test]
    fn two_events_of_records_that_are_both_gone_are_compared_too() {
        assert_eq!(found(&cut(10, 50), &[(1, 3, 20), (1, 3, 20), (1, 5, 40)]), [1, 2]);
    }

    #[test]
    fn where_both_records_are_left_raw_tells() {
        assert_eq!(found(&cut(10, 50), &[(1, 11, 60), (1, 12, 70)]), [0; 0]);
    }

    #[test]
    fn a_window_behind_the_first_record_that_is_left_raw_tells() {
        assert_eq!(found(&cut(10, 50), &[(1, 9, 149), (1, 12, 149)]), [1]);
        assert_eq!(found(&cut(10, 50), &[(1, 9, 149), (1, 12, 150)]), [0; 0]);
    }
}
