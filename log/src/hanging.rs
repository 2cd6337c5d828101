//! Hanging transactions: ones that the coordinator calls complete and that are open in a partition all the same.
//!
//! Kafka 4.3's coordinator skips the end markers of partitions that have no leader at that moment (KAFKA-20734). What the
//! transaction wrote there stays open until the same producer's next transaction ends it, with *its* outcome: a commit then
//! doubles what had been aborted, an abort takes back what had been committed. So no producer may commit before it is sure
//! that nothing of its own hangs; where it is not, it aborts one transaction that touches every place where something could.
//! <https://issues.apache.org/jira/browse/KAFKA-20734>

use std::time::{Duration, Instant};

use hooklog_schemas::{Millis, NextOffset, Partition};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::OwnedHeaders;

use crate::committed::{self, Committed, listed};
use crate::connection::{Connection, Isolation};
use crate::error::Error;
use crate::native::{Class, Failure};
use crate::producer::{Outgoing, Transactional};
use crate::provision::Pinned;
use crate::watermarks::{self, Watermarks};

const PAUSE: Duration = Duration::from_millis(50);
/// How long the group's offsets may take to be read while nothing hangs.
const OFFSETS: Duration = Duration::from_secs(2);

/// Where the transactions of one task write.
#[derive(Clone, Copy, Debug)]
pub struct Places<'a> {
    /// The topic of its outputs.
    pub output: &'a Pinned,
    /// The topic whose offsets it commits.
    pub input: &'a Pinned,
    /// The group for which it commits them.
    pub group: &'a str,
}

/// A place that an open transaction holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Open {
    /// A partition of the output topic, from this offset on.
    Output(Partition, NextOffset),
    /// The group's committed offsets.
    Offsets,
}

/// Waits until everything that was written to `places` when this was called is committed or aborted, and names what is
/// still open after `patience`. `is_wanted` ends the wait early.
///
/// # Errors
/// [`Error::Unreachable`] where the cluster does not answer.
pub fn open_after(
    connection: &Connection,
    places: Places<'_>,
    patience: Duration,
    is_wanted: impl Fn() -> bool,
) -> Result<Vec<Open>, Error> {
    let all = |isolation| watermarks::all(connection, &places.output.name, places.output.partitions, isolation);
    let (written, deadline) = (all(Isolation::Uncommitted)?, Instant::now() + patience);
    let mut open = loop {
        let open = undecided(&written, &all(Isolation::Committed)?);
        if open.is_empty() || Instant::now() >= deadline || !is_wanted() {
            break open;
        }
        std::thread::sleep(PAUSE);
    };
    let inputs: Vec<Partition> = (0..places.input.partitions.cast_signed()).map(Partition).collect();
    let patience = patience.max(OFFSETS);
    if !committed::are_stable(connection, places.group, &places.input.name, &inputs, patience)? {
        open.push(Open::Offsets);
    }
    Ok(open)
}

/// The partitions in which something of what was `written` is not decided, by the ends that a committed reader sees. Pure.
pub fn undecided(written: &[Watermarks], decided: &[Watermarks]) -> Vec<Open> {
    let pairs = (0..).map(Partition).zip(written.iter().zip(decided));
    pairs
        .filter(|(_, (written, decided))| decided.end < written.end)
        .map(|(p, (_, d))| Open::Output(p, d.end))
        .collect()
}

/// Aborts a transaction of `producer` that covers every one of `places`: whatever of this producer hangs there ends with it,
/// as aborted. No reader of committed records sees anything of it.
///
/// # Errors
/// [`Failure`]: nothing of it is committed; the producer's next owner may try again.
pub fn abort_everywhere(connection: &Connection, producer: &Transactional, places: Places<'_>) -> Result<(), Failure> {
    producer.begin()?;
    for partition in (0..places.output.partitions.cast_signed()).map(Partition) {
        producer.send(nothing(&places.output.name, partition))?;
    }
    producer.flush()?;
    let offsets = (0..places.input.partitions.cast_signed()).map(Partition);
    // Aborted with the rest, so what they say does not matter; without a stamp nobody would believe them.
    let offset = |partition| Committed { partition, next: NextOffset::ZERO, metadata: String::new() };
    let offsets: Vec<_> = offsets.map(offset).collect();
    let offsets = listed(&places.input.name, &offsets).map_err(|error| failed(&error))?;
    let nobody = nobody(connection, places.group).map_err(|error| failed(&error))?;
    let group = nobody.group_metadata().ok_or_else(|| failed(&"the client library tells no group"))?;
    producer.send_offsets(&offsets, &group)?;
    producer.abort()
}

fn nothing(topic: &str, partition: Partition) -> Outgoing<'_> {
    Outgoing { topic, partition, key: b"", value: b"", time: Millis(0), headers: OwnedHeaders::new() }
}

/// A client that knows the group and is no member of it: a transaction may name its offsets all the same.
pub fn nobody(connection: &Connection, group: &str) -> Result<BaseConsumer, Error> {
    let mut config = connection.reader_config(Isolation::Committed);
    config.set("group.id", group).create().map_err(Error::Client)
}

fn failed(why: &dyn std::fmt::Display) -> Failure {
    Failure { class: Class::Abortable, code: RDKafkaErrorCode::Fail, text: why.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_is_open_from_where_a_committed_reader_is_held_up() {
        let ends = |all: &[i64]| -> Vec<Watermarks> {
            all.iter().map(|end| Watermarks { earliest: NextOffset::ZERO, end: NextOffset(*end) }).collect()
        };
        assert_eq!(undecided(&ends(&[5, 9, 0]), &ends(&[5, 7, 0])), [Open::Output(Partition(1), NextOffset(7))]);
        assert_eq!(undecided(&ends(&[5, 9]), &ends(&[6, 12])), [], "what was written later does not count");
    }
}
