//! Tasks without outputs: one store that holds the fold of all partitions, and its own position is the only one.
//!
//! No group, no transaction: every instance reads everything, committed records only, and applies at once. What was read
//! and not applied when the process died is read again.

use std::collections::BTreeMap;
use std::time::Duration;

use hooklog_log::connection::{AtEnds, Connection, Isolation, ReaderClient};
use hooklog_log::ends::{self, Ends};
use hooklog_log::provision::Pinned;
use hooklog_schemas::{NextOffset, Offset, Partition};
use hooklog_store::{Applied, Source, Store};
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{Offset as At, TopicPartitionList};
use tokio_util::sync::CancellationToken;

use crate::error::Error;
use crate::fold::{Fold, step};
use crate::input::Input;
use crate::measure;
use crate::overlay::Overlay;
use crate::progress::Progress;
use crate::resume::Stop;

/// How long a poll waits for the first record; also how long a shutdown may go unnoticed.
const QUIET: Duration = Duration::from_millis(100);
/// Records applied at once.
const BATCH: usize = 5_000;

/// What a materialising task reads.
#[derive(Clone, Debug)]
pub struct Config {
    /// Kafka.
    pub connection: Connection,
    /// The topic; all its pinned partitions are read.
    pub input: Pinned,
}

/// Folds the topic into `store` from where that stands, until `shutdown`. Blocks. A partition counts as restored in
/// `progress` once it holds all that was committed when this began.
///
/// # Errors
/// [`Error::Stop`] where the store and the log do not fit, [`Error::Store`] where a write failed, [`Error::Consumer`]
/// where Kafka refuses for good.
pub fn run<F: Fold>(
    fold: &F,
    config: &Config,
    store: &Store,
    progress: &Progress,
    shutdown: &CancellationToken,
) -> Result<(), Error> {
    measure::describe();
    let mut task = Task::start(fold, config, store, progress)?;
    while !shutdown.is_cancelled() {
        task.turn()?;
    }
    Ok(())
}

struct Task<'t, F> {
    fold: &'t F,
    topic: &'t str,
    store: &'t Store,
    progress: &'t Progress,
    consumer: ReaderClient,
    applied: BTreeMap<Partition, Applied>,
    /// The ends when this began, for the partitions that have not reached them.
    restoring: BTreeMap<Partition, NextOffset>,
}

impl<'t, F: Fold> Task<'t, F> {
    fn start(fold: &'t F, config: &'t Config, store: &'t Store, progress: &'t Progress) -> Result<Self, Error> {
        let topic = config.input.name.as_str();
        let ends = ends::all(&config.connection, topic, config.input.partitions, Isolation::Committed)?;
        let (mut applied, mut restoring) = (BTreeMap::new(), BTreeMap::new());
        for (partition, ends) in (0..).map(Partition).zip(ends) {
            let at = store.applied(&Source { topic: topic.to_owned(), partition })?;
            let from = begin(partition, at, ends)?;
            applied.insert(partition, Applied { next: from, ..at });
            progress.restoring(partition, from, ends.end);
            restoring.insert(partition, ends.end);
        }
        let consumer = consumer(config, &applied)?;
        let mut task = Task { fold, topic, store, progress, consumer, applied, restoring };
        let done: Vec<_> = task.applied.keys().copied().collect();
        done.into_iter().for_each(|partition| task.note_restored(partition));
        Ok(task)
    }

    fn turn(&mut self) -> Result<(), Error> {
        let (mut batch, mut at_end, mut wait) = (Vec::new(), Vec::new(), QUIET);
        while batch.len() < BATCH {
            match self.consumer.poll(wait) {
                Some(Ok(message)) => batch.push(message),
                Some(Err(KafkaError::PartitionEOF(partition))) => at_end.push(Partition(partition)),
                Some(Err(error)) if is_final(&error) => return Err(Error::Consumer(error)),
                Some(Err(error)) => {
                    tracing::debug!(%error, "the view's reader goes on by itself");
                    break;
                }
                None => break,
            }
            wait = Duration::ZERO;
        }
        let moved = fold_all(self.fold, self.store, self.topic, &self.applied, &batch)?;
        drop(batch);
        self.note(moved);
        at_end.into_iter().try_for_each(|partition| self.reach_end(partition))
    }

