//! One worker: polls, folds, produces, commits, applies.

mod transaction;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hooklog_schemas::{Millis, Offset, Partition};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{Offset as At, TopicPartitionList};
use tokio_util::sync::CancellationToken;

use super::Config;
use super::assignment::{Assignment, Changes, lock};
use super::recovery::recover;
use super::session::Session;
use crate::error::Error;
use crate::fold::Fold;
use crate::input::Input;
use crate::outcome::Renewals;
use crate::progress::Progress;
use transaction::Work;

/// How long a poll waits when no transaction is open; also how long a shutdown may go unnoticed.
const QUIET: Duration = Duration::from_millis(100);
/// Records folded at once.
const BATCH: usize = 2_000;
/// How long a partition that came in may take until it can be sought in.
const SEEK: Duration = Duration::from_secs(30);

type Members = BaseConsumer<Assignment>;

/// Whether what was polled still follows on what is folded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    AsPolled,
    /// A transaction was undone: its records come again, and what was polled behind them with them.
    Undone,
}

pub(super) struct Worker<F> {
    fold: Arc<F>,
    config: Arc<Config>,
    consumer: Arc<Members>,
    changes: Arc<Mutex<Changes>>,
    work: Arc<Mutex<Work>>,
    renewals: Renewals,
    progress: Progress,
    stop: CancellationToken,
}

impl<F: Fold> Worker<F> {
    /// Makes worker `n`: its producer, which is the barrier against its own past, then its place in the group.
    pub(super) fn start(
        n: usize,
        fold: Arc<F>,
        config: Arc<Config>,
        progress: Progress,
        stop: CancellationToken,
    ) -> Result<Worker<F>, Error> {
        let member = format!("{}-{n}", config.instance);
        let id = config.transactional_id(n);
        let session = Session::start(&config.connection, &id, &config.output.name)?;
        let work = Arc::new(Mutex::new(Work::new(session)));
        let changes = Arc::new(Mutex::new(Changes::default()));
        let give_up = give_up(Arc::clone(&work), progress.clone());
        let assignment = Assignment::new(config.input.name.clone(), Arc::clone(&changes), give_up);
        let consumer = consumer_config(&config, &member).create_with_context(assignment);
        let consumer: Arc<Members> = Arc::new(consumer.map_err(hooklog_log::Error::Client)?);
        consumer.subscribe(&[&config.input.name]).map_err(Error::Consumer)?;
        Ok(Worker { fold, config, consumer, changes, work, renewals: Renewals::default(), progress, stop })
    }

    /// Works until told to stop; then commits what is open.
    pub(super) fn run(mut self) -> Result<(), Error> {
        while !self.stop.is_cancelled() {
            self.turn()?;
        }
        self.commit_if(|work| work.open_records() > 0)
    }

    fn turn(&mut self) -> Result<(), Error> {
        // A second handle: the batch borrows from the consumer while the worker is changed.
        let consumer = Arc::clone(&self.consumer);
        let batch = self.gather(&consumer)?;
        if self.settle()? == Standing::Undone {
            // What was polled follows on records that have to be folded again: the consumer gives it again, too.
            return Ok(());
        }
        self.fold_batch(&batch)?;
        let pace = self.config.pace;
        self.commit_if(|work| pace.is_due(work.open_records(), work.waited()))
    }

