//! The bare hop: produce, a transactional loop with 20 ms commits, a read_committed consumer. What `visible` is held to.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::producer::{DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::topic_partition_list::Offset;

use super::{Latency, Pace, latency};
use crate::bare::worker::{Cadence, Route, Worker};
use crate::clients;
use crate::load::{self, body};
use crate::topics::{self, Clock};

const CADENCE: Cadence = Cadence { interval: Duration::from_millis(20), records: 20_000 };
/// What was sent must be visible so long after the last was sent.
const GRACE: Duration = Duration::from_secs(10);
const GROUP: &str = "hooklog-bench-hop";

/// Measures the hop on topics of its own.
///
/// # Errors
/// When the broker fails, or an event does not come through in time.
pub(crate) fn run(brokers: &str, prefix: &str, seed: u64, pace: Pace) -> Result<Latency> {
    let route = open(brokers, prefix)?;
    let stop = AtomicBool::new(false);
    let (sent, seen) = std::thread::scope(|scope| {
        let hop = scope.spawn(|| Worker::open(&route, CADENCE, 0, 1)?.run(|_| stop.load(Ordering::Relaxed)));
        let reader = scope.spawn(|| read(&route, pace));
        let sent = send(&route, seed, pace);
        let seen = reader.join().map_err(|_| anyhow!("the reader panicked"));
        stop.store(true, Ordering::Relaxed);
        let moved = hop.join().map_err(|_| anyhow!("the loop panicked"))?;
        moved.and_then(|_| Ok((sent?, seen??)))
    })?;
    topics::delete(brokers, &[&route.raw, &route.events])?;
    judge(pace, &sent, &seen)
}

fn open(brokers: &str, prefix: &str) -> Result<Route> {
    let (raw, events) = (format!("{prefix}hop.raw"), format!("{prefix}hop.events"));
    topics::fresh(brokers, &raw, Clock::Broker)?;
    topics::fresh(brokers, &events, Clock::Producer)?;
    let log_id = topics::id(brokers, &raw)?;
    Ok(Route { brokers: brokers.to_owned(), raw, events, group: GROUP.to_owned(), log_id })
}

/// Event ids with the moments they were due.
fn send(route: &Route, seed: u64, pace: Pace) -> Result<Vec<(String, Instant)>> {
    let producer: ThreadedProducer<DefaultProducerContext> = clients::producer(&route.brokers).create()?;
    let start = Instant::now();
    let mut sent = Vec::with_capacity(pace.events() as usize);
    for number in 0..pace.events() {
        let event = body::event(seed, u64::from(number));
        let due = start + pace.due(number);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        load::send(&producer, &route.raw, &event)?;
        sent.push((event.id, due));
    }
    producer.flush(GRACE).context("the broker did not take all records")?;
    Ok(sent)
}

fn read(route: &Route, pace: Pace) -> Result<HashMap<String, Instant>> {
    let consumer = reader(route)?;
    let deadline = Instant::now() + pace.due(pace.events()) + GRACE;
    let mut seen = HashMap::new();
    while seen.len() < pace.events() as usize && Instant::now() < deadline {
        if let Some(record) = consumer.poll(Duration::from_millis(100)) {
            seen.insert(event_id(&record.context("cannot read events")?)?, Instant::now());
        }
    }
    Ok(seen)
}

fn reader(route: &Route) -> Result<BaseConsumer> {
    let consumer: BaseConsumer = clients::consumer(&route.brokers, "hooklog-bench-hop-reader").create()?;
    let mut assignment = TopicPartitionList::new();
    for partition in 0..topics::PARTITIONS {
        assignment.add_partition_offset(&route.events, partition, Offset::Beginning)?;
    }
    consumer.assign(&assignment)?;
    Ok(consumer)
}

fn event_id(record: &BorrowedMessage<'_>) -> Result<String> {
    let headers = record.headers().context("a record of events has no headers")?;
    let id = headers.iter().find(|header| header.key == "ce_id").and_then(|header| header.value);
    Ok(std::str::from_utf8(id.context("a record of events has no ce_id")?)?.to_owned())
}

fn judge(pace: Pace, sent: &[(String, Instant)], seen: &HashMap<String, Instant>) -> Result<Latency> {
    ensure!(seen.len() == sent.len(), "{} of {} events came through", seen.len(), sent.len());
    let waited = (0..)
        .zip(sent)
        .filter(|(number, _)| pace.counts(*number))
        .filter_map(|(_, (id, due))| seen.get(id).map(|seen| seen.saturating_duration_since(*due)))
        .collect();
    latency(waited).context("no event counted: give --seconds more")
}
