//! The passes over Kafka.

use std::io::IsTerminal;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use anyhow::{Context, Result};
use hooklog_log::connection::{Connection, Isolation};
use hooklog_log::ends::Ends;
use hooklog_log::provision::Provisioned;
use hooklog_log::reader::{Reader, Span as Stretch};
use hooklog_schemas::ids::Span;
use hooklog_schemas::{Millis, NextOffset, Offset, Partition, RawPosition, Stamp};
use indicatif::{ProgressBar, ProgressStyle};
use rdkafka::message::{BorrowedMessage, Message};

use super::conflicts::Conflicts;
use super::counts::Counts;
use super::extent;
use super::matching::{Event, Extent, Finding, Judged, Kind, Tally, match_up};
use super::print::{self, Named};
use super::rows::{EVENT, JUDGED, RAW, Unjudged};
use super::runs::{Sorted, Sorter};
use super::window::Window;
use crate::cluster::Cluster;

/// Memory for rows, in each of the three sorts.
const MEMORY: usize = 48 << 20;

/// What is examined.
pub(crate) struct Subject {
    pub(crate) connection: Connection,
    pub(crate) topics: Provisioned,
    pub(crate) window: Span,
    /// What the processor's offsets are stamped with.
    pub(super) stamp: Stamp,
    pub(super) group: String,
    /// Where rows are sorted.
    scratch: PathBuf,
}

impl Subject {
    pub(crate) fn of(cluster: &Cluster) -> Result<Subject> {
        Subject::over(cluster, cluster.topics()?)
    }

    /// With topics that were looked at already.
    pub(crate) fn over(cluster: &Cluster, topics: Provisioned) -> Result<Subject> {
        let processor = cluster.processor(topics);
        let task = processor.task();
        let scratch = cluster.settings.data_dir.clone();
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&scratch);
        made.with_context(|| format!("audit sorts in {}; name another with --data-dir", scratch.display()))?;
        Ok(Subject {
            connection: task.connection.clone(),
            stamp: task.stamp(&processor.fold()),
            group: task.group,
            topics: processor.topics,
            window: processor.window,
            scratch,
        })
    }
}

/// Counts everything; `tell` hears of each thing that is wrong.
pub(crate) fn examine(subject: &Subject, tell: &mut dyn FnMut(Finding)) -> Result<Counts> {
    let before = extent::committed(subject)?;
    let visible = extent::visible(subject)?;
    let mut tally = Tally { counts: Counts::NONE, tell };
    let bar = bar(before.iter().map(|(next, ends)| next.0.min(ends.end.0) - ends.earliest.0).sum(), &visible);
    let events = events(subject, &visible, &mut tally, &bar)?;
    let after = extent::committed(subject)?;
    for (((partition, (until, ends)), (committed, later)), events) in
        (0..).map(Partition).zip(before).zip(after).zip(events)
    {
        let until = until.min(ends.end);
        let extent = Extent { partition, from: ends.earliest, until, committed: committed.max(until), end: later.end };
        let judged = judged(subject, &extent, &bar, &mut tally)?.map(|row| row.map(|row| Judged::of_row(&row)));
        let events = events.sorted()?.map(|row| row.map(|row| Event::of_row(&row)));
        match_up(&extent, judged, events, &mut tally)?;
        tally.counts.in_flight += u64::try_from(ends.end.0 - until.0).unwrap_or(0);
    }
    bar.finish_and_clear();
    Ok(tally.counts.judged())
}

/// All visible events, by the partition of `raw` that they name. One that names none is told of at once.
fn events(subject: &Subject, visible: &[Ends], tally: &mut Tally<'_>, bar: &ProgressBar) -> Result<Vec<Sorter<EVENT>>> {
    let of_each = subject.topics.raw.partitions as usize;
    let mut sorters: Vec<_> = (0..of_each).map(|_| Sorter::new(&subject.scratch, MEMORY / of_each)).collect();
    for (partition, ends) in (0..).map(Partition).zip(visible) {
        let mut order = vec![Offset(-1); of_each];
        let topic = subject.topics.events.name.clone();
        let span = Stretch { topic, partition, from: ends.earliest, to: ends.end };
        let mut reader = Reader::open(&subject.connection, Isolation::Committed, span)?;
        while let Some(message) = reader.next()? {
            bar.inc(1);
            match event(&message, &subject.topics.raw.id.0, &mut order) {
                Ok((of, event)) => sorters[of].push(event.to_row())?,
                Err(what) => foreign(&message, what, tally),
            }
        }
    }
    Ok(sorters)
}

