//! Tasks without outputs: one store that holds the fold of all partitions, and its own position is the only one.
//!
//! No group, no transaction: every instance reads everything, committed records only, and applies at once. What was read
//! and not applied when the process died is read again.
//!
//! A log that is written in transactions has offsets that no reader is given: markers, and what was aborted. The client passes
//! them in the order of the log, so where it stands all before it was given to us and is folded. The position of the store
//! follows it: at rest it is the end of the log.

use std::collections::BTreeMap;
use std::time::Duration;

use hooklog_log::SimpleConsumer;
use hooklog_log::connection::{AtEnds, Connection, Isolation};
use hooklog_log::provision::Pinned;
use hooklog_log::watermarks::{self, Watermarks};
use hooklog_schemas::{NextOffset, Offset, Partition};
use hooklog_store::{Applied, Store, TopicPartition};
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{ClientContext, Offset as At, Statistics, TopicPartitionList};
use tokio_util::sync::CancellationToken;

use crate::error::Error;
use crate::fold::{Fold, step};
use crate::input::Input;
use crate::metric_names;
use crate::overlay::Overlay;
use crate::progress::Progress;
use crate::resume::Stop;

/// How long a poll waits for the first record; also how long a shutdown may go unnoticed.
const QUIET: Duration = Duration::from_millis(100);
/// Records applied at once.
const BATCH: usize = 5_000;
/// How often the client tells where the log ends, in milliseconds.
const TELL_MS: &str = "1000";

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
    metric_names::describe();
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
    consumer: SimpleConsumer<Listening>,
    applied: BTreeMap<Partition, Applied>,
    /// The ends when this began, for the partitions that have not reached them.
    restoring: BTreeMap<Partition, NextOffset>,
}

impl<'t, F: Fold> Task<'t, F> {
    fn start(fold: &'t F, config: &'t Config, store: &'t Store, progress: &'t Progress) -> Result<Self, Error> {
        let topic = config.input.name.as_str();
        let ends = watermarks::all(&config.connection, topic, config.input.partitions, Isolation::Committed)?;
        let (mut applied, mut restoring) = (BTreeMap::new(), BTreeMap::new());
        for (partition, ends) in (0..).map(Partition).zip(ends) {
            let at = store.applied(&TopicPartition { topic: topic.to_owned(), partition })?;
            let from = begin(partition, at, ends)?;
            applied.insert(partition, Applied { next: from, ..at });
            progress.restoring(partition, from, ends.end);
            restoring.insert(partition, ends.end);
        }
        let consumer = consumer(config, &applied, progress)?;
        let mut task = Task { fold, topic, store, progress, consumer, applied, restoring };
        let done: Vec<_> = task.applied.keys().copied().collect();
        done.into_iter().for_each(|partition| task.note_restored(partition));
        Ok(task)
    }

    fn turn(&mut self) -> Result<(), Error> {
        let (mut batch, mut has_news, mut wait) = (Vec::new(), false, QUIET);
        while batch.len() < BATCH {
            match self.consumer.poll(wait) {
                Some(Ok(message)) => batch.push(message),
                // At a new end, perhaps behind nothing but markers.
                Some(Err(KafkaError::PartitionEOF(_))) => has_news = true,
                Some(Err(error)) if is_final(&error) => return Err(Error::Consumer(error)),
                Some(Err(error)) => {
                    tracing::debug!(%error, "the view's reader goes on by itself");
                    break;
                }
                None => break,
            }
            wait = Duration::ZERO;
        }
        let mut overlay = Overlay::default();
        let mut moved = fold_all(self.fold, self.store, &self.applied, &batch, &mut overlay)?;
        if has_news || !batch.is_empty() || !self.restoring.is_empty() {
            // Only now: all that the client has passed was in this batch or in one before.
            pass(&mut moved, &self.applied, stands(&self.consumer));
        }
        drop(batch);
        self.apply(&overlay, moved)
    }

    /// What was folded and up to where, at once.
    fn apply(&mut self, overlay: &Overlay, moved: Moved) -> Result<(), Error> {
        if moved.is_empty() {
            return Ok(());
        }
        let source = |partition: &Partition| TopicPartition { topic: self.topic.to_owned(), partition: *partition };
        let positions: Vec<_> = moved.iter().map(|(partition, (at, _))| (source(partition), *at)).collect();
        self.store.apply(overlay.writes(), &positions)?;
        self.note(moved);
        Ok(())
    }

