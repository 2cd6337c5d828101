//! What is read of Kafka, into rows that are sorted: `events` as a whole, then `raw`, partition after partition.

use std::io;
use std::iter::Peekable;

use anyhow::Result;
use hooklog_log::connection::Isolation;
use hooklog_log::reader::{OffsetRange, Reader};
use hooklog_schemas::{Millis, NextOffset, Offset, Partition, RawPosition};
use indicatif::ProgressBar;
use rdkafka::message::{BorrowedMessage, Message};

use super::again::{self, Cut, Emitted};
use super::conflicts::Conflicts;
use super::examine::Scope;
use super::extent::{Taken, Visible};
use super::fingerprint::{self, Named, Origin};
use super::matching::{Event, Extent, Finding, Judged, Kind, Tally};
use super::rows::{EMITTED, EVENT, PLACE, Place, RAW, Unjudged};
use super::runs::{Scratch, Sorted, Sorter};
use super::shown::Shown;
use super::window::Window;

/// All of `events` that can be seen.
pub(super) struct Events {
    pub(super) shown: Shown,
    /// By the partition of `raw` that they name.
    pub(super) of_each: Vec<OfPartition>,
}

/// The events that name one partition of `raw`.
pub(super) struct OfPartition {
    events: Sorter<EVENT>,
    /// Where the beginning of that partition is gone, those that may repeat an event from there.
    cut: Option<(Cut, Sorter<EMITTED>)>,
    scratch: Scratch,
    memory: usize,
}

/// Reads all visible events. One that names no record of `raw` is told of at once.
pub(super) fn events(
    scope: &Scope,
    taken: &[Taken],
    visible: &Visible,
    tally: &mut Tally<'_>,
    bar: &ProgressBar,
) -> Result<Events> {
    let scratch = Scratch::below(&scope.scratch);
    let memory = scope.limits.memory / taken.len().max(1);
    let mut of_each = Vec::with_capacity(taken.len());
    for (partition, taken) in (0..).map(Partition).zip(taken) {
        let sorter = |cut| (cut, Sorter::new(&scratch, memory));
        let cut = cut(scope, partition, taken)?.map(sorter);
        of_each.push(OfPartition { events: Sorter::new(&scratch, memory), cut, scratch: scratch.clone(), memory });
    }
    let mut events = Events { shown: Shown::of(&visible.ends, &visible.held, taken.len()), of_each };
    for (partition, ends) in (0..).map(Partition).zip(&visible.ends) {
        let topic = scope.topics.events.name.clone();
        let span = OffsetRange { topic, partition, from: ends.earliest, to: ends.end };
        let mut reader = Reader::open(&scope.connection, Isolation::Committed, span)?;
        let mut order = vec![Offset(-1); taken.len()];
        while let Some(message) = reader.next()? {
            bar.inc(1);
            let named = Named::of(&message);
            match named.origin(&scope.topics.raw.id.0, scope.former()) {
                Origin::Record(position) => match event(&message, &named, position, &mut order) {
                    Some((of, event)) => events.take(of, event, &named)?,
                    None => foreign(&message, "it names a partition that raw does not have", tally),
                },
                Origin::Former => tally.counts.unjudged += 1,
                Origin::Nowhere(what) => foreign(&message, what, tally),
            }
        }
    }
    Ok(events)
}

impl Events {
    fn take(&mut self, of: usize, event: Event, named: &Named<'_>) -> Result<()> {
        if !named.repaired {
            self.shown.note(event.partition, of, event.record);
        }
        let into = &mut self.of_each[of];
        into.events.push(event.to_row())?;
        if let Some((cut, sorter)) = &mut into.cut {
            let Event { record, partition, offset, identity, time, .. } = event;
            let emitted = Emitted { identity, record, partition, offset, time };
            if cut.concerns(&emitted) {
                sorter.push(emitted.to_row())?;
            }
        }
        Ok(())
    }
}

impl OfPartition {
    /// In the order of the records that they name.
    pub(super) fn sorted(self) -> Result<impl Iterator<Item = io::Result<Event>>> {
        let mut places = Sorter::<PLACE>::new(&self.scratch, self.memory);
        if let Some((cut, emitted)) = self.cut {
            let emitted = emitted.sorted()?.map(|row| row.map(|row| Emitted::of_row(&row)));
            again::repeats(&cut, emitted, |event| places.push(event.place().to_row()))?;
        }
        Ok(Marked { events: self.events.sorted()?, places: places.sorted()?.peekable() })
    }
}

/// Events, of which those at `places` repeat another; both in order.
struct Marked {
    events: Sorted<EVENT>,
    places: Peekable<Sorted<PLACE>>,
}

impl Iterator for Marked {
    type Item = io::Result<Event>;

    fn next(&mut self) -> Option<Self::Item> {
        let event = self.events.next()?.and_then(|row| {
            let event = Event::of_row(&row);
            let at = |place: &io::Result<[u8; PLACE]>| {
                place.as_ref().map_or(true, |place| Place::of_row(place) == event.place())
            };
            let again = self.places.next_if(at).transpose()?.is_some();
            Ok(Event { again, ..event })
        });
        Some(event)
    }
}

