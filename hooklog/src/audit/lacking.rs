//! Records without an event of their own: are they missing, or does their event name another record? Pure.
//!
//! The second is so where `raw` lost its end and the webhook came again. Which events are such is known only once all of a
//! partition were looked at, so what lacks an event is kept until then, on disk.

use std::collections::HashSet;
use std::io;

use hooklog_schemas::{Millis, Offset, RawPosition};

use super::matching::{Extent, Finding, Kind, Tally};

/// A record that must have an event, and none names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lacking {
    pub(super) offset: Offset,
    /// T'.
    pub(super) time: Millis,
    /// It repeats a record from before the window.
    pub(super) is_expired: bool,
    /// As in [`Fingerprint::id`].
    pub(super) id: u64,
}

/// The ids of events that name a record which is not theirs: `raw` lost that one, and may have been written on.
pub(super) type Strays = HashSet<u64>;

impl Tally<'_> {
    /// Of the records that `lack` an event, those that have one which names another record are not missing: who reads events has
    /// it, and would have it twice after a repair.
    pub(super) fn missing(
        &mut self,
        extent: &Extent,
        lacking: impl Iterator<Item = io::Result<Lacking>>,
        strays: &Strays,
    ) -> io::Result<()> {
        for lacking in lacking {
            let Lacking { offset, time, is_expired, id } = lacking?;
            if strays.contains(&id) {
                self.counts.unjudged += 1;
                continue;
            }
            self.counts.unique += 1;
            self.counts.expired_repeats += u64::from(is_expired);
            let record = Some((RawPosition { partition: extent.partition, offset }, Some(time)));
            self.wrong(Finding { kind: Kind::Missing, record, event: None, what: "it has no event" });
        }
        Ok(())
    }
}
