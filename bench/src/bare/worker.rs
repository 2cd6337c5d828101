//! One thread of the bare loop: consume, parse, produce, commit in a Kafka transaction. No dedup, no store, no group.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerGroupMetadata};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::topic_partition_list::Offset;

use super::transaction::Transactions;
use super::transform::{self, Event};
use crate::clients;
use crate::topics;

const IDLE_POLL: Duration = Duration::from_millis(20);

/// Where the loop reads and writes.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    pub(crate) brokers: String,
    pub(crate) raw: String,
    pub(crate) events: String,
    pub(crate) group: String,
    /// Names the input in every record's `hooklog_log`.
    pub(crate) log_id: String,
}

/// When a transaction is committed: so long after its first record, or at so many records.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cadence {
    pub(crate) interval: Duration,
    pub(crate) records: usize,
}

/// One worker with the partitions that are its own.
pub(crate) struct Worker {
    route: Route,
    cadence: Cadence,
    consumer: BaseConsumer,
    group: ConsumerGroupMetadata,
    transactions: Transactions,
    next: Vec<i64>,
}

impl Worker {
    /// Worker `index` of `count` owns every `count`-th partition, from its beginning.
    pub(crate) fn open(route: &Route, cadence: Cadence, index: i32, count: i32) -> Result<Self> {
        let consumer: BaseConsumer = clients::consumer(&route.brokers, &route.group).create()?;
        let own = (0..topics::PARTITIONS).filter(|partition| partition % count == index);
        let mut assignment = TopicPartitionList::new();
        for partition in own {
            assignment.add_partition_offset(&route.raw, partition, Offset::Beginning)?;
        }
        consumer.assign(&assignment)?;
        let group = consumer.group_metadata().context("the consumer has no group")?;
        let transactions = Transactions::open(&route.brokers, &format!("{}-{index}", route.group))?;
        let next = vec![0; usize::try_from(topics::PARTITIONS)?];
        Ok(Self { route: route.clone(), cadence, consumer, group, transactions, next })
    }

    /// Moves records until `done` says so of the next offsets of all partitions; returns how many.
    pub(crate) fn run(&mut self, mut done: impl FnMut(&[i64]) -> bool) -> Result<u64> {
        let mut moved = 0;
        while !done(&self.next) {
            moved += self.step()?;
        }
        Ok(moved)
    }

    fn step(&mut self) -> Result<u64> {
        let Some(first) = self.consumer.poll(IDLE_POLL) else { return Ok(0) };
        let first = first.context("cannot read raw")?;
        self.transactions.begin()?;
        let due = Instant::now() + self.cadence.interval;
        pass_on(&self.route, &self.transactions, &mut self.next, &first)?;
        let mut moved = 1;
        while moved < self.cadence.records {
            let Some(record) = self.consumer.poll(due.saturating_duration_since(Instant::now())) else { break };
            pass_on(&self.route, &self.transactions, &mut self.next, &record.context("cannot read raw")?)?;
            moved += 1;
            if Instant::now() >= due {
                break;
            }
        }
        self.transactions.commit(&self.positions()?, &self.group)?;
        Ok(moved as u64)
    }

    fn positions(&self) -> Result<TopicPartitionList> {
        let mut positions = TopicPartitionList::new();
        for (partition, next) in (0..).zip(&self.next).filter(|(_, next)| **next > 0) {
            positions.add_partition_offset(&self.route.raw, partition, Offset::Offset(*next))?;
        }
        Ok(positions)
    }
}

fn pass_on(route: &Route, transactions: &Transactions, next: &mut [i64], record: &BorrowedMessage<'_>) -> Result<()> {
    let Event { key, headers } = transform::event(record, &route.log_id)?;
    transactions.send(transform::record(&route.events, &key, headers, record))?;
    next[usize::try_from(record.partition())?] = record.offset() + 1;
    Ok(())
}
