//! How far `raw` is judged: N first, then everything that had become visible by then.
//!
//! A transaction that is open is waited for. One that nobody ends is waited for in vain: what it holds is then known, and the
//! rest is judged.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use hooklog_log::committed::{self, Committed};
use hooklog_log::connection::{ASK, Isolation};
use hooklog_log::provision::Pinned;
use hooklog_log::watermarks::{self, Watermarks};
use hooklog_schemas::{NextOffset, Partition};
use hooklog_task::resume::{self, Facts, Trust};
use hooklog_task::transform::highest_positions;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::{Offset as At, TopicPartitionList};

use super::examine::Scope;

/// Between two looks at something that others are moving.
const PAUSE: Duration = Duration::from_millis(100);
/// How long one partition's offset is asked for, once those of all were asked for in vain.
const BRIEF: Duration = Duration::from_secs(3);
/// How many of them are asked for at once.
const AT_ONCE: usize = 16;

/// How far one partition of `raw` is taken in.
pub(super) struct Taken {
    /// N; of an offset that a transaction holds, the one before it.
    pub(super) next: NextOffset,
    /// The ends of the partition, right after.
    pub(super) ends: Watermarks,
    /// A transaction that nobody ends holds the offset.
    pub(super) is_held: bool,
    /// Nothing says what N is: no record can be judged.
    pub(super) is_unknown: bool,
}

/// What of `events` a reader of committed records can see.
pub(super) struct Visible {
    pub(super) ends: Vec<Watermarks>,
    /// The partitions whose end a transaction hides which nobody ends.
    pub(super) held: BTreeSet<Partition>,
}

pub(super) fn partitions(topic: &Pinned) -> Vec<Partition> {
    (0..topic.partitions.cast_signed()).map(Partition).collect()
}

/// N of every partition of `raw`, and the ends of it right after. Where no offset of ours is committed, N is what the
/// processor would take for it: one past the last record that has an event.
pub(super) fn committed(subject: &Scope, patience: Duration) -> Result<Vec<Taken>> {
    let (raw, connection) = (&subject.topics.raw, &subject.connection);
    let offsets = offsets(subject, patience)?;
    let ends = watermarks::all(connection, &raw.name, raw.partitions, Isolation::Uncommitted)?;
    let facts: Vec<Facts> = partitions(raw)
        .into_iter()
        .zip(&ends)
        .map(|(partition, input)| Facts {
            partition,
            applied: NextOffset::ZERO,
            committed: offsets.committed.get(&partition).cloned(),
            stamp: subject.stamp.clone(),
            input: *input,
        })
        .collect();
    let taken = |((partition, ends), next): ((Partition, Watermarks), Option<NextOffset>)| Taken {
        next: next.unwrap_or(ends.earliest),
        ends,
        is_held: offsets.held.contains(&partition),
        is_unknown: next.is_none(),
    };
    let next = believed(subject, &facts)?;
    Ok(partitions(raw).into_iter().zip(ends).zip(next).map(taken).collect())
}

/// N of each partition; of one that only `events` could tell, none where a transaction hides their end.
fn believed(subject: &Scope, facts: &[Facts]) -> Result<Vec<Option<NextOffset>>> {
    let unknown = |facts: &&Facts| resume::trust(facts) == Trust::Unknown;
    let unknown: BTreeSet<Partition> = facts.iter().filter(unknown).map(|facts| facts.partition).collect();
    let outputs = match unknown.is_empty() {
        true => Some(hooklog_task::transform::Outputs::default()),
        false => {
            match highest_positions(
                &subject.connection,
                &subject.topics.events,
                &subject.topics.raw.id.0,
                &unknown,
                &BTreeMap::new(),
            ) {
                Err(error) if visible(subject, Duration::ZERO)?.held.is_empty() => return Err(error.into()),
                outputs => outputs.ok(),
            }
        }
    };
    let next = |facts: &Facts| match resume::trust(facts) {
        Trust::Stamped(next) => Some(next),
        Trust::Unknown => {
            let outputs = outputs.as_ref()?;
            Some(resume::rebuilt(facts, outputs.latest.get(&facts.partition).map(|latest| latest.offset)))
        }
    };
    Ok(facts.iter().map(next).collect())
}

/// What the group has committed.
struct Offsets {
    committed: BTreeMap<Partition, Committed>,
    /// The partitions whose offset a transaction holds; of these the offset before it.
    held: BTreeSet<Partition>,
}

