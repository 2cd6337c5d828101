//! Records without an event of their own: are they missing, or does their event name another record? Pure.
//!
//! The second is so where `raw` lost its end and the webhook came again. Which events are such is known only once all of a
//! partition were looked at, so what lacks an event is kept until then, on disk.

use std::collections::HashMap;
use std::io;

use hooklog_schemas::ids::Span;
use hooklog_schemas::{DedupKey, Millis, Offset, RawPosition, Stretches};

use super::matching::{Event, Extent, Finding, Kind, Tally};

/// A record that must have an event, and none names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lacking {
    pub(super) identity: DedupKey,
    pub(super) offset: Offset,
    /// T'.
    pub(super) time: Millis,
    /// It repeats a record from before the window.
    pub(super) is_expired: bool,
}

/// Events that may name a record which is not theirs: `raw` lost that one, and may have been written on. By whose they are,
/// with the time of each.
#[derive(Debug, Default)]
pub(super) struct Strays(HashMap<DedupKey, Vec<Millis>>);

impl Strays {
    pub(super) fn note(&mut self, event: &Event) {
        self.0.entry(event.identity).or_default().push(event.time);
    }

    /// Whether one of them is the event of `lacking`: of the same identity, within `window`.
    fn hold_event_of(&self, lacking: &Lacking, window: Span) -> bool {
        let is_within = |time: &Millis| lacking.time.0.abs_diff(time.0) < window.0.unsigned_abs();
        self.0.get(&lacking.identity).is_some_and(|times| times.iter().any(is_within))
    }
}

impl Tally<'_> {
    /// Of the records that lack an event, those are not missing whose event names another record: who reads events has it, and
    /// would have it twice after a repair.
    pub(super) fn missing(
        &mut self,
        extent: &Extent,
        lacking: impl Iterator<Item = io::Result<Lacking>>,
        strays: &Strays,
        windows: &Stretches,
    ) -> io::Result<()> {
        for lacking in lacking {
            let lacking = lacking?;
            if strays.hold_event_of(&lacking, windows.at(lacking.offset)) {
                self.counts.unjudged += 1;
                continue;
            }
            self.counts.unique += 1;
            self.counts.expired_repeats += u64::from(lacking.is_expired);
            let position = RawPosition { partition: extent.partition, offset: lacking.offset };
            let record = Some((position, Some(lacking.time)));
            self.wrong(Finding { kind: Kind::Missing, record, event: None, what: "it has no event" });
        }
        Ok(())
    }
}
