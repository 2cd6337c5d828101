//! One partition, from one offset to another, in bounded memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hooklog_schemas::{NextOffset, Offset, Partition};
use rdkafka::client::ClientContext;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{Offset as At, Statistics, TopicPartitionList};

use crate::connection::{AtEnds, Connection, Isolation};
use crate::error::Error;
use crate::simple::SimpleConsumer;

/// How long a partition that has more to give may give nothing before reading it counts as failed.
const SILENCE: Duration = Duration::from_secs(60);
/// How long one poll waits: what the statistics tell in it is seen after it.
const POLL: Duration = Duration::from_millis(100);
/// How often the client tells at which offset it met a partition's end, in milliseconds.
pub const TELL_MS: &str = "500";
/// How much of a partition waits in memory, in KiB.
const READ_AHEAD_KIB: &str = "16384";

/// Which records of one partition to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetRange {
    /// The topic's full name.
    pub topic: String,
    /// The partition.
    pub partition: Partition,
    /// The first record that is wanted.
    pub from: NextOffset,
    /// One past the last one. Where it lies beyond what can be read now, the reader waits for it.
    pub to: NextOffset,
}

/// Reads an [`OffsetRange`] in order, all of it.
///
/// The client's word that a partition has ended means the end that the replica knew which answered: a follower
/// (`client.rack`), or a leader whose high watermark lags, ends earlier than the one that was asked for the span's end. So it
/// ends a span only where everything before the span's end was given or passed over.
pub struct Reader {
    consumer: SimpleConsumer<Ended>,
    ended: Ended,
    /// Whether the partition's end was met since the last record.
    met_end: bool,
    span: OffsetRange,
    next: NextOffset,
    silence: Duration,
}

impl Reader {
    /// Opens a reader at the beginning of `span`.
    ///
    /// # Errors
    /// [`Error::Client`] where a property is wrong, [`Error::Read`] where the partition cannot be read.
    pub fn open(connection: &Connection, isolation: Isolation, span: OffsetRange) -> Result<Reader, Error> {
        let mut config = connection.reader_config(isolation);
        config.set("enable.partition.eof", "true").set("queued.max.messages.kbytes", READ_AHEAD_KIB);
        config.set("statistics.interval.ms", TELL_MS);
        let ended = Ended::default();
        let consumer = SimpleConsumer::of(&config, ended.clone()).map_err(Error::Client)?;
        let mut assigned = TopicPartitionList::with_capacity(1);
        assigned
            .add_partition_offset(&span.topic, span.partition.0, At::Offset(span.from.0))
            .and_then(|()| consumer.assign(&assigned))
            .map_err(|error| stopped(&span, error.to_string()))?;
        Ok(Reader { consumer, ended, met_end: false, next: span.from, span, silence: SILENCE })
    }

    /// The same, with another limit for how long the partition may give nothing.
    #[must_use]
    pub fn with_silence(self, silence: Duration) -> Reader {
        Reader { silence, ..self }
    }

    /// The next record, or `None` once the span is done. Offsets that hold no record (markers of transactions, aborted
    /// records) are passed over.
    ///
    /// # Errors
    /// [`Error::Read`] where the partition cannot be read on, was truncated, or is silent for a minute.
    #[expect(
        clippy::should_implement_trait,
        reason = "what it gives borrows from it, which an iterator's items cannot"
    )]
    pub fn next(&mut self) -> Result<Option<BorrowedMessage<'_>>, Error> {
        if self.next >= self.span.to {
            return Ok(None);
        }
        let deadline = Instant::now() + self.silence;
        loop {
            let (polled, message) = match self.consumer.poll(POLL) {
                Some(Ok(message)) => (Polled::Record(Offset(message.offset())), Some(message)),
                Some(Err(KafkaError::PartitionEOF(_))) => (Polled::End, None),
                Some(Err(error)) if !passing(&error) => return Err(stopped(&self.span, error.to_string())),
                Some(Err(_)) => (Polled::Trouble, None),
                None => (Polled::Nothing, None),
            };
            self.met_end = matches!(polled, Polled::End) || self.met_end && message.is_none();
            // Statistics overtake queued records; the end that was met does not. Only behind that one they tell of nothing else.
            let ended_at = || self.ended.at(self.span.partition).filter(|_| self.met_end);
            match (turn(polled, || self.stands(), ended_at, self.span.to), message) {
                (Turn::Give(offset), Some(message)) => {
                    self.next = offset.next();
                    return Ok(Some(message));
                }
                (Turn::Done, _) => {
                    self.next = self.span.to;
                    return Ok(None);
                }
                _ if Instant::now() >= deadline => return Err(stopped(&self.span, self.silent())),
                _ => {}
            }
        }
    }

    fn stands(&self) -> Option<NextOffset> {
        stands(&self.consumer, &self.span.topic, self.span.partition)
    }

    fn silent(&self) -> String {
        let (next, to, seconds) = (self.next, self.span.to, self.silence.as_secs());
        format!(
            "no record from offset {next} on arrived for {seconds} s, though the partition ends at {to}; is the broker up, and is the replica that is read in sync?"
        )
    }

    /// Where the reader stands: one past the last record that it gave out.
    pub fn position(&self) -> NextOffset {
        self.next
    }
}

/// What a poll brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Polled {
    Record(Offset),
    /// The partition's end, as the replica knows it that answered.
    End,
    Nothing,
    /// Something that passes by itself; records may wait behind it.
    Trouble,
}

