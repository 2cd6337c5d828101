//! What a contestant really wrote: read back committed, counted, and reduced to one number that order does not change.

use std::collections::HashSet;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::topic_partition_list::Offset;
use serde::Serialize;

use crate::clients;
use crate::topics;

const GROUP: &str = "hooklog-bench-verdict";
const POLL: Duration = Duration::from_millis(100);
const PAUSE: Duration = Duration::from_millis(20);

/// The contents of events. Two contestants that did the same job have equal ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub(crate) struct Written {
    pub(crate) records: u64,
    /// Sum over all records of a hash of partition, time, key, value and headers by name.
    pub(crate) fingerprint: u64,
}

impl Written {
    fn add(&mut self, record: &BorrowedMessage<'_>) {
        self.records += 1;
        self.fingerprint = self.fingerprint.wrapping_add(hash(record));
    }
}

/// Reads `topic` to its end, once nothing in it is open.
pub(crate) fn read(brokers: &str, topic: &str, within: Duration) -> Result<Written> {
    let deadline = Instant::now() + within;
    settled(brokers, topic, deadline)?;
    let consumer: BaseConsumer = clients::consumer(brokers, GROUP).set("enable.partition.eof", "true").create()?;
    assign(&consumer, topic)?;
    let mut written = Written::default();
    let mut ended = HashSet::new();
    while ended.len() < topics::PARTITIONS as usize {
        ensure!(Instant::now() < deadline, "{topic} could not be read back within {within:?}");
        match consumer.poll(POLL) {
            None => {}
            Some(Ok(record)) => written.add(&record),
            Some(Err(KafkaError::PartitionEOF(partition))) => drop(ended.insert(partition)),
            Some(Err(error)) => return Err(error).context("cannot read events back"),
        }
    }
    Ok(written)
}

/// The markers of the last transaction reach events a little after the offsets: waits until nothing is open.
fn settled(brokers: &str, topic: &str, deadline: Instant) -> Result<()> {
    let stable: BaseConsumer = clients::consumer(brokers, GROUP).create()?;
    let all: BaseConsumer = clients::observer(brokers, GROUP).create()?;
    while topics::ends(&stable, topic)? != topics::ends(&all, topic)? {
        ensure!(Instant::now() < deadline, "a transaction on {topic} stays open: its writer did not finish");
        std::thread::sleep(PAUSE);
    }
    Ok(())
}

fn assign(consumer: &BaseConsumer, topic: &str) -> Result<()> {
    let mut assignment = TopicPartitionList::new();
    for partition in 0..topics::PARTITIONS {
        assignment.add_partition_offset(topic, partition, Offset::Beginning)?;
    }
    Ok(consumer.assign(&assignment)?)
}

fn hash(record: &BorrowedMessage<'_>) -> u64 {
    let mut hasher = DefaultHasher::new();
    (record.partition(), record.timestamp().to_millis(), record.key(), record.payload()).hash(&mut hasher);
    let mut headers: Vec<(&str, Option<&[u8]>)> = record
        .headers()
        .map(|headers| headers.iter().map(|header| (header.key, header.value)).collect())
        .unwrap_or_default();
    headers.sort_unstable();
    headers.hash(&mut hasher);
    hasher.finish()
}
