//! One pass after the other, and the judgement of each partition.

use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use hooklog_log::connection::Connection;
use hooklog_log::control::History;
use hooklog_log::provision::Provisioned;
use hooklog_schemas::ids::Span;
use hooklog_schemas::{Partition, RawPosition, Stamp, Stretches};
use indicatif::{ProgressBar, ProgressStyle};

use super::counts::Counts;
use super::extent::{self, Taken, Visible};
use super::lacking::Lacking;
use super::matching::{Extent, Finding, Kind, Tally, match_up};
use super::passes;
use super::runs::{Scratch, Sorter};
use crate::cluster::{Cluster, PATIENCE};

/// How much an audit may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Memory for rows, in each of the sorts.
    pub(crate) memory: usize,
    /// How long a transaction may stay open before it counts as one that nobody ends.
    pub(crate) patience: Duration,
}

impl Limits {
    pub(crate) const DEFAULT: Limits = Limits { memory: 48 << 20, patience: PATIENCE };
}

/// What is examined.
pub(crate) struct Scope {
    pub(crate) connection: Connection,
    pub(crate) topics: Provisioned,
    /// Which window was in force where, and whose events stand in `events` beside this log's.
    history: History,
    /// The window of a log of which none is recorded.
    otherwise: Span,
    /// What the processor's offsets are stamped with.
    pub(super) stamp: Stamp,
    pub(super) group: String,
    pub(super) limits: Limits,
    /// Where rows are sorted.
    pub(super) scratch: PathBuf,
}

impl Scope {
    pub(crate) fn of(cluster: &Cluster) -> Result<Scope> {
        Scope::over(cluster, cluster.topics()?)
    }

    /// With topics that were looked at already.
    pub(crate) fn over(cluster: &Cluster, topics: Provisioned) -> Result<Scope> {
        let processor = cluster.processor(topics);
        let task = processor.task();
        let scratch = cluster.settings.data_dir.clone();
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&scratch);
        made.with_context(|| format!("audit sorts in {}; name another with --data-dir", scratch.display()))?;
        Ok(Scope {
            connection: task.connection.clone(),
            history: History::read(&task.connection, &processor.topics.topics, &processor.topics.raw.id)?,
            otherwise: processor.window,
            stamp: task.stamp(&processor.fold()),
            group: task.group,
            topics: processor.topics,
            limits: Limits::DEFAULT,
            scratch,
        })
    }

    pub(crate) fn within(self, limits: Limits) -> Scope {
        Scope { limits, ..self }
    }

    /// Which window was in force where in a partition of `raw`.
    pub(super) fn windows(&self, partition: Partition) -> Stretches {
        self.history.windows.of_partition(partition, self.otherwise)
    }

    /// Logs that were `raw` before this one.
    pub(super) fn former(&self) -> &BTreeSet<String> {
        &self.history.former
    }
}

/// Counts everything; `tell` hears of each thing that is wrong, and of open transactions before anything that is missing.
pub(crate) fn examine(scope: &Scope, tell: &mut dyn FnMut(Finding)) -> Result<Counts> {
    let before = extent::committed(scope, scope.limits.patience)?;
    let visible = extent::visible(scope, scope.limits.patience)?;
    let mut tally = Tally { counts: Counts::NONE, tell };
    let bar = bar(&before, &visible);
    let events = passes::events(scope, &before, &visible, &mut tally, &bar)?;
    // What was held a moment ago is not waited for again.
    let is_held = before.iter().any(|taken| taken.is_held);
    let after = extent::committed(scope, if is_held { Duration::ZERO } else { scope.limits.patience })?;
    tell_what_is_open(&before, &visible, &after, &mut tally);
    let passes::Events { shown, of_each } = events;
    for (((partition, before), after), events) in (0..).map(Partition).zip(&before).zip(&after).zip(of_each) {
        let extent = extent_of(partition, before, after);
        let judged = passes::judged(scope, &extent, &shown, &bar, &mut tally)?;
        let mut lacking = Sorter::new(&Scratch::below(&scope.scratch), scope.limits.memory);
        let mut push = |one: Lacking| lacking.push(one.to_row());
        let strays = match_up(&extent, judged, events.sorted()?, &mut tally, &mut push)?;
        let lacking = lacking.sorted()?.map(|row| row.map(|row| Lacking::of_row(&row)));
        tally.missing(&extent, lacking, &strays, &scope.windows(partition))?;
        tally.counts.in_flight += u64::try_from(before.ends.end.0 - extent.until.0).unwrap_or(0);
    }
    bar.finish_and_clear();
    Ok(tally.counts.judged())
}

fn extent_of(partition: Partition, before: &Taken, after: &Taken) -> Extent {
    let until = before.next.min(before.ends.end);
    // Of what a transaction holds, or nothing tells, no event comes too early.
    let is_known = ![before, after].iter().any(|taken| taken.is_held || taken.is_unknown);
    let committed = if is_known { after.next.max(until) } else { after.ends.end };
    Extent { partition, from: before.ends.earliest, until, committed, end: after.ends.end }
}

const HIDES: &str = "a transaction that nobody ends hides what stands here and behind it: stop every `hooklog up` and `hooklog process`, then `hooklog offsets repair --apply`; whose it is if not ours, `kafka-transactions.sh find-hanging` tells";
const HOLDS: &str = "a transaction that nobody ends holds the processor's offset: stop every `hooklog up` and `hooklog process`, then `hooklog offsets repair --apply`";

fn tell_what_is_open(before: &[Taken], visible: &Visible, after: &[Taken], tally: &mut Tally<'_>) {
    for (partition, ends) in (0..).map(Partition).zip(&visible.ends) {
        if visible.held.contains(&partition) {
            let event = Some((partition, ends.end.offset()));
            tally.wrong(Finding { kind: Kind::Open, record: None, event, what: HIDES });
        }
    }
    for (partition, (before, after)) in (0..).map(Partition).zip(before.iter().zip(after)) {
        if before.is_held || after.is_held {
            let position = RawPosition { partition, offset: after.next.offset() };
            tally.wrong(Finding { kind: Kind::Open, record: Some((position, None)), event: None, what: HOLDS });
        }
    }
}

fn bar(raw: &[Taken], visible: &Visible) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let raw: i64 = raw.iter().map(|taken| taken.next.min(taken.ends.end).0 - taken.ends.earliest.0).sum();
    // With the markers of transactions, which are no records: the bar ends a little early.
    let events: i64 = visible.ends.iter().map(|ends| ends.end.0 - ends.earliest.0).sum();
    let template = "{bar:40.green} {pos}/{len} records read, {per_sec}, {eta} left";
    let style = ProgressStyle::with_template(template).expect("the template is the one above");
    ProgressBar::new(u64::try_from(raw + events).unwrap_or(0)).with_style(style)
}
