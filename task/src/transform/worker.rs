//! One worker: polls, folds, produces, commits, applies.

mod partitions;
mod transaction;
mod verify;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hooklog_schemas::{Millis, NextOffset, Partition};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use tokio_util::sync::CancellationToken;

use super::Config;
use super::assignment::{Assignment, Changes, partitions as partitions_of};
use super::contiguous::due;
use super::observer::Observed;
use super::partition_task::PartitionTask;
use super::refusals::{Refusals, Run};
use super::session::Session;
use crate::error::Error;
use crate::fold::Fold;
use crate::input::BATCH_BYTES;
use crate::outcome::{Renewals, Stage};
use crate::progress::Progress;
use crate::verification::Verification;
use transaction::{Trouble, Work};

/// How long a poll waits when no transaction is open; also how long a shutdown may go unnoticed.
const QUIET: Duration = Duration::from_millis(100);
/// Records folded at once: what was polled is still in the cache when it is folded and produced.
const BATCH: usize = 256;
/// Between two looks at something that takes a moment.
const LOOK: Duration = Duration::from_millis(5);

type Members = BaseConsumer<Assignment>;

/// Whether what was polled still follows on what is folded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BatchState {
    AsPolled,
    /// A transaction was undone: its records come again, and what was polled behind them with them.
    Undone,
}

pub(super) struct Worker<F> {
    /// Its transactional id.
    id: String,
    fold: Arc<F>,
    config: Arc<Config>,
    consumer: Arc<Members>,
    changes: Arc<Mutex<Changes>>,
    work: Arc<Mutex<Work>>,
    /// Of its producer and of its place in the group, over all workers that had this place.
    renewals: Renewals,
    /// Transactions that failed since the last one that did not.
    failed_in_a_row: u32,
    /// Since when no partition of the process runs.
    still_since: Option<Instant>,
    /// Partitions that came in and are not restored yet.
    arriving: BTreeSet<Partition>,
    /// How often each partition has stopped since something of it was committed.
    failures: BTreeMap<Partition, u32>,
    has_restored: bool,
    refusals: Refusals,
    verification: Verification,
    observed: Observed,
    /// When the latest snapshot that is known was asked for.
    last_seen: Option<Instant>,
    progress: Progress,
    stop: CancellationToken,
}

/// What a worker is told of what is around it.
pub(super) struct Context {
    /// Where each partition of the input began a moment ago.
    pub(super) begins: Vec<NextOffset>,
    pub(super) progress: Progress,
    pub(super) observed: Observed,
    pub(super) stop: CancellationToken,
}

impl<F: Fold> Worker<F> {
    /// Makes the worker of `session`, whose producer is the barrier against its own past: now it takes its place in the group.
    pub(super) fn start(
        session: Session,
        renewals: Renewals,
        fold: Arc<F>,
        config: Arc<Config>,
        context: Context,
    ) -> Result<Worker<F>, Error> {
        let Context { begins, progress, observed, stop } = context;
        let member = session.id().to_owned();
        let work = Arc::new(Mutex::new(Work::new(config.name, session)));
        let changes = Arc::new(Mutex::new(Changes::default()));
        let give_up = give_up(Arc::clone(&work), progress.clone());
        let assignment = Assignment::new(&config.input, begins, Arc::clone(&changes), give_up);
        let consumer = consumer_config(&config, &member).create_with_context(assignment);
        let consumer: Arc<Members> = Arc::new(consumer.map_err(hooklog_log::Error::Client)?);
        consumer.subscribe(&[&config.input.name]).map_err(Error::Consumer)?;
        Ok(Worker {
            id: member,
            fold,
            config,
            consumer,
            changes,
            work,
            renewals,
            failed_in_a_row: 0,
            still_since: None,
            arriving: BTreeSet::new(),
            failures: BTreeMap::new(),
            has_restored: false,
            refusals: Refusals::default(),
            verification: Verification::default(),
            observed,
            last_seen: None,
            progress,
            stop,
        })
    }

    /// Works until told to stop; then commits what is open.
    pub(super) fn run(&mut self) -> Result<(), Error> {
        while !self.stop.is_cancelled() {
            self.progress.worker_turns(&self.id);
            if let Err(why) = self.turn() {
                self.leave();
                return Err(why);
            }
        }
        let ended = self.commit_last().map(|is_committed| {
            if is_committed {
                self.verify_at_rest();
            }
        });
        self.progress.worker_leaves(&self.id);
        ended
    }

    /// Whether any of its partitions was ever restored.
    pub(super) fn has_restored(&self) -> bool {
        self.has_restored
    }

    /// Ends it, and gives what its successor needs to know.
    pub(super) fn into_renewals(self) -> Renewals {
        self.renewals
    }

    /// Closes the stores and says nothing more of their partitions; what is open is undone by the id's next producer.
    fn leave(&self) {
        self.progress.worker_leaves(&self.id);
        let assigned = self.consumer.assignment().map_or_else(|_| Vec::new(), |list| partitions_of(&list));
        let mut work = self.locked();
        work.abandon();
        let owned = std::mem::take(&mut work.owned);
        owned.into_keys().chain(assigned).for_each(|partition| self.progress.gone(partition));
    }

