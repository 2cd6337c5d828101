//! `events` as a plain consumer sees it: librdkafka, read committed, from where it was to the end. It shares nothing with the
//! pipeline.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::exact::Seen;
use crate::load::Events;

const ANSWER: Duration = Duration::from_secs(30);
const SOON: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(200);
/// A partition that has more to give and gives nothing for so long cannot be read.
const SILENCE: Duration = Duration::from_secs(60);

/// Reads on at each look.
#[derive(Debug)]
pub(crate) struct Follower {
    events: Events,
    next: BTreeMap<i32, i64>,
    seen: Seen,
}

/// A partition whose end readers of committed records cannot reach: a transaction is open there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Where.
    pub partition: i32,
    /// The last stable offset.
    pub stable: i64,
    /// Where the partition ends.
    pub end: i64,
}

impl Follower {
    pub(crate) fn new(events: Events) -> Self {
        Self { events, next: BTreeMap::new(), seen: Seen::default() }
    }

    pub(crate) fn seen(&self) -> &Seen {
        &self.seen
    }

    /// Reads to the ends, where `stable_ends` has found that nothing holds them back.
    pub(crate) fn read_on(&mut self, brokers: &str, topic: &str, ends: &BTreeMap<i32, i64>) -> Result<()> {
        let consumer = consumer(brokers, "read_committed")?;
        let mut list = TopicPartitionList::new();
        let mut waiting = Vec::new();
        for (partition, end) in ends {
            let next = *self.next.get(partition).unwrap_or(&0);
            if next < *end {
                list.add_partition_offset(topic, *partition, Offset::Offset(next))?;
                waiting.push(*partition);
            }
        }
        consumer.assign(&list)?;
        let mut last = Instant::now();
        while !waiting.is_empty() {
            match consumer.poll(POLL) {
                Some(Ok(message)) => {
                    self.note(message.payload().unwrap_or_default());
                    last = Instant::now();
                }
                // One broker that is at rest: what it calls the end of the partition is the end that was asked for.
                Some(Err(KafkaError::PartitionEOF(partition))) => waiting.retain(|other| *other != partition),
                _ if last.elapsed() > SILENCE => bail!("{topic} cannot be read to the ends of {waiting:?}"),
                _ => {}
            }
        }
        self.next = ends.clone();
        Ok(())
    }

    fn note(&mut self, body: &[u8]) {
        let json: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
        let id = json["id"].as_str().unwrap_or("a body without an id");
        match self.events.number(id) {
            Some(number) => self.seen.note(number),
            None => self.seen.note_stranger(id.to_owned()),
        }
    }
}

/// Where each partition of a topic ends, once the last stable offset is there, too.
///
/// # Errors
/// The broker does not answer.
pub fn stable_ends(brokers: &str, topic: &str, within: Duration) -> Result<Result<BTreeMap<i32, i64>, Held>> {
    let (all, committed) = (consumer(brokers, "read_uncommitted")?, consumer(brokers, "read_committed")?);
    let metadata = all.fetch_metadata(Some(topic), ANSWER).context("the broker does not answer")?;
    let partitions = metadata.topics().first().map_or(0, |topic| topic.partitions().len());
    let deadline = Instant::now() + within;
    let mut ends = BTreeMap::new();
    for partition in 0..i32::try_from(partitions)? {
        loop {
            let (_, end) = all.fetch_watermarks(topic, partition, ANSWER)?;
            let (_, stable) = committed.fetch_watermarks(topic, partition, ANSWER)?;
            match () {
                () if stable >= end => {
                    ends.insert(partition, end);
                    break;
                }
                () if Instant::now() >= deadline => return Ok(Err(Held { partition, stable, end })),
                () => thread::sleep(POLL),
            }
        }
    }
    Ok(Ok(ends))
}

/// What `group` has committed of a partition; `None` where it is not known now, as while a transaction holds it back.
pub(crate) fn committed(brokers: &str, group: &str, topic: &str, partition: i32) -> Option<i64> {
    let mut list = TopicPartitionList::new();
    list.add_partition(topic, partition);
    let consumer = member(brokers, "read_committed", group).ok()?;
    let committed = consumer.committed_offsets(list, SOON).ok()?;
    match committed.elements().first()?.offset() {
        Offset::Offset(offset) => Some(offset),
        _ => None,
    }
}

/// A group id is needed for a consumer to exist; nothing is asked of a group.
fn consumer(brokers: &str, isolation: &str) -> Result<BaseConsumer> {
    member(brokers, isolation, "faults")
}

/// It subscribes to nothing, so it never joins, and commits nothing.
fn member(brokers: &str, isolation: &str, group: &str) -> Result<BaseConsumer> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("group.id", group).set("isolation.level", isolation);
    config.set("enable.auto.commit", "false").set("enable.partition.eof", "true").set("auto.offset.reset", "error");
    Ok(config.create()?)
}