fn offsets(subject: &Scope, patience: Duration) -> Result<Offsets> {
    let all = partitions(&subject.topics.raw);
    if let Ok(stable) = stable(subject, &all, patience.max(BRIEF)) {
        return Ok(Offsets { committed: stable, held: BTreeSet::new() });
    }
    let mut offsets = Offsets { committed: BTreeMap::new(), held: BTreeSet::new() };
    for some in all.chunks(AT_ONCE) {
        for (partition, stable) in some.iter().zip(one_by_one(subject, some)) {
            match stable {
                Some(stable) => offsets.committed.extend(stable),
                None => _ = offsets.held.insert(*partition),
            }
        }
    }
    // An error of this question is one of reaching the coordinator: it waits for no transaction.
    offsets.committed.extend(before_what_holds_them(subject, &offsets.held)?);
    Ok(offsets)
}

/// The stable offset of each of `some`, if it has one; nothing where that is held.
fn one_by_one(subject: &Scope, some: &[Partition]) -> Vec<Option<BTreeMap<Partition, Committed>>> {
    thread::scope(|scope| {
        let ask = |partition: &Partition| {
            let one = [*partition];
            scope.spawn(move || stable(subject, &one, BRIEF).ok())
        };
        let asked: Vec<_> = some.iter().map(ask).collect();
        asked.into_iter().map(|answer| answer.join().unwrap_or(None)).collect()
    })
}

fn stable(
    subject: &Scope,
    partitions: &[Partition],
    patience: Duration,
) -> Result<BTreeMap<Partition, Committed>, hooklog_log::Error> {
    let (connection, raw) = (&subject.connection, &subject.topics.raw.name);
    let stable = committed::stable(connection, &subject.group, raw, partitions, patience)?;
    Ok(stable.into_iter().map(|committed| (committed.partition, committed)).collect())
}

/// What was committed before the transactions that hold these offsets.
fn before_what_holds_them(subject: &Scope, held: &BTreeSet<Partition>) -> Result<BTreeMap<Partition, Committed>> {
    if held.is_empty() {
        return Ok(BTreeMap::new());
    }
    // One that reads uncommitted records is not made to wait for stable offsets.
    let mut config = subject.connection.reader_config(Isolation::Uncommitted);
    let consumer: BaseConsumer = config.set("group.id", &subject.group).create().map_err(hooklog_log::Error::Client)?;
    let mut asked = TopicPartitionList::new();
    for partition in held {
        asked.add_partition(&subject.topics.raw.name, partition.0);
    }
    let answer = consumer.committed_offsets(asked, ASK).and_then(|answer| {
        answer.elements().iter().try_for_each(TopicPartitionListElem::error)?;
        Ok(answer)
    });
    let answer = answer.map_err(subject.connection.unreachable("for the processor's committed offsets"))?;
    let read = |element: &TopicPartitionListElem<'_>| {
        let At::Offset(next) = element.offset() else { return None };
        let (partition, metadata) = (Partition(element.partition()), element.metadata().to_owned());
        Some((partition, Committed { partition, next: NextOffset(next), metadata }))
    };
    Ok(answer.elements().iter().filter_map(read).collect())
}

/// The ends of `events` for a reader that sees what is committed, once everything is decided that was written when this was
/// called: a commit becomes visible in one partition after the other, and in the group's offsets perhaps first.
pub(super) fn visible(subject: &Scope, patience: Duration) -> Result<Visible> {
    let events = &subject.topics.events;
    let ends = |isolation| watermarks::all(&subject.connection, &events.name, events.partitions, isolation);
    let written = ends(Isolation::Uncommitted)?;
    let deadline = Instant::now() + patience;
    loop {
        let decided = ends(Isolation::Committed)?;
        let open = |(_, (decided, written)): &(i32, (&Watermarks, &Watermarks))| decided.end < written.end;
        let open = (0..).zip(decided.iter().zip(&written)).filter(open).map(|(partition, _)| Partition(partition));
        let held: BTreeSet<Partition> = open.collect();
        if held.is_empty() || Instant::now() >= deadline {
            return Ok(Visible { ends: decided, held });
        }
        thread::sleep(PAUSE);
    }
}

/// Waits until nothing is in flight. True where at least all that was in `raw` at the beginning was taken in by then.
pub(super) fn wait(subject: &Scope, timeout: Duration) -> Result<bool> {
    let deadline = Instant::now() + timeout;
    let mut wanted: Option<Vec<NextOffset>> = None;
    loop {
        let now = committed(subject, subject.limits.patience)?;
        let wanted = wanted.get_or_insert_with(|| now.iter().map(|taken| taken.ends.end).collect());
        if now.iter().all(|taken| taken.next >= taken.ends.end) {
            return Ok(true);
        }
        let is_held = now.iter().any(|taken| taken.is_held);
        if is_held || Instant::now() >= deadline {
            let done = now.iter().zip(wanted).all(|(taken, wanted)| taken.next >= *wanted);
            if is_held {
                tracing::warn!("a transaction that nobody ends holds the processor's offsets; not waiting any longer");
            } else if !done {
                tracing::warn!("records are still in flight after {} s; does a processor run?", timeout.as_secs());
            }
            return Ok(done);
        }
        thread::sleep(PAUSE);
    }
}
