//! How the partitions of a worker come, stop, and go back to where they are applied.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use hooklog_schemas::{NextOffset, Offset, Partition};
use hooklog_store::Verified;
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset as At, TopicPartitionList};

use super::{LOOK, Worker};
use crate::error::Error;
use crate::fault::{self, Remedy, Scope};
use crate::fold::Fold;
use crate::transform::assignment::lock;
use crate::transform::hanging;
use crate::transform::partition_task::PartitionTask;
use crate::transform::recovery::Recovery;

/// How long a partition that came in may take until it can be sought in.
const SEEK: Duration = Duration::from_secs(30);
/// How long nothing at all may run before the task ends: partitions that were just asked for may take a moment to come.
const STANDSTILL: Duration = Duration::from_secs(5);

/// A store and what it says of itself: S, and up to where its outputs are verified.
type Stores = BTreeMap<Partition, (PartitionTask, (Partition, (NextOffset, Option<Verified>)))>;

impl<F: Fold> Worker<F> {
    /// The partitions to be restored now. One that comes from another worker of this process may still be open there: it
    /// waits until that worker has learnt of it.
    pub(super) fn take_due(&self) -> Result<Vec<(Partition, u32)>, Error> {
        let mut changes = lock(&self.changes);
        if let Some(reason) = changes.broken.take() {
            tracing::error!(reason, "the group's assignment could not be taken");
            return Err(Error::Consumer(KafkaError::Rebalance(RDKafkaErrorCode::State)));
        }
        if std::mem::take(&mut changes.has_joined) {
            self.progress.worker_works(&self.id);
        }
        let is_free = |partition| !self.config.registry.is_open(&self.config.store(partition));
        Ok(changes.waiting.take_due(Instant::now(), is_free))
    }

    /// Restores what came in, and everything that is owned, since what was acknowledged may have been taken back. Where a
    /// transaction fails on the way, the flags say so, and it is done again.
    pub(super) fn restore(&mut self) -> Result<(), Error> {
        self.verification.undone();
        let ended = hanging::end_those_of(&self.locked().session, &self.config, &self.progress, &self.stop)?;
        if let Err(failure) = ended {
            tracing::warn!(%failure, "what hangs could not be ended; a new producer tries it");
            self.locked().needs_renewal(Some(&failure));
            self.failed_in_a_row = self.failed_in_a_row.saturating_add(1);
            fault::rest(fault::pause(self.failed_in_a_row), &self.stop);
            return Ok(());
        }
        let arriving = std::mem::take(&mut self.arriving);
        let mut stores = self.stores(&arriving)?;
        if stores.is_empty() {
            self.progress.worker_works(&self.id);
            return Ok(());
        }
        let known = self.recovery().look(stores.values().map(|(_, state)| state.clone()).collect())?;
        let mut debts = Vec::new();
        for (partition, known) in known {
            let Some((mut owned, _)) = stores.remove(&partition) else { continue };
            match self.recovery().restore(&mut owned, known) {
                Ok(debt) => {
                    debts.push(debt);
                    self.locked().owned.insert(partition, owned);
                }
                Err(why) => {
                    drop(owned);
                    self.stop_partition(partition, why)?;
                }
            }
        }
        if self.pay(&debts)? { self.go_on() } else { Ok(()) }
    }

    fn recovery(&self) -> Recovery<'_, F> {
        Recovery { fold: &self.fold, config: &self.config, progress: &self.progress, stop: &self.stop }
    }

    /// The stores of what is owned and of what came in, with what each says of itself. One that cannot be read stops.
    fn stores(&mut self, arriving: &BTreeSet<Partition>) -> Result<Stores, Error> {
        let mut all: BTreeMap<_, _> = std::mem::take(&mut self.locked().owned)
            .into_iter()
            .map(|(partition, owned)| (partition, Ok(owned)))
            .collect();
        for partition in arriving {
            all.insert(*partition, self.recovery().open(*partition));
        }
        let mut stores = Stores::new();
        for (partition, opened) in all {
            let read = |owned: PartitionTask| {
                let state = (partition, (owned.applied(), owned.verified()?));
                Ok((owned, state))
            };
            match opened.and_then(read) {
                Ok(store) => drop(stores.insert(partition, store)),
                Err(why) => self.stop_partition(partition, why)?,
            }
        }
        Ok(stores)
    }

    /// Every partition that is owned is restored, and its debt is paid: its records may come.
    fn go_on(&mut self) -> Result<(), Error> {
        let all: Vec<_> =
            self.locked().owned.values().map(|owned| (owned.partition(), owned.applied().offset())).collect();
        for (partition, at) in all {
            self.seek(partition, at)?;
            self.consumer.resume(&self.listed(partition)).map_err(Error::Consumer)?;
            self.progress.live(partition);
        }
        self.has_restored = true;
        self.progress.worker_works(&self.id);
        Ok(())
    }

    /// Stops one partition, which must not be owned any more; the others go on. What concerns all ends the worker.
    pub(super) fn stop_partition(&mut self, partition: Partition, why: Error) -> Result<(), Error> {
        if fault::scope(&why) == Scope::Task {
            return Err(why);
        }
        tracing::error!(partition = partition.0, "stopped, while others go on: {why}");
        if fault::remedy(&why) == Remedy::Rebuild {
            tracing::error!(partition = partition.0, "the store is damaged; building it again from the log");
            self.config.registry.discard(&self.config.store(partition))?;
        }
        // Where it stays unpaused its records are passed over.
        self.consumer.pause(&self.listed(partition)).map_err(Error::Consumer)?;
        let failures = self.failures.get(&partition).copied().unwrap_or(0);
        let told = why.to_string();
        let goes_on = lock(&self.changes).waiting.stopped(partition, why, failures, Instant::now());
        self.progress.stopped(partition, told, goes_on);
        Ok(())
    }

    /// A partition with a record that must not be folded leaves once what lies before that is committed.
    pub(super) fn stop_faulted(&mut self) -> Result<(), Error> {
        let faulty = self.locked().take_faulty();
        faulty.into_iter().try_for_each(|(partition, why)| self.stop_partition(partition, why))
    }

    /// Ends the task where none of its partitions runs any more: then there is nothing to go on with.
    pub(super) fn fail_if_all_stopped(&mut self) -> Result<(), Error> {
        if !self.progress.is_all_stopped_for_good() {
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
                Err(_) if self.stop.is_cancelled() => return Err(Error::Cancelled),
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
