//! The figures of an audit.

use serde::Serialize;

/// What was counted; as JSON, what `audit --json` promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Counts {
    /// Records of `raw` that were judged: those before N.
    pub(crate) raw: u64,
    /// Those among them that must have an event: no repeat of another within the window.
    pub(crate) unique: u64,
    /// Events that were judged; as many as `unique` where all is well.
    pub(crate) events: u64,
    /// Unique records without their event.
    pub(crate) missing: u64,
    /// Events beyond the first of a record, or of an identity within the window.
    pub(crate) doubled: u64,
    /// Events that belong to no record of `raw`, or to a repeat whose first record has no event.
    pub(crate) foreign: u64,
    /// Events that differ from what their record says.
    pub(crate) altered: u64,
    /// Events that stand where no whole transaction can have put them: visible though their offset is not committed, or
    /// behind a later event of their partition of `raw`.
    pub(crate) torn: u64,
    /// Those of `unique` that repeat a record from before the window, rightly emitted again.
    pub(crate) expired_repeats: u64,
    /// Records of `raw` at N and after it: not taken in yet, so not judged.
    pub(crate) in_flight: u64,
    /// Partitions of `events`, and of the processor's offsets, that a transaction holds which nobody ends.
    pub(crate) open: u64,
    /// What a loss of records leaves nothing to judge by: events whose record is gone, or is of a log before this one; records
    /// without an event that may repeat one that is gone, whose event may be gone or hidden, or names another record.
    pub(crate) unjudged: u64,
    /// Records of `raw` that say something else than the first one of their identity, which is the one that counts. `events`
    /// is whole all the same.
    pub(crate) conflicts: u64,
    /// Whether `events` is what it must be.
    pub(crate) ok: bool,
}

impl Counts {
    pub(super) const NONE: Counts = Counts {
        raw: 0,
        unique: 0,
        events: 0,
        missing: 0,
        doubled: 0,
        foreign: 0,
        altered: 0,
        torn: 0,
        expired_repeats: 0,
        in_flight: 0,
        open: 0,
        unjudged: 0,
        conflicts: 0,
        ok: true,
    };

    /// Every kind of damage with its figure and what it means.
    pub(super) fn damage(&self) -> [(&'static str, u64, &'static str); 6] {
        [
            ("missing", self.missing, "records without their event; `hooklog repair` emits them"),
            ("doubled", self.doubled, "events that repeat another within the window"),
            ("foreign", self.foreign, "events that belong to no record of `raw`"),
            ("altered", self.altered, "events that differ from their record"),
            ("torn", self.torn, "events without their committed offset, or out of order"),
            ("open", self.open, "partitions that a transaction holds; `hooklog offsets repair --apply` ends it"),
        ]
    }

    /// The damage that there is, as in "2 missing, 1 torn".
    pub(crate) fn damage_in_words(&self) -> String {
        let there = self.damage().into_iter().filter(|(_, count, _)| *count > 0);
        there.map(|(name, count, _)| format!("{count} {name}")).collect::<Vec<_>>().join(", ")
    }

    /// Sets `ok` by what was counted.
    pub(super) fn judged(mut self) -> Counts {
        self.ok = self.damage().iter().all(|(_, count, _)| *count == 0) && self.events == self.unique;
        self
    }
}