    fn note(&mut self, moved: Moved) {
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
}

/// Up to where partitions are folded, and how many records that took.
type Moved = BTreeMap<Partition, (Applied, u64)>;

/// Where the client stands: one past the last offset of each partition that it gave out or passed over.
fn stands(consumer: &SimpleConsumer<Listening>) -> BTreeMap<Partition, NextOffset> {
    // A client that does not say keeps us at the last record: behind, and never wrong.
    let Ok(list) = consumer.position() else { return BTreeMap::new() };
    let one = |element: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>| match element.offset() {
        At::Offset(offset) => Some((Partition(element.partition()), NextOffset(offset))),
        _ => None,
    };
    list.elements().iter().filter_map(one).collect()
}

/// Moves positions on to where the client stands, and never back. Pure.
fn pass(moved: &mut Moved, applied: &BTreeMap<Partition, Applied>, stands: BTreeMap<Partition, NextOffset>) {
    for (partition, next) in stands {
        let Some((at, folded)) = moved.get(&partition).copied().or_else(|| Some((*applied.get(&partition)?, 0))) else {
            continue;
        };
        if next > at.next {
            moved.insert(partition, (Applied { next, ..at }, folded));
        }
    }
}

/// Folds a batch of all partitions over the one store, into `overlay`.
fn fold_all<F: Fold>(
    fold: &F,
    store: &Store,
    applied: &BTreeMap<Partition, Applied>,
    batch: &[BorrowedMessage<'_>],
    overlay: &mut Overlay,
) -> Result<Moved, Error> {
    let mut moved = BTreeMap::new();
    for (partition, at) in applied {
        let inputs = inputs(*partition, *at, batch);
        let Some(last) = inputs.last() else { continue };
        let effects = step(fold, store, overlay, &inputs)?;
        debug_assert!(effects.produce.is_empty(), "a view has no outputs");
        moved.insert(*partition, (last.reached(), inputs.len() as u64));
    }
    Ok(moved)
}

/// The records of one partition that are not applied yet. Between them there may be holes: markers and aborted records.
fn inputs<'m>(partition: Partition, at: Applied, batch: &'m [BorrowedMessage<'_>]) -> Vec<Input<'m>> {
    let mut stream_time = at.stream_time;
    let of_this = |message: &&BorrowedMessage<'_>| {
        message.partition() == partition.0 && Offset(message.offset()) >= at.next.offset()
    };
    let read = |message| {
        let input = Input::read(message, stream_time);
        stream_time = input.time;
        input
    };
    batch.iter().filter(of_this).map(read).collect()
}

fn begin(partition: Partition, at: Applied, ends: Watermarks) -> Result<NextOffset, Stop> {
    if at.next > ends.end {
        return Err(Stop::Beyond { partition, position: at.next, end: ends.end });
    }
    if at.next < ends.earliest {
        return Err(Stop::Deleted { partition, next: at.next, earliest: ends.earliest });
    }
    Ok(at.next)
}

/// Hears, beside what every reader hears, where the log ends.
struct Listening(Progress);

impl ClientContext for Listening {
    fn error(&self, error: KafkaError, reason: &str) {
        AtEnds.error(error, reason);
    }

    fn stats(&self, told: Statistics) {
        for partition in told.topics.values().flat_map(|topic| topic.partitions.values()) {
            if partition.ls_offset >= 0 {
                self.0.heard_end(Partition(partition.partition), NextOffset(partition.ls_offset));
            }
        }
    }
}

impl ConsumerContext for Listening {}

fn consumer(
    config: &Config,
    from: &BTreeMap<Partition, Applied>,
    progress: &Progress,
) -> Result<SimpleConsumer<Listening>, Error> {
    let mut client = config.connection.reader_config(Isolation::Committed);
    client.set("enable.partition.eof", "true").set("queued.max.messages.kbytes", "65536");
    client.set("statistics.interval.ms", TELL_MS);
    let consumer = SimpleConsumer::of(&client, Listening(progress.clone())).map_err(hooklog_log::Error::Client)?;
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
                // The client goes on behind what it cannot read: a hole, which here would look like a marker's.
                | Code::BadMessage
                | Code::BadCompression
                | Code::TopicAuthorizationFailed
                | Code::UnknownTopicOrPartition
        ),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use hooklog_schemas::Millis;

    use super::*;

    fn at(next: i64) -> Applied {
        Applied { next: NextOffset(next), stream_time: Millis(7), last: None }
    }

    fn passed(moved: &[(i32, i64, u64)], stands: &[(i32, i64)]) -> Vec<(i32, i64, u64)> {
        let applied = [(Partition(0), at(10)), (Partition(1), at(20))].into();
        let mut moved = moved.iter().map(|(p, next, folded)| (Partition(*p), (at(*next), *folded))).collect();
        pass(&mut moved, &applied, stands.iter().map(|(p, next)| (Partition(*p), NextOffset(*next))).collect());
        assert!(moved.values().all(|(at, _)| at.stream_time == Millis(7)), "a marker has no time");
        moved.into_iter().map(|(partition, (at, folded))| (partition.0, at.next.0, folded)).collect()
    }

    #[test]
    fn the_position_goes_on_to_where_the_client_stands_and_never_back() {
        assert_eq!(passed(&[(0, 15, 5)], &[(0, 16)]), [(0, 16, 5)]);
        assert_eq!(passed(&[(0, 15, 5)], &[(0, 12)]), [(0, 15, 5)]);
        assert_eq!(passed(&[], &[(0, 11), (1, 20)]), [(0, 11, 0)]);
        assert_eq!(passed(&[], &[(1, 19)]), []);
    }

    #[test]
    fn a_partition_that_is_not_ours_is_left_alone() {
        assert_eq!(passed(&[], &[(7, 99)]), []);
    }
}
