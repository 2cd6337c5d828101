//! One partition, from one offset to another, in bounded memory.

use std::time::{Duration, Instant};

use hooklog_schemas::{NextOffset, Offset, Partition};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{Offset as At, TopicPartitionList};

use crate::connection::{AtEnds, Connection, Isolation};
use crate::error::Error;
use crate::simple::SimpleConsumer;

/// How long a partition that has more to give may give nothing before reading it counts as failed.
const SILENCE: Duration = Duration::from_secs(60);
/// How much of a partition waits in memory, in KiB.
const READ_AHEAD_KIB: &str = "16384";

/// Which records of one partition to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The topic's full name.
    pub topic: String,
    /// The partition.
    pub partition: Partition,
    /// The first record that is wanted.
    pub from: NextOffset,
    /// One past the last one; must not lie beyond the end that `isolation` can reach when the reader is opened.
    pub to: NextOffset,
}

/// Reads a [`Span`] in order.
pub struct Reader {
    consumer: SimpleConsumer<AtEnds>,
    span: Span,
    next: NextOffset,
}

impl Reader {
    /// Opens a reader at the beginning of `span`.
    ///
    /// # Errors
    /// [`Error::Client`] where a property is wrong, [`Error::Read`] where the partition cannot be read.
    pub fn open(connection: &Connection, isolation: Isolation, span: Span) -> Result<Reader, Error> {
        let mut config = connection.reader_config(isolation);
        config.set("enable.partition.eof", "true").set("queued.max.messages.kbytes", READ_AHEAD_KIB);
        let consumer = SimpleConsumer::of(&config, AtEnds).map_err(Error::Client)?;
        let mut assigned = TopicPartitionList::with_capacity(1);
        assigned
            .add_partition_offset(&span.topic, span.partition.0, At::Offset(span.from.0))
            .and_then(|()| consumer.assign(&assigned))
            .map_err(|error| stopped(&span, error.to_string()))?;
        Ok(Reader { consumer, next: span.from, span })
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
        let deadline = Instant::now() + SILENCE;
        let span = &self.span;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.consumer.poll(left) {
                Some(Ok(message)) if Offset(message.offset()) < span.to.offset() => {
                    self.next = Offset(message.offset()).next();
                    return Ok(Some(message));
                }
                Some(Ok(_) | Err(KafkaError::PartitionEOF(_))) => {
                    self.next = span.to;
                    return Ok(None);
                }
                Some(Err(error)) if passing(&error) => {}
                Some(Err(error)) => return Err(stopped(span, error.to_string())),
                None if left.is_zero() => return Err(stopped(span, silent(self.next))),
                None => {}
            }
        }
    }

    /// Where the reader stands: one past the last record that it gave out.
    pub fn position(&self) -> NextOffset {
        self.next
    }
}

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

fn stopped(span: &Span, reason: String) -> Error {
    Error::Read { topic: span.topic.clone(), partition: span.partition, reason }
}

fn silent(next: NextOffset) -> String {
    format!("nothing came from offset {next} on for {} s; is the broker up?", SILENCE.as_secs())
}
