//! What the group gives and takes. Called inside the consumer's poll, on the worker's own thread.
//!
//! Nothing is restored here: a partition comes in paused and is brought up elsewhere. What is open is aborted before a
//! partition is given up (I6): a batch folded before a revoke must never be committed after it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use hooklog_log::provision::Pinned;
use hooklog_schemas::{NextOffset, Partition};
use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Offset, TopicPartitionList};

use super::waiting::Waiting;

/// What the callbacks have to say to the worker.
#[derive(Default)]
pub(super) struct Changes {
    /// Partitions that are ours, paused, and not brought up.
    pub(super) waiting: Waiting,
    /// Whether the group has told us our partitions since this was last looked at; there may be none.
    pub(super) has_joined: bool,
    /// Why the consumer is of no more use.
    pub(super) broken: Option<String>,
}

/// Gives up `partitions`: aborts what is open, closes their stores.
pub(super) type GiveUp = Box<dyn Fn(&[Partition]) + Send + Sync>;

pub(super) struct Assignment {
    topic: String,
    /// How many partitions are used.
    pinned: u32,
    /// Where each partition began a moment ago.
    begins: Vec<NextOffset>,
    changes: Arc<Mutex<Changes>>,
    give_up: GiveUp,
}

impl Assignment {
    pub(super) fn new(
        input: &Pinned,
        begins: Vec<NextOffset>,
        changes: Arc<Mutex<Changes>>,
        give_up: GiveUp,
    ) -> Assignment {
        Assignment { topic: input.name.clone(), pinned: input.partitions, begins, changes, give_up }
    }

    /// Any offset will do that is there: the partition is paused until it is sought to where it goes on. But it must be a number.
    /// librdkafka 2.12 asks the broker where a logical offset such as `End` is. Where the answer comes after the seek, it counts
    /// as outdated, is asked for again half a second later, and then moves the partition to its end: records are passed over
    /// without a word. A number that is not there ends the fetching, where the first fetch is quicker than the pause.
    fn anywhere(&self, partition: Partition) -> Offset {
        let begins = usize::try_from(partition.0).ok().and_then(|partition| self.begins.get(partition));
        Offset::Offset(begins.map_or(0, |begins| begins.0))
    }

    fn gain(&self, consumer: &BaseConsumer<Self>, given: &TopicPartitionList) -> rdkafka::error::KafkaResult<()> {
        let partitions = partitions(given);
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for partition in &partitions {
            list.add_partition_offset(&self.topic, partition.0, self.anywhere(*partition))?;
        }
        consumer.incremental_assign(&list)?;
        consumer.pause(&list)?;
        let (mut changes, now) = (lock(&self.changes), Instant::now());
        changes.has_joined = true;
        used(partitions, self.pinned).for_each(|partition| changes.waiting.came_in(partition, now));
        Ok(())
    }

    fn lose(&self, consumer: &BaseConsumer<Self>, taken: &TopicPartitionList) -> rdkafka::error::KafkaResult<()> {
        let partitions = partitions(taken);
        (self.give_up)(&partitions);
        lock(&self.changes).waiting.forget(&partitions);
        consumer.incremental_unassign(taken)
    }
}

pub(super) fn lock(changes: &Mutex<Changes>) -> MutexGuard<'_, Changes> {
    changes.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn partitions(list: &TopicPartitionList) -> Vec<Partition> {
    list.elements().iter().map(|element| Partition(element.partition())).collect()
}

/// The group hands out whatever the topic has. What was added to it later stays paused and unused: the count is pinned.
fn used(partitions: Vec<Partition>, pinned: u32) -> impl Iterator<Item = Partition> {
    partitions.into_iter().filter(move |partition| u32::try_from(partition.0).is_ok_and(|number| number < pinned))
}

impl ClientContext for Assignment {}

impl ConsumerContext for Assignment {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, what: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let done = match what {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => self.gain(consumer, list),
            _ => self.lose(consumer, list),
        };
        if let Err(error) = done {
            lock(&self.changes).broken = Some(error.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_beyond_the_pinned_count_are_not_used() {
        let handed_out = [0, 3, 4, 9].map(Partition).to_vec();
        assert_eq!(used(handed_out, 4).collect::<Vec<_>>(), [Partition(0), Partition(3)]);
    }
}
