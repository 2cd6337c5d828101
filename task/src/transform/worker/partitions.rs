//! How the partitions of a worker come, stop, and go back to where they are applied.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hooklog_log::committed::Committed;
use hooklog_schemas::{NextOffset, Offset, Partition};
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset as At, TopicPartitionList};

use super::{LOOK, Worker};
use crate::error::Error;
use crate::fault::{self, Remedy, Scope};
use crate::fold::Fold;
use crate::resume::{self, Stop};
use crate::transform::assignment::lock;
use crate::transform::recovery::{PAUSE, SETTLING, recover, stable};

/// How long a partition that came in may take until it can be sought in.
const SEEK: Duration = Duration::from_secs(30);
/// How long nothing at all may run before the task ends: partitions that were just asked for may take a moment to come.
const STANDSTILL: Duration = Duration::from_secs(5);

impl<F: Fold> Worker<F> {
    /// The partitions to be brought up now. One that comes from another worker of this process may still be open there: it
    /// waits until that worker has learnt of it.
    pub(super) fn take_due(&self) -> Result<Vec<(Partition, u32)>, Error> {
        let mut changes = lock(&self.changes);
        if let Some(reason) = changes.broken.take() {
            tracing::error!(reason, "the group's assignment could not be taken");
            return Err(Error::Consumer(KafkaError::Rebalance(RDKafkaErrorCode::State)));
        }
        let is_free = |partition| !self.config.registry.is_open(&self.config.store(partition));
        Ok(changes.waiting.take_due(Instant::now(), is_free))
    }

    /// Stops what an abort has taken back though it was acknowledged: N then lies before S for good, and from S on nothing
    /// would ever emit what lies between. A coordinator can skip the markers of a transaction for partitions whose broker is
    /// fenced at that moment; the producer's next abort then ends that one, too, wherever it has been.
    /// <https://issues.apache.org/jira/browse/KAFKA-20734>
    pub(super) fn dispel_doubt(&mut self) -> Result<(), Error> {
        if !self.locked().takes_doubt() {
            return Ok(());
        }
        let deadline = Instant::now() + SETTLING;
        loop {
            let taken_back = self.taken_back()?;
            if taken_back.is_empty() || self.stop.is_cancelled() {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return taken_back.into_iter().try_for_each(|(partition, why)| {
                    drop(self.locked().owned.remove(&partition));
                    self.halt(partition, 0, why.into())
                });
            }
            tracing::warn!(?taken_back, "asking for the committed offsets again");
            std::thread::sleep(PAUSE);
        }
    }

    fn taken_back(&self) -> Result<Vec<(Partition, Stop)>, Error> {
        let owned: BTreeMap<Partition, NextOffset> =
            self.locked().owned.values().map(|owned| (owned.partition(), owned.applied())).collect();
        if owned.is_empty() {
            return Ok(Vec::new());
        }
        let (partitions, stamp): (Vec<_>, _) = (owned.keys().copied().collect(), self.config.stamp(&*self.fold));
        let committed = stable(&self.config, &partitions, &self.stop)?;
        let behind = |committed: Committed| {
            let (partition, applied) = (committed.partition, owned[&committed.partition]);
            let why = Stop::Behind { partition, committed: committed.next, applied };
            resume::is_taken_back(&committed, &stamp, applied).then_some((partition, why))
        };
        Ok(committed.into_iter().filter_map(behind).collect())
    }

    /// Brings up a partition that has stopped `failures` times in a row.
    pub(super) fn bring_up(&mut self, partition: Partition, failures: u32) -> Result<(), Error> {
        let owned = match recover(&*self.fold, &self.config, partition, &self.progress, &self.stop) {
            Ok(owned) => owned,
            Err(why) => return self.halt(partition, failures, why),
        };
        let at = owned.applied().offset();
        self.locked().owned.insert(partition, owned);
        self.seek(partition, at)?;
        self.consumer.resume(&self.listed(partition)).map_err(Error::Consumer)
    }

    /// Stops one partition, which must not be owned any more; the others go on. What concerns all ends the worker.
    pub(super) fn halt(&mut self, partition: Partition, failures: u32, why: Error) -> Result<(), Error> {
        if fault::scope(&why) == Scope::Task {
            return Err(why);
        }
        tracing::error!(partition = partition.0, "stopped, while others go on: {why}");
        self.progress.stopped(partition, why.to_string());
        if fault::remedy(&why) == Remedy::Rebuild {
            tracing::error!(partition = partition.0, "the store is damaged; building it again from the log");
            self.config.registry.discard(&self.config.store(partition))?;
        }
        // Where it stays unpaused its records are passed over.
        self.consumer.pause(&self.listed(partition)).map_err(Error::Consumer)?;
        lock(&self.changes).waiting.stopped(partition, why, failures, Instant::now());
        Ok(())
    }

    /// A partition with a record that must not be folded leaves once what lies before that is committed.
    pub(super) fn part_with_faulty(&mut self) -> Result<(), Error> {
        let faulty = self.locked().take_faulty();
        faulty.into_iter().try_for_each(|(partition, why)| self.halt(partition, 0, why))
    }

    /// Ends the task where none of its partitions runs any more: then there is nothing to go on with.
    pub(super) fn standstill(&mut self) -> Result<(), Error> {
        if !self.progress.is_all_stopped() {
            self.still_since = None;
            return Ok(());
        }
        let since = *self.still_since.get_or_insert_with(Instant::now);
        if since.elapsed() < STANDSTILL {
            return Ok(());
        }
        lock(&self.changes).waiting.take_reason().map_or(Ok(()), Err)
    }

    /// The consumer goes back to what is applied: what was folded beyond it is folded again (I8).
    pub(super) fn rewind(&self) -> Result<(), Error> {
        let all: Vec<_> = self.locked().owned.values().map(|o| (o.partition(), o.applied().offset())).collect();
        all.into_iter().try_for_each(|(partition, at)| self.seek(partition, at))
    }

    /// A fetcher that has not started yet answers `State`: it is asked again until the deadline. So does a consumer that is
    /// of no more use, for ever.
    fn seek(&self, partition: Partition, at: Offset) -> Result<(), Error> {
        let deadline = Instant::now() + SEEK;
        loop {
            match self.consumer.seek(&self.config.input.name, partition.0, At::Offset(at.0), Duration::from_secs(5)) {
                Ok(()) => return Ok(()),
                Err(_) if self.stop.is_cancelled() => return Err(Error::ToldToStop),
                Err(_) if let Some((code, _)) = self.consumer.client().fatal_error() => {
                    return Err(Error::Consumer(KafkaError::MessageConsumptionFatal(code)));
                }
                Err(error) if Instant::now() >= deadline => return Err(Error::Consumer(error)),
                Err(_) => std::thread::sleep(LOOK),
            }
        }
    }

    fn listed(&self, partition: Partition) -> TopicPartitionList {
        let mut list = TopicPartitionList::with_capacity(1);
        list.add_partition(&self.config.input.name, partition.0);
        list
    }
}
