//! A group's committed offsets. They are read *stable*: a transaction that is still open is waited for, never overlooked.

use std::time::{Duration, Instant};

use hooklog_schemas::{NextOffset, Partition};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::{Offset, TopicPartitionList};

use crate::connection::{ASK, AtEnds, Connection, Isolation};
use crate::error::Error;

/// Between two questions to a coordinator that refuses at once.
const PAUSE: Duration = Duration::from_millis(100);

/// What a group has committed for one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The partition.
    pub partition: Partition,
    /// Where the group resumes.
    pub next: NextOffset,
    /// The text that was committed with it; empty where there was none.
    pub metadata: String,
}

/// The stable committed offsets of `group` for those of `partitions` that have one.
///
/// A transaction that holds an offset back is waited for, up to `patience`: its owner may be a process that was killed, and
/// the broker ends such a transaction by itself after its timeout.
///
/// # Errors
/// [`Error::Unreachable`] where the group's coordinator does not answer in time.
pub fn stable(
    connection: &Connection,
    group: &str,
    topic: &str,
    partitions: &[Partition],
    patience: Duration,
) -> Result<Vec<Committed>, Error> {
    let consumer = member(connection, group, Isolation::Committed)?;
    let mut asked = TopicPartitionList::new();
    for partition in partitions {
        asked.add_partition(topic, partition.0);
    }
    let deadline = Instant::now() + patience;
    let answer = loop {
        let answer = consumer.committed_offsets(asked.clone(), ASK.min(patience)).and_then(|answer| {
            // One partition's error is no "nothing committed".
            answer.elements().iter().try_for_each(TopicPartitionListElem::error)?;
            Ok(answer)
        });
        match answer {
            Ok(answer) => break answer,
            Err(error) if Instant::now() >= deadline => {
                return Err(connection.unreachable("for committed offsets")(error));
            }
            Err(error) => {
                tracing::debug!(group, %error, "committed offsets are not stable yet; asking again");
                consumer.poll(PAUSE);
            }
        }
    };
    Ok(answer.elements().iter().filter_map(read).collect())
}

/// Whether the committed offset of each of `partitions` could be read stable within `patience`, one after the other: each may
/// be held for a moment by a transaction that is under way. Where one could not, a question without regard to transactions
/// tells that the coordinator answers at all.
///
/// # Errors
/// [`Error::Unreachable`] where the group's coordinator does not answer, or refuses.
pub fn are_stable(
    connection: &Connection,
    group: &str,
    topic: &str,
    partitions: &[Partition],
    patience: Duration,
) -> Result<bool, Error> {
    let (consumer, deadline) = (member(connection, group, Isolation::Committed)?, Instant::now() + patience);
    let held = partitions.iter().find(|partition| !is_stable(&consumer, topic, **partition, deadline));
    let Some(held) = held else { return Ok(true) };
    let anyhow = member(connection, group, Isolation::Uncommitted)?;
    let answer = anyhow.committed_offsets(one(topic, *held), ASK);
    answer.map(|_| false).map_err(connection.unreachable("for committed offsets"))
}

fn is_stable(consumer: &BaseConsumer<AtEnds>, topic: &str, partition: Partition, deadline: Instant) -> bool {
    loop {
        // At least once, however long the ones before took.
        let left = deadline.saturating_duration_since(Instant::now()).max(PAUSE);
        let answer = consumer.committed_offsets(one(topic, partition), left);
        if answer.is_ok_and(|answer| answer.elements().iter().all(|element| element.error().is_ok())) {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        consumer.poll(PAUSE);
    }
}

fn one(topic: &str, partition: Partition) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(1);
    list.add_partition(topic, partition.0);
    list
}

/// Commits `offsets` for `group`, outside of any transaction. The group must have no members.
///
/// # Errors
/// [`Error::Unreachable`] where the coordinator does not answer or the group is not empty.
pub fn overwrite(connection: &Connection, group: &str, topic: &str, offsets: &[Committed]) -> Result<(), Error> {
    let consumer = member(connection, group, Isolation::Committed)?;
    let (list, deadline) = (listed(topic, offsets)?, Instant::now() + ASK);
    loop {
        match consumer.commit(&list, CommitMode::Sync) {
            // A coordinator that was only just started, or that moves.
            Err(error) if is_passing(&error) && Instant::now() < deadline => drop(consumer.poll(PAUSE)),
            done => return done.map_err(connection.unreachable("to overwrite committed offsets")),
        }
    }
}

fn is_passing(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    let passing = [
        Code::NotCoordinator,
        Code::CoordinatorLoadInProgress,
        Code::CoordinatorNotAvailable,
        Code::WaitingForCoordinator,
    ];
    error.rdkafka_error_code().is_some_and(|code| passing.contains(&code))
}

/// `offsets` as the client library wants them.
///
/// # Errors
/// [`Error::Client`] where an offset is negative.
pub fn listed(topic: &str, offsets: &[Committed]) -> Result<TopicPartitionList, Error> {
    let mut list = TopicPartitionList::with_capacity(offsets.len());
    for committed in offsets {
        let mut element = list.add_partition(topic, committed.partition.0);
        element.set_offset(Offset::Offset(committed.next.0)).map_err(Error::Client)?;
        element.set_metadata(&committed.metadata);
    }
    Ok(list)
}

fn member(connection: &Connection, group: &str, isolation: Isolation) -> Result<BaseConsumer<AtEnds>, Error> {
    let mut config = connection.reader_config(isolation);
    config.set("group.id", group).create_with_context(AtEnds).map_err(Error::Client)
}

fn read(element: &TopicPartitionListElem<'_>) -> Option<Committed> {
    let Offset::Offset(next) = element.offset() else { return None };
    let metadata = element.metadata().to_owned();
    Some(Committed { partition: Partition(element.partition()), next: NextOffset(next), metadata })
}