    fn turn(&mut self) -> Result<(), Error> {
        // A second handle: the batch borrows from the consumer while the worker is changed.
        let consumer = Arc::clone(&self.consumer);
        let batch = self.gather(&consumer)?;
        if self.settle()? == BatchState::Undone {
            // What was polled follows on records that have to be folded again: the consumer gives it again, too.
            return self.fail_if_all_stopped();
        }
        if self.fold_batch(&batch)? == BatchState::Undone {
            return self.fail_if_all_stopped();
        }
        let commit_policy = self.config.commit_policy;
        let is_due = |work: &Work| commit_policy.is_due(work.open_records(), work.waited());
        if is_due(&self.locked()) && self.commit()? == BatchState::Undone {
            return self.fail_if_all_stopped();
        }
        self.verify()?;
        self.stop_faulted()?;
        self.fail_if_all_stopped()
    }

    /// Takes what is at hand, waiting for the first record only. Group changes happen in here.
    fn gather<'c>(&self, consumer: &'c Members) -> Result<Vec<BorrowedMessage<'c>>, Error> {
        let mut wait = {
            let work = self.locked();
            self.config.commit_policy.poll(work.open_records(), work.waited(), QUIET)
        };
        let (mut batch, mut bytes) = (Vec::with_capacity(BATCH), 0);
        while batch.len() < BATCH && bytes < BATCH_BYTES {
            match consumer.poll(wait) {
                Some(Ok(message)) => {
                    bytes += message.payload_len();
                    batch.push(message);
                }
                Some(Err(error)) if passing(&error) => break,
                Some(Err(error)) => return Err(Error::Consumer(error)),
                None => break,
            }
            wait = Duration::ZERO;
        }
        Ok(batch)
    }

    /// Acts on what the group changed, and restores what was undone. Off the poll, so that nothing is restored inside it; and
    /// once a turn, since a group that is changing goes on only inside it: a commit that it refuses is tried again behind that.
    fn settle(&mut self) -> Result<BatchState, Error> {
        if self.stop.is_cancelled() {
            return Ok(BatchState::Undone);
        }
        let due = self.take_due()?;
        if !due.is_empty() {
            self.locked().interrupt();
            // All of them, before the first one is restored and could be taken for all.
            due.iter().for_each(|(partition, _)| self.progress.coming(*partition));
            for (partition, failures) in due {
                self.refusals.forgive(partition);
                self.failures.insert(partition, failures);
                self.arriving.insert(partition);
            }
        }
        let renewal = self.locked().takes_renewal();
        if let Some(why) = renewal {
            self.renew(why)?;
        }
        if self.locked().takes_verification() || !self.arriving.is_empty() {
            // Where it fails the flags say so, and nothing is folded until it was done.
            self.restore()?;
            self.locked().takes_rewind();
            return Ok(BatchState::Undone);
        }
        if self.locked().takes_rewind() {
            self.rewind()?;
            return Ok(BatchState::Undone);
        }
        Ok(BatchState::AsPolled)
    }

    fn fold_batch(&mut self, batch: &[BorrowedMessage<'_>]) -> Result<BatchState, Error> {
        let partitions: BTreeSet<i32> = batch.iter().map(Message::partition).collect();
        for partition in partitions {
            let of_one = batch.iter().filter(|message| message.partition() == partition);
            if self.fold_partition(Partition(partition), of_one)? == BatchState::Undone {
                return Ok(BatchState::Undone);
            }
        }
        Ok(BatchState::AsPolled)
    }

    fn fold_partition<'m>(
        &mut self,
        partition: Partition,
        messages: impl Iterator<Item = &'m BorrowedMessage<'m>>,
    ) -> Result<BatchState, Error> {
        // Without a place: polled before it was given up, or behind a record that must not be folded.
        let Some(place) = self.locked().owned.get(&partition).and_then(PartitionTask::place) else {
            return Ok(BatchState::AsPolled);
        };
        let (inputs, mut wrong) = due(place, messages, wall_clock());
        let mut left = &inputs[..];
        while !left.is_empty() {
            let run = self.refusals.run(partition, left.iter().map(|input| input.offset));
            let records = match run {
                Run::Together(records) => records,
                Run::Alone => 1,
                Run::Refused(offset, code) => {
                    wrong = Some(Error::Refused { partition, offset, code });
                    break;
                }
            };
            let is_alone = run == Run::Alone;
            if is_alone && self.locked().open_records() > 0 && self.commit()? == BatchState::Undone {
                return Ok(BatchState::Undone);
            }
            let (now, later) = left.split_at(records);
            let folded = self.locked().fold(&*self.fold, partition, now);
            match folded {
                Ok(()) => left = later,
                Err(Trouble::Store(error)) => {
                    wrong = Some(error.into());
                    break;
                }
                Err(Trouble::Kafka(failure)) => {
                    self.undo(Stage::Before, &failure)?;
                    return Ok(BatchState::Undone);
                }
            }
            if is_alone && self.commit()? == BatchState::Undone {
                return Ok(BatchState::Undone);
            }
        }
        if let (Some(why), Some(owned)) = (wrong, self.locked().owned.get_mut(&partition)) {
            owned.fail(why);
        }
        Ok(BatchState::AsPolled)
    }

    fn locked(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
        // Before their stores are closed: another worker may have one open, and its progress told, an instant later.
        partitions.iter().for_each(|partition| progress.gone(*partition));
        work.give_up(partitions);
    })
}

fn consumer_config(config: &Config, member: &str) -> rdkafka::ClientConfig {
    let mut client = config.connection.client();
    client
        .set("group.id", &config.group)
        .set("group.instance.id", member)
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
pub(super) type OwnedByPartition = BTreeMap<Partition, super::partition_task::PartitionTask>;