    fn note(&mut self, moved: BTreeMap<Partition, (Applied, u64)>) {
        for (partition, (applied, folded)) in moved {
            self.applied.insert(partition, applied);
            self.progress.reached(partition, applied.next, folded, 0);
            self.note_restored(partition);
        }
    }

    fn note_restored(&mut self, partition: Partition) {
        if self.restoring.get(&partition).is_some_and(|end| self.applied[&partition].next >= *end) {
            self.restoring.remove(&partition);
            self.progress.live(partition);
        }
    }

    /// The last offsets of a log written in transactions are markers, which no reader is given: the end of what there was
    /// to read counts as the end.
    fn reach_end(&mut self, partition: Partition) -> Result<(), Error> {
        let Some(end) = self.restoring.get(&partition).copied() else { return Ok(()) };
        let applied = Applied { next: self.applied[&partition].next.max(end), ..self.applied[&partition] };
        let source = Source { topic: self.topic.to_owned(), partition };
        self.store.apply(&hooklog_store::Writes::default(), &[(source, applied)])?;
        self.note(BTreeMap::from([(partition, (applied, 0))]));
        Ok(())
    }
}

/// Folds a batch of all partitions over the one store and applies it, positions and all, at once.
fn fold_all<F: Fold>(
    fold: &F,
    store: &Store,
    topic: &str,
    applied: &BTreeMap<Partition, Applied>,
    batch: &[BorrowedMessage<'_>],
) -> Result<BTreeMap<Partition, (Applied, u64)>, Error> {
    let mut overlay = Overlay::default();
    let mut moved = BTreeMap::new();
    for (partition, at) in applied {
        let inputs = inputs(*partition, *at, batch);
        let Some(last) = inputs.last() else { continue };
        let next = Applied { next: last.offset.next(), clock: last.time };
        let effects = step(fold, store, &mut overlay, &inputs)?;
        debug_assert!(effects.produce.is_empty(), "a view has no outputs");
        moved.insert(*partition, (next, inputs.len() as u64));
    }
    if !moved.is_empty() {
        let source = |partition: &Partition| Source { topic: topic.to_owned(), partition: *partition };
        let positions: Vec<_> = moved.iter().map(|(partition, (at, _))| (source(partition), *at)).collect();
        store.apply(overlay.writes(), &positions)?;
    }
    Ok(moved)
}

/// The records of one partition that are not applied yet. Between them there may be holes: markers and aborted records.
fn inputs<'m>(partition: Partition, at: Applied, batch: &'m [BorrowedMessage<'_>]) -> Vec<Input<'m>> {
    let mut clock = at.clock;
    let of_this = |message: &&BorrowedMessage<'_>| {
        message.partition() == partition.0 && Offset(message.offset()) >= at.next.offset()
    };
    let read = |message| {
        let input = Input::read(message, clock);
        clock = input.time;
        input
    };
    batch.iter().filter(of_this).map(read).collect()
}

fn begin(partition: Partition, at: Applied, ends: Ends) -> Result<NextOffset, Stop> {
    if at.next > ends.end {
        return Err(Stop::Beyond { partition, position: at.next, end: ends.end });
    }
    if at.next < ends.earliest {
        return Err(Stop::Deleted { partition, next: at.next, earliest: ends.earliest });
    }
    Ok(at.next)
}

fn consumer(config: &Config, from: &BTreeMap<Partition, Applied>) -> Result<ReaderClient, Error> {
    let mut client = config.connection.reader_config(Isolation::Committed);
    client.set("enable.partition.eof", "true").set("queued.max.messages.kbytes", "65536");
    let consumer: ReaderClient = client.create_with_context(AtEnds).map_err(hooklog_log::Error::Client)?;
    let mut list = TopicPartitionList::with_capacity(from.len());
    for (partition, applied) in from {
        let offset = At::Offset(applied.next.0);
        list.add_partition_offset(&config.input.name, partition.0, offset).map_err(Error::Consumer)?;
    }
    consumer.assign(&list).map_err(Error::Consumer)?;
    Ok(consumer)
}

/// What waiting does not mend.
fn is_final(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    match error {
        KafkaError::MessageConsumptionFatal(_) => true,
        KafkaError::MessageConsumption(code) => matches!(
            code,
            Code::AutoOffsetReset
                | Code::OffsetOutOfRange
                | Code::TopicAuthorizationFailed
                | Code::UnknownTopicOrPartition
        ),
        _ => false,
    }
}