fn foreign(message: &BorrowedMessage<'_>, what: &'static str, tally: &mut Tally<'_>) {
    tally.counts.events += 1;
    let event = Some((Partition(message.partition()), Offset(message.offset())));
    tally.wrong(Finding { kind: Kind::Foreign, record: None, event, what });
}

/// An event and the partition of `raw` that it names. `order` has the latest record of each that was met so far in this
/// partition of `events`; what a repair wrote stands out of order rightly.
fn event(message: &BorrowedMessage<'_>, log: &str, order: &mut [Offset]) -> Result<(usize, Event), &'static str> {
    let named = Named::of(message);
    let position = named.position(log)?;
    let of = usize::try_from(position.partition.0).ok().filter(|of| *of < order.len());
    let of = of.ok_or("it names a partition that raw does not have")?;
    let out_of_order = !named.repaired && position.offset < order[of];
    if !named.repaired {
        order[of] = order[of].max(position.offset);
    }
    let (partition, offset) = (Partition(message.partition()), Offset(message.offset()));
    let print = print::found(message, &named);
    Ok((of, Event { record: position.offset, partition, offset, out_of_order, print }))
}

/// The records of one partition of `raw` with the window's verdict on each, by offset.
fn judged(subject: &Subject, extent: &Extent, bar: &ProgressBar, tally: &mut Tally<'_>) -> Result<Sorted<JUDGED>> {
    let (first, rows) = by_identity(subject, extent, bar)?;
    let mut window = Window::of(subject.window);
    if let Some(first) = first.filter(|_| extent.from > NextOffset::ZERO) {
        window = window.cut_at(first);
    }
    let mut conflicts = Conflicts::default();
    let mut sorter = Sorter::<JUDGED>::new(&subject.scratch, MEMORY);
    for row in rows {
        let Unjudged { identity, offset, time, print, content } = Unjudged::of_row(&row?);
        let verdict = window.judge(identity, offset, time);
        if let Some(first) = conflicts.judge(verdict, content) {
            conflict(extent, offset, first, tally);
        }
        sorter.push(Judged { offset, verdict, time, print }.to_row())?;
    }
    Ok(sorter.sorted()?)
}

fn conflict(extent: &Extent, offset: Offset, first: Offset, tally: &mut Tally<'_>) {
    let record = Some((RawPosition { partition: extent.partition, offset }, None));
    let what = "it says something else than the first record of its id";
    tally.wrong(Finding { kind: Kind::Conflict { first }, record, event: None, what });
}

/// The time of the first record, and all of them by identity.
fn by_identity(subject: &Subject, extent: &Extent, bar: &ProgressBar) -> Result<(Option<Millis>, Sorted<RAW>)> {
    let topic = subject.topics.raw.name.clone();
    let span = Stretch { topic, partition: extent.partition, from: extent.from, to: extent.until };
    let mut reader = Reader::open(&subject.connection, Isolation::Uncommitted, span)?;
    let mut sorter = Sorter::<RAW>::new(&subject.scratch, MEMORY);
    let (mut latest, mut first) = (Millis::MIN, None);
    while let Some(message) = reader.next()? {
        bar.inc(1);
        latest = latest.max(message.timestamp().to_millis().map_or(Millis::MIN, Millis));
        first.get_or_insert(latest);
        let (identity, print, content) = print::expected(&message, latest, subject.topics.events.partitions);
        sorter.push(Unjudged { identity, offset: Offset(message.offset()), time: latest, print, content }.to_row())?;
    }
    Ok((first, sorter.sorted()?))
}

fn bar(raw: i64, events: &[Ends]) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    // With the markers of transactions, which are no records: the bar ends a little early.
    let events: i64 = events.iter().map(|ends| ends.end.0 - ends.earliest.0).sum();
    let template = "{bar:40.green} {pos}/{len} records read, {per_sec}, {eta} left";
    let style = ProgressStyle::with_template(template).expect("the template is the one above");
    ProgressBar::new(u64::try_from(raw + events).unwrap_or(0)).with_style(style)
}