    /// Takes what is at hand, waiting for the first record only. Group changes happen in here.
    fn gather<'c>(&self, consumer: &'c Members) -> Result<Vec<BorrowedMessage<'c>>, Error> {
        let mut wait = {
            let work = self.locked();
            self.config.pace.poll(work.open_records(), work.waited(), QUIET)
        };
        let mut batch = Vec::with_capacity(BATCH);
        while batch.len() < BATCH {
            match consumer.poll(wait) {
                Some(Ok(message)) => batch.push(message),
                Some(Err(error)) if passing(&error) => break,
                Some(Err(error)) => return Err(Error::Consumer(error)),
                None => break,
            }
            wait = Duration::ZERO;
        }
        Ok(batch)
    }

    /// Acts on what the group changed, and brings back what was undone. Off the poll, so that nothing is restored inside it.
    fn settle(&mut self) -> Result<Standing, Error> {
        let changes = std::mem::take(&mut *lock(&self.changes));
        if let Some(reason) = changes.broken {
            tracing::error!(reason, "the group's assignment could not be taken");
            return Err(Error::Consumer(KafkaError::Rebalance(RDKafkaErrorCode::State)));
        }
        if !changes.gained.is_empty() {
            // Bringing a partition up takes longer than a transaction may stay open.
            self.locked().give_up(&[]);
        }
        if self.locked().takes_renewal() {
            self.renew()?;
        }
        for partition in changes.gained {
            self.bring_up(partition)?;
        }
        if !self.locked().takes_rewind() {
            return Ok(Standing::AsPolled);
        }
        self.rewind()?;
        Ok(Standing::Undone)
    }

    fn bring_up(&mut self, partition: Partition) -> Result<(), Error> {
        let owned = recover(&*self.fold, &self.config, partition, &self.progress)?;
        let at = owned.applied().offset();
        self.locked().owned.insert(partition, owned);
        self.seek(partition, at)?;
        let mut list = TopicPartitionList::with_capacity(1);
        list.add_partition(&self.config.input.name, partition.0);
        self.consumer.resume(&list).map_err(Error::Consumer)
    }

    /// The consumer goes back to what is applied: what was folded beyond it is folded again (I8).
    fn rewind(&self) -> Result<(), Error> {
        let all: Vec<_> = self.locked().owned.values().map(|o| (o.partition(), o.applied().offset())).collect();
        all.into_iter().try_for_each(|(partition, at)| self.seek(partition, at))
    }

    /// A fetcher that has not started yet answers `State`: it is asked again until the deadline.
    fn seek(&self, partition: Partition, at: Offset) -> Result<(), Error> {
        let deadline = Instant::now() + SEEK;
        loop {
            match self.consumer.seek(&self.config.input.name, partition.0, At::Offset(at.0), Duration::from_secs(5)) {
                Ok(()) => return Ok(()),
                Err(error) if Instant::now() >= deadline => return Err(Error::Consumer(error)),
                Err(_) => std::thread::yield_now(),
            }
        }
    }

    fn fold_batch(&mut self, batch: &[BorrowedMessage<'_>]) -> Result<(), Error> {
        let partitions: BTreeSet<i32> = batch.iter().map(Message::partition).collect();
        for partition in partitions {
            let of_one = batch.iter().filter(|message| message.partition() == partition);
            if self.fold_partition(Partition(partition), of_one)? == Standing::Undone {
                break;
            }
        }
        Ok(())
    }

    fn fold_partition<'m>(
        &mut self,
        partition: Partition,
        messages: impl Iterator<Item = &'m BorrowedMessage<'m>>,
    ) -> Result<Standing, Error> {
        let work = Arc::clone(&self.work);
        let mut work = work.lock().unwrap_or_else(PoisonError::into_inner);
        let inputs = match work.owned.get(&partition) {
            Some(owned) => due(owned, messages)?,
            // Polled before it was given up.
            None => return Ok(Standing::AsPolled),
        };
        if inputs.is_empty() {
            return Ok(Standing::AsPolled);
        }
        match work.fold(&*self.fold, partition, &inputs)? {
            Ok(()) => Ok(Standing::AsPolled),
            Err(failure) => {
                drop(work);
                self.undo(crate::outcome::Stage::Before, &failure)?;
                Ok(Standing::Undone)
            }
        }
    }

    fn locked(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The messages that are next in their partition, as the fold sees them.
fn due<'m>(
    owned: &super::owned::Owned,
    messages: impl Iterator<Item = &'m BorrowedMessage<'m>>,
) -> Result<Vec<Input<'m>>, Error> {
    let (mut clock, mut inputs, now) = (owned.clock(), Vec::new(), wall_clock());
    let mut expected: Option<Offset> = None;
    for message in messages {
        let offset = Offset(message.offset());
        let is_next = expected.map_or_else(|| owned.expects(offset), |next| Ok(next == offset))?;
        if !is_next {
            if let Some(next) = expected.filter(|next| offset > *next) {
                let (partition, expected) = (owned.partition(), hooklog_schemas::NextOffset(next.0));
                return Err(Error::Gap { partition, expected, found: offset });
            }
            continue;
        }
        let input = Input::read(message, clock);
        owned.check_clock(&input, now)?;
        clock = input.time;
        expected = Some(offset.next().offset());
        inputs.push(input);
    }
    Ok(inputs)
}

/// Used to refuse a broker whose clock is wrong, and for nothing that is stored or decided by a fold.
#[expect(clippy::disallowed_methods, reason = "the shell's own look at the clock")]
fn wall_clock() -> Millis {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis(i64::try_from(now.as_millis()).unwrap_or(i64::MAX))
}

/// What the consumer tells of and recovers from by itself.
fn passing(error: &KafkaError) -> bool {
    !matches!(
        error,
        KafkaError::MessageConsumptionFatal(_)
            | KafkaError::MessageConsumption(
                RDKafkaErrorCode::AutoOffsetReset
                    | RDKafkaErrorCode::OffsetOutOfRange
                    | RDKafkaErrorCode::TopicAuthorizationFailed
                    | RDKafkaErrorCode::GroupAuthorizationFailed
                    | RDKafkaErrorCode::FencedInstanceId
                    | RDKafkaErrorCode::UnknownTopicOrPartition
            )
    )
}

fn give_up(work: Arc<Mutex<Work>>, progress: Progress) -> super::assignment::GiveUp {
    Box::new(move |partitions| {
        let mut work = work.lock().unwrap_or_else(PoisonError::into_inner);
        work.give_up(partitions);
        partitions.iter().for_each(|partition| progress.gone(*partition));
    })
}

fn consumer_config(config: &Config, member: &str) -> rdkafka::ClientConfig {
    let mut client = config.connection.client();
    client
        .set("group.id", &config.group)
        .set("group.instance.id", format!("{}-{member}", config.group))
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "error")
        .set("isolation.level", "read_committed")
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("session.timeout.ms", "15000")
        .set("max.poll.interval.ms", "120000")
        .set("fetch.queue.backoff.ms", "5")
        .set("fetch.wait.max.ms", "20")
        .set("queued.min.messages", "20000")
        .set("queued.max.messages.kbytes", "32768");
    client
}

/// The partitions of a worker, by number.
pub(super) type OwnedByPartition = BTreeMap<Partition, super::owned::Owned>;
