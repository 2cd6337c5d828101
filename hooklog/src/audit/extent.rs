//! How far `raw` is judged: N first, then everything that had become visible by then.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use hooklog_log::connection::Isolation;
use hooklog_log::ends::{self, Ends};
use hooklog_log::{committed, provision::Pinned};
use hooklog_schemas::{NextOffset, Partition};
use hooklog_task::resume::{self, Facts, Trust};
use hooklog_task::transform::highest_positions;

use super::examine::Subject;
use crate::cluster::PATIENCE;

/// Between two looks at something that others are moving.
const PAUSE: Duration = Duration::from_millis(100);

pub(super) fn partitions(topic: &Pinned) -> Vec<Partition> {
    (0..topic.partitions.cast_signed()).map(Partition).collect()
}

/// N of every partition of `raw`, and the ends of it right after. Where no offset of ours is committed, N is what the
/// processor would take for it: one past the last record that has an event.
pub(super) fn committed(subject: &Subject) -> Result<Vec<(NextOffset, Ends)>> {
    let (raw, connection) = (&subject.topics.raw, &subject.connection);
    let stable = committed::stable(connection, &subject.group, &raw.name, &partitions(raw), PATIENCE)?;
    let ends = ends::all(connection, &raw.name, raw.partitions, Isolation::Uncommitted)?;
    let facts: Vec<Facts> = partitions(raw)
        .into_iter()
        .zip(&ends)
        .map(|(partition, input)| Facts {
            partition,
            applied: NextOffset::ZERO,
            committed: stable.iter().find(|committed| committed.partition == partition).cloned(),
            stamp: subject.stamp.clone(),
            input: *input,
        })
        .collect();
    let next = believed(subject, &facts)?;
    Ok(next.into_iter().zip(ends).collect())
}

fn believed(subject: &Subject, facts: &[Facts]) -> Result<Vec<NextOffset>> {
    let unknown = |facts: &&Facts| resume::trust(facts) == Trust::Unknown;
    let unknown: BTreeSet<Partition> = facts.iter().filter(unknown).map(|facts| facts.partition).collect();
    let outputs = match unknown.is_empty() {
        true => hooklog_task::transform::Outputs::default(),
        false => highest_positions(&subject.connection, &subject.topics.events, &subject.topics.raw.id.0, &unknown)?,
    };
    let next = |facts: &Facts| match resume::trust(facts) {
        Trust::Stamped(next) => next,
        Trust::Unknown => resume::rebuilt(facts, outputs.highest.get(&facts.partition).copied()),
    };
    Ok(facts.iter().map(next).collect())
}

/// The ends of `events` for a reader that sees what is committed, once everything is decided that was written when this was
/// called: a commit becomes visible in one partition after the other, and in the group's offsets perhaps first.
pub(super) fn visible(subject: &Subject) -> Result<Vec<Ends>> {
    let events = &subject.topics.events;
    let ends = |isolation| ends::all(&subject.connection, &events.name, events.partitions, isolation);
    let written = ends(Isolation::Uncommitted)?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let decided = ends(Isolation::Committed)?;
        if decided.iter().zip(&written).all(|(decided, written)| decided.end >= written.end) {
            return Ok(decided);
        }
        if Instant::now() >= deadline {
            bail!(
                "a transaction on {} stays open for more than {} s; if nothing writes there, `kafka-transactions.sh find-hanging` tells whose it is",
                events.name,
                PATIENCE.as_secs()
            );
        }
        std::thread::sleep(PAUSE);
    }
}

/// Waits until nothing is in flight. True where at least all that was in `raw` at the beginning was taken in by then.
pub(super) fn wait(subject: &Subject, timeout: Duration) -> Result<bool> {
    let deadline = Instant::now() + timeout;
    let mut wanted: Option<Vec<NextOffset>> = None;
    loop {
        let now = committed(subject)?;
        let wanted = wanted.get_or_insert_with(|| now.iter().map(|(_, ends)| ends.end).collect());
        if now.iter().all(|(next, ends)| *next >= ends.end) {
            return Ok(true);
        }
        if Instant::now() >= deadline {
            let done = now.iter().zip(wanted).all(|((next, _), wanted)| next >= wanted);
            if !done {
                tracing::warn!("records are still in flight after {} s; does a processor run?", timeout.as_secs());
            }
            return Ok(done);
        }
        std::thread::sleep(PAUSE);
    }
}