/// What follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Give(Offset),
    /// The span is done: everything before its end was given or passed over.
    Done,
    Wait,
}

/// Decides on what was polled, where the client `stands`, it last met the partition's end at `ended_at`, and the span goes up
/// to `to`. Pure.
///
/// What was aborted moves the client's position only with the marker behind it, which may lie beyond the span. Then the
/// position stays behind for good, and `ended_at` tells. It may be ahead of what is still queued, so it counts only where
/// nothing is: nothing was polled, and the partition's end was met since the last record.
fn turn(
    polled: Polled,
    stands: impl Fn() -> Option<NextOffset>,
    ended_at: impl Fn() -> Option<NextOffset>,
    to: NextOffset,
) -> Turn {
    let is_past = |at: Option<NextOffset>| at.is_some_and(|at| at >= to);
    match polled {
        Polled::Record(offset) if offset < to.offset() => Turn::Give(offset),
        Polled::Record(_) => Turn::Done,
        Polled::End if is_past(stands()) => Turn::Done,
        Polled::Nothing if is_past(stands()) || is_past(ended_at()) => Turn::Done,
        Polled::End | Polled::Nothing | Polled::Trouble => Turn::Wait,
    }
}

/// Where `consumer` stands in a partition: one past the last offset that it gave out or passed over. None where it has not
/// given out anything.
pub fn stands<C: ConsumerContext>(
    consumer: &SimpleConsumer<C>,
    topic: &str,
    partition: Partition,
) -> Option<NextOffset> {
    let list = consumer.position().ok()?;
    match list.find_partition(topic, partition.0)?.offset() {
        At::Offset(offset) => Some(NextOffset(offset)),
        _ => None,
    }
}

/// Hears, beside what every reader hears, where partitions ended. Its clones hear the same.
#[derive(Clone, Debug, Default)]
pub struct Ended(Arc<Mutex<BTreeMap<Partition, NextOffset>>>);

impl Ended {
    /// One past everything that the client had fetched or passed over when it last met the end of `partition`. Told every
    /// [`TELL_MS`] where the client is set up so; records that were fetched before may still be queued.
    pub fn at(&self, partition: Partition) -> Option<NextOffset> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&partition).copied()
    }
}

impl ClientContext for Ended {
    fn error(&self, error: KafkaError, reason: &str) {
        AtEnds.error(error, reason);
    }

    fn stats(&self, told: Statistics) {
        let mut ended = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for partition in told.topics.values().flat_map(|topic| topic.partitions.values()) {
            if partition.eof_offset >= 0 {
                ended.insert(Partition(partition.partition), NextOffset(partition.eof_offset));
            }
        }
    }
}

impl ConsumerContext for Ended {}

/// Whether librdkafka goes on by itself after this: brokers come back, and while none is there silence sets the limit.
fn passing(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    let KafkaError::MessageConsumption(code) = error else { return false };
    matches!(
        code,
        Code::AllBrokersDown
            | Code::BrokerTransportFailure
            | Code::OperationTimedOut
            | Code::Resolve
            | Code::NotCoordinator
    )
}

fn stopped(span: &OffsetRange, reason: String) -> Error {
    Error::Read { topic: span.topic.clone(), partition: span.partition, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decided(polled: Polled, stands: i64, ended_at: Option<i64>, to: i64) -> Turn {
        turn(polled, || Some(NextOffset(stands)), || ended_at.map(NextOffset), NextOffset(to))
    }

    #[test]
    fn a_span_is_done_only_where_everything_before_its_end_was_given_or_passed_over() {
        use Polled::{End, Nothing, Record, Trouble};
        let give = |offset| Turn::Give(Offset(offset));
        let table = [
            (Record(Offset(4)), 4, None, 5, give(4)),
            (Record(Offset(5)), 5, None, 5, Turn::Done),
            (Record(Offset(9)), 5, None, 5, Turn::Done),
            // The end of a replica that lags.
            (End, 3, None, 5, Turn::Wait),
            (End, 3, Some(3), 5, Turn::Wait),
            (Nothing, 3, Some(3), 5, Turn::Wait),
            (Nothing, 3, None, 5, Turn::Wait),
            // Markers were passed up to the end or beyond it.
            (End, 5, None, 5, Turn::Done),
            (End, 6, None, 5, Turn::Done),
            (Nothing, 5, None, 5, Turn::Done),
            // What was aborted lies before the end, its marker beyond it.
            (Nothing, 3, Some(5), 5, Turn::Done),
            (Nothing, 3, Some(7), 5, Turn::Done),
            // A later end was told of than this one: what lies between may still be queued.
            (End, 3, Some(5), 5, Turn::Wait),
            (Record(Offset(3)), 3, Some(5), 5, give(3)),
            // A broker went away: what was fetched before is still queued.
            (Trouble, 3, Some(5), 5, Turn::Wait),
            (Trouble, 5, Some(5), 5, Turn::Wait),
        ];
        for (polled, stands, ended_at, to, expected) in table {
            assert_eq!(decided(polled, stands, ended_at, to), expected, "{polled:?} {stands} {ended_at:?} {to}");
        }
    }

    #[test]
    fn a_client_that_does_not_say_where_it_stands_has_read_nothing() {
        let wait = |polled| turn(polled, || None, || None, NextOffset(0));
        assert_eq!([wait(Polled::End), wait(Polled::Nothing)], [Turn::Wait, Turn::Wait]);
    }
}
