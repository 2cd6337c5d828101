//! What has an event and what has none. Pure: the judged records of one partition of `raw` in order, and the events that
//! name them, in the same order.

use std::io;
use std::iter::Peekable;

use hooklog_schemas::{DedupKey, Millis, NextOffset, Offset, Partition, RawPosition};

use super::counts::Counts;
use super::fingerprint::Fingerprint;
use super::lacking::{Lacking, Strays};
use super::window::Verdict;

/// A record of `raw` and what the window says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Judged {
    pub(super) identity: DedupKey,
    pub(super) offset: Offset,
    pub(super) verdict: Verdict,
    /// T'.
    pub(super) time: Millis,
    /// Its event may be there and not be seen: deleted with the beginning of its partition of `events`, or behind a
    /// transaction that nobody ends.
    pub(super) hidden: bool,
    /// What its event has to be like.
    pub(super) fingerprint: Fingerprint,
}

/// An event that names a record of this partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Event {
    /// The record that it names.
    pub(super) record: Offset,
    /// Where the event itself stands in `events`.
    pub(super) partition: Partition,
    pub(super) offset: Offset,
    /// It stands behind an event of a later record.
    pub(super) out_of_order: bool,
    /// It repeats an event whose record `raw` has lost.
    pub(super) again: bool,
    /// Whose event it is, as it says itself, and its own time.
    pub(super) identity: DedupKey,
    pub(super) time: Millis,
    pub(super) fingerprint: Fingerprint,
}

/// Which records of one partition of `raw` are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) partition: Partition,
    /// The first record that is left.
    pub(super) from: NextOffset,
    /// N before `events` was read: all before it must be there.
    pub(super) until: NextOffset,
    /// N after `events` was read: nothing at or behind it may be there. Where a transaction that nobody ends holds N, that
    /// cannot be said of any record.
    pub(super) committed: NextOffset,
    /// The end of the partition after `events` was read.
    pub(super) end: NextOffset,
}

/// What is wrong, in a word of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Missing,
    Doubled,
    Foreign,
    Altered,
    Torn,
    Open,
    /// No damage: a record that says something else than the first one of its identity.
    Conflict {
        first: Offset,
    },
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) kind: Kind,
    /// The record that it is about, where there is one, and its T', where it was judged.
    pub(crate) record: Option<(RawPosition, Option<Millis>)>,
    /// The event that it is about, where there is one.
    pub(crate) event: Option<(Partition, Offset)>,
    pub(crate) what: &'static str,
}

/// Counts, and tells what is wrong.
pub(super) struct Tally<'t> {
    pub(super) counts: Counts,
    pub(super) tell: &'t mut dyn FnMut(Finding),
}

impl Tally<'_> {
    pub(super) fn wrong(&mut self, finding: Finding) {
        let counts = &mut self.counts;
        *match finding.kind {
            Kind::Missing => &mut counts.missing,
            Kind::Doubled => &mut counts.doubled,
            Kind::Foreign => &mut counts.foreign,
            Kind::Altered => &mut counts.altered,
            Kind::Torn => &mut counts.torn,
            Kind::Open => &mut counts.open,
            Kind::Conflict { .. } => &mut counts.conflicts,
        } += 1;
        (self.tell)(finding);
    }

    fn about(&mut self, extent: &Extent, kind: Kind, event: &Event, what: &'static str) {
        let position = RawPosition { partition: extent.partition, offset: event.record };
        let event = Some((event.partition, event.offset));
        self.wrong(Finding { kind, record: Some((position, None)), event, what });
    }
}

/// Goes through one partition of `raw`. `judged` is sorted by offset and ends before [`Extent::until`]; `events` is sorted by
/// the record that each names. Hands over which records are `lacking` an event, for [`Tally::missing`], and says which events
/// name a record that is not theirs.
pub(super) fn match_up(
    extent: &Extent,
    judged: impl Iterator<Item = io::Result<Judged>>,
    events: impl Iterator<Item = io::Result<Event>>,
    tally: &mut Tally<'_>,
    lacking: &mut dyn FnMut(Lacking) -> io::Result<()>,
) -> io::Result<Strays> {
    let (mut events, mut strays) = (events.peekable(), Strays::default());
    let mut emitted = Emitted::after(extent.from);
    for record in judged {
        let record = record?;
        while let Some(event) = next_if(&mut events, |named| named < record.offset)? {
            unmatched(extent, &event, tally, &mut strays);
        }
        tally.counts.raw += 1;
        match record.verdict {
            Verdict::Repeat { of } => repeat(extent, &record, emitted.contains(of), &mut events, (tally, &mut strays))?,
            Verdict::First | Verdict::Expired | Verdict::Unsure => {
                match unique(extent, &record, &mut events, tally, &mut strays)? {
                    Own::Lacking => lacking(record.lacking())?,
                    Own::Unjudged => {}
                    Own::There => emitted.insert(record.offset),
                }
            }
        }
    }
    while let Some(event) = events.next().transpose()? {
        unmatched(extent, &event, tally, &mut strays);
    }
    Ok(strays)
}

/// The event of a record that must have one.
enum Own {
    /// Or it may be, and cannot be seen.
    There,
    /// Nothing tells whether it must be.
    Unjudged,
    Lacking,
}