/// What is left of a partition of `raw` whose beginning is gone; nothing where it is whole.
fn cut(scope: &Scope, partition: Partition, taken: &Taken) -> Result<Option<Cut>> {
    let from = taken.ends.earliest;
    if from == NextOffset::ZERO {
        return Ok(None);
    }
    let span = OffsetRange { topic: scope.topics.raw.name.clone(), partition, from, to: taken.ends.end };
    let mut reader = Reader::open(&scope.connection, Isolation::Uncommitted, span)?;
    let first = reader.next()?.and_then(|message| message.timestamp().to_millis());
    let first = first.map_or(Millis(i64::MAX), Millis);
    Ok(Some(Cut { from, first, windows: scope.windows(partition) }))
}

fn foreign(message: &BorrowedMessage<'_>, what: &'static str, tally: &mut Tally<'_>) {
    tally.counts.events += 1;
    let event = Some((Partition(message.partition()), Offset(message.offset())));
    tally.wrong(Finding { kind: Kind::Foreign, record: None, event, what });
}

/// An event and the partition of `raw` that it names, if there is one. `order` has the latest record of each that was met so far in this
/// partition of `events`; what a repair wrote stands out of order rightly.
fn event(
    message: &BorrowedMessage<'_>,
    named: &Named<'_>,
    position: RawPosition,
    order: &mut [Offset],
) -> Option<(usize, Event)> {
    let of = usize::try_from(position.partition.0).ok().filter(|of| *of < order.len())?;
    let out_of_order = !named.repaired && position.offset < order[of];
    if !named.repaired {
        order[of] = order[of].max(position.offset);
    }
    let (partition, offset) = (Partition(message.partition()), Offset(message.offset()));
    let (fingerprint, identity) = (fingerprint::found(message, named), named.identity());
    let time = message.timestamp().to_millis().map_or(Millis::MIN, Millis);
    let record = position.offset;
    Some((of, Event { record, partition, offset, out_of_order, again: false, identity, time, fingerprint }))
}

/// The records of one partition of `raw` with the window's verdict on each, by offset.
pub(super) fn judged(
    scope: &Scope,
    extent: &Extent,
    shown: &Shown,
    bar: &ProgressBar,
    tally: &mut Tally<'_>,
) -> Result<impl Iterator<Item = io::Result<Judged>> + use<>> {
    let (first, rows) = by_identity(scope, extent, shown, bar)?;
    let mut window = Window::of(scope.windows(extent.partition));
    if let Some(first) = first.filter(|_| extent.from > NextOffset::ZERO) {
        window = window.cut_at(first);
    }
    let mut conflicts = Conflicts::default();
    let mut sorter = Sorter::new(&Scratch::below(&scope.scratch), scope.limits.memory);
    for row in rows {
        let Unjudged { identity, offset, time, hidden, fingerprint, content } = Unjudged::of_row(&row?);
        let verdict = window.judge(identity, offset, time);
        if let Some(first) = conflicts.judge(verdict, content) {
            conflict(extent, offset, first, tally);
        }
        sorter.push(Judged { identity, offset, verdict, time, hidden, fingerprint }.to_row())?;
    }
    Ok(sorter.sorted()?.map(|row| row.map(|row| Judged::of_row(&row))))
}

fn conflict(extent: &Extent, offset: Offset, first: Offset, tally: &mut Tally<'_>) {
    let record = Some((RawPosition { partition: extent.partition, offset }, None));
    let what = "it says something else than the first record of its id";
    tally.wrong(Finding { kind: Kind::Conflict { first }, record, event: None, what });
}

/// The time of the first record, and all of them by identity.
fn by_identity(
    scope: &Scope,
    extent: &Extent,
    shown: &Shown,
    bar: &ProgressBar,
) -> Result<(Option<Millis>, Sorted<RAW>)> {
    let topic = scope.topics.raw.name.clone();
    let span = OffsetRange { topic, partition: extent.partition, from: extent.from, to: extent.until };
    let of = usize::try_from(extent.partition.0).expect("partitions count from 0");
    let mut reader = Reader::open(&scope.connection, Isolation::Uncommitted, span)?;
    let mut sorter = Sorter::new(&Scratch::below(&scope.scratch), scope.limits.memory);
    let (mut latest, mut first) = (Millis::MIN, None);
    while let Some(message) = reader.next()? {
        bar.inc(1);
        latest = latest.max(message.timestamp().to_millis().map_or(Millis::MIN, Millis));
        first.get_or_insert(latest);
        let (identity, partition, fingerprint, content) =
            fingerprint::expected(&message, latest, scope.topics.events.partitions);
        let offset = Offset(message.offset());
        let hidden = shown.may_hide(partition, of, offset);
        sorter.push(Unjudged { identity, offset, time: latest, hidden, fingerprint, content }.to_row())?;
    }
    Ok((first, sorter.sorted()?))
}