impl Judged {
    fn lacking(&self) -> Lacking {
        let is_expired = self.verdict == Verdict::Expired;
        Lacking { identity: self.identity, offset: self.offset, time: self.time, is_expired }
    }
}

/// Why an event is one too many though `raw` does not show it.
const AGAIN: &str = "it repeats an event within the window whose record raw has lost";

const ANOTHER: &str = "it is another event than the record that it names";

type Events<I> = Peekable<I>;

fn next_if<I: Iterator<Item = io::Result<Event>>>(
    events: &mut Events<I>,
    wanted: impl Fn(Offset) -> bool,
) -> io::Result<Option<Event>> {
    events.next_if(|event| event.as_ref().map_or(true, |event| wanted(event.record))).transpose()
}

/// A record that must have one event, unless it is unsure.
fn unique<I: Iterator<Item = io::Result<Event>>>(
    extent: &Extent,
    record: &Judged,
    events: &mut Events<I>,
    tally: &mut Tally<'_>,
    strays: &mut Strays,
) -> io::Result<Own> {
    let (mut has_event, mut is_repeat) = (false, false);
    while let Some(event) = next_if(events, |named| named == record.offset)? {
        tally.counts.events += 1;
        if event.fingerprint.is_another(&record.fingerprint) {
            stray(extent, &event, ANOTHER, tally, strays);
            continue;
        }
        if has_event {
            tally.about(extent, Kind::Doubled, &event, "its record has an event already");
        } else if event.again && record.verdict == Verdict::Unsure {
            is_repeat = true;
            tally.about(extent, Kind::Doubled, &event, AGAIN);
        } else if event.out_of_order {
            tally.about(extent, Kind::Torn, &event, "it stands behind an event of a later record of its partition");
        }
        if let Some(what) = event.fingerprint.difference(&record.fingerprint) {
            tally.about(extent, Kind::Altered, &event, what);
        }
        has_event = true;
    }
    if !has_event && (record.hidden || record.verdict == Verdict::Unsure) {
        tally.counts.unjudged += 1;
        return Ok(if record.hidden { Own::There } else { Own::Unjudged });
    }
    if !has_event {
        return Ok(Own::Lacking);
    }
    tally.counts.unique += u64::from(!is_repeat);
    tally.counts.expired_repeats += u64::from(record.verdict == Verdict::Expired);
    Ok(Own::There)
}

/// A record that must have no event of its own.
fn repeat<I: Iterator<Item = io::Result<Event>>>(
    extent: &Extent,
    record: &Judged,
    first_has_event: bool,
    events: &mut Events<I>,
    (tally, strays): (&mut Tally<'_>, &mut Strays),
) -> io::Result<()> {
    while let Some(event) = next_if(events, |named| named == record.offset)? {
        tally.counts.events += 1;
        if event.fingerprint.is_another(&record.fingerprint) {
            stray(extent, &event, ANOTHER, tally, strays);
            continue;
        }
        match first_has_event {
            true => tally.about(extent, Kind::Doubled, &event, "its record repeats one that has its event"),
            false => tally.about(extent, Kind::Foreign, &event, "its record repeats another, which has no event"),
        }
    }
    Ok(())
}

/// An event whose record was not judged.
fn unmatched(extent: &Extent, event: &Event, tally: &mut Tally<'_>, strays: &mut Strays) {
    let named = event.record;
    if named < extent.from.offset() {
        match event.again {
            true => {
                tally.counts.events += 1;
                tally.about(extent, Kind::Doubled, event, AGAIN);
            }
            false => tally.counts.unjudged += 1,
        }
        return;
    }
    // The record was taken in after N was looked at: the next audit judges it.
    // Or `raw` lost the one that it names, and grows beyond that place only now.
    if (extent.until.offset()..extent.committed.offset()).contains(&named) {
        strays.note(event);
        return;
    }
    tally.counts.events += 1;
    if named >= extent.end.offset() {
        stray(extent, event, "it names an offset beyond the end of raw", tally, strays);
    } else if named >= extent.committed.offset() {
        tally.about(extent, Kind::Torn, event, "it is visible, and its offset is not committed");
        strays.note(event);
    } else {
        stray(extent, event, "it names an offset at which raw has no record", tally, strays);
    }
}

/// An event that names a record which is not its own.
fn stray(extent: &Extent, event: &Event, what: &'static str, tally: &mut Tally<'_>, strays: &mut Strays) {
    tally.about(extent, Kind::Foreign, event, what);
    strays.note(event);
}

/// Which records have their event: a bit each.
struct Emitted {
    first: NextOffset,
    bits: Vec<u64>,
}

impl Emitted {
    fn after(first: NextOffset) -> Emitted {
        Emitted { first, bits: Vec::new() }
    }

    fn place(&self, offset: Offset) -> (usize, u64) {
        let n = usize::try_from(offset.0 - self.first.0).expect("records are judged from the first one on");
        (n / 64, 1 << (n % 64))
    }

    fn insert(&mut self, offset: Offset) {
        let (word, bit) = self.place(offset);
        if self.bits.len() <= word {
            self.bits.resize(word + 1, 0);
        }
        self.bits[word] |= bit;
    }

    fn contains(&self, offset: Offset) -> bool {
        let (word, bit) = self.place(offset);
        self.bits.get(word).is_some_and(|bits| bits & bit != 0)
    }
}
