//! A transactional producer: its properties, its queue, and what its errors leave behind, in one place for all who emit.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hooklog_schemas::{Millis, Partition, RawPosition, header};
use rdkafka::TopicPartitionList;
use rdkafka::client::ClientContext;
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{BaseRecord, NoCustomPartitioner, Producer, ProducerContext, ThreadedProducer};

use crate::connection::Connection;
use crate::error::Error;
use crate::native::{self, Class, Failure};

/// How long the coordinator is waited for without a look at whether that is still wanted.
const SLICE: Duration = Duration::from_secs(1);
/// Between two lines about waiting for it.
const TELL: Duration = Duration::from_secs(10);

/// A record on its way out.
pub struct Outgoing<'r> {
    /// The topic's full name.
    pub topic: &'r str,
    /// Its partition.
    pub partition: Partition,
    /// Its key.
    pub key: &'r [u8],
    /// Its value.
    pub value: &'r [u8],
    /// Its time.
    pub time: Millis,
    /// Its headers.
    pub headers: OwnedHeaders,
}

/// `pairs` as the client library wants them, with room for one more.
pub fn headers<'h>(pairs: impl ExactSizeIterator<Item = (&'h str, &'h [u8])>) -> OwnedHeaders {
    let headers = OwnedHeaders::new_with_capacity(pairs.len() + 1);
    pairs.fold(headers, |headers, (key, value)| headers.insert(Header { key, value: Some(value) }))
}

/// The only owner of a transactional id, from one `init_transactions` to the next.
pub struct Transactional {
    id: String,
    producer: ThreadedProducer<Deliveries>,
    /// How long a transaction may stay open, a call take, and a full queue stay full.
    timeout: Duration,
}

impl Transactional {
    /// Makes the producer and ends whatever an earlier owner of `id` left open: a barrier after which every committed
    /// offset of that owner is final. Waits for the coordinator as long as `is_wanted` says so, then gives `None`.
    ///
    /// # Errors
    /// [`Error::Client`] where a property is wrong, [`Error::Producer`] where the coordinator refuses.
    pub fn start(
        connection: &Connection,
        id: &str,
        timeout: Duration,
        is_wanted: impl Fn() -> bool,
    ) -> Result<Option<Transactional>, Error> {
        let producer = properties(connection, id, timeout).create_with_context(Deliveries::default());
        let producer = Transactional { id: id.to_owned(), producer: producer.map_err(Error::Client)?, timeout };
        let mut told = Instant::now();
        loop {
            // A call that ran into its time may be made again, and goes on where it was.
            match producer.producer.init_transactions(SLICE).map_err(|error| classed(&error)) {
                Ok(()) => return Ok(Some(producer)),
                Err(_) if !is_wanted() => return Ok(None),
                Err(failure) if failure.class == Class::Retriable => {
                    if told.elapsed() >= TELL {
                        told = Instant::now();
                        tracing::warn!(id, %failure, "still waiting for the transaction coordinator");
                    }
                }
                Err(failure) => return Err(Error::Producer { id: id.to_owned(), failure }),
            }
        }
    }

    /// The transactional id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Begins a transaction.
    ///
    /// # Errors
    /// [`Failure`]; nothing is open then.
    pub fn begin(&self) -> Result<(), Failure> {
        self.producer.context().failed.store(0, Ordering::Relaxed);
        self.producer.context().refused().clear();
        self.producer.begin_transaction().map_err(|error| classed(&error))
    }

    /// Queues a record; waits where the queue is full.
    ///
    /// # Errors
    /// [`Failure`]; the transaction cannot be committed then.
    pub fn send(&self, record: Outgoing<'_>) -> Result<(), Failure> {
        let deadline = Instant::now() + self.timeout;
        let mut kafka = BaseRecord::to(record.topic)
            .partition(record.partition.0)
            .key(record.key)
            .payload(record.value)
            .timestamp(record.time.0)
            .headers(record.headers);
        loop {
            match self.producer.send(kafka) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back))
                    if Instant::now() < deadline =>
                {
                    kafka = back;
                    // Returns as soon as the queue is empty; a timeout only means that it is not yet.
                    let _ = native::flush(self.producer.client(), Duration::from_millis(20));
                }
                Err((error, record)) => {
                    let refused = error.rdkafka_error_code().zip(origin(record.headers.as_ref()));
                    self.producer.context().refused().extend(refused.map(|(code, origin)| (origin, code)));
                    return Err(classed(&error));
                }
            }
        }
    }

    /// Whether a record of the open transaction was refused. Its end is then known before it is asked for: the client
    /// library commits nothing of it, and sends no request to say so.
    pub fn delivery_failed(&self) -> bool {
        self.producer.context().failed.load(Ordering::Relaxed) > 0
    }

    /// The outputs of the open transaction that were refused, by the record that each names, and why; the first ones of many.
    pub fn refused(&self) -> Vec<(RawPosition, RDKafkaErrorCode)> {
        self.producer.context().refused().clone()
    }

    /// Adds the offsets of `group` to the open transaction.
    ///
    /// # Errors
    /// [`Failure`]; the request may still be under way.
    pub fn send_offsets(&self, offsets: &TopicPartitionList, group: &ConsumerGroupMetadata) -> Result<(), Failure> {
        self.producer.send_offsets_to_transaction(offsets, group, self.timeout).map_err(|error| classed(&error))
    }

    /// Waits until all that is queued is acknowledged or has failed.
    ///
    /// # Errors
    /// [`Failure`] where that takes too long.
    pub fn flush(&self) -> Result<(), Failure> {
        native::flush(self.producer.client(), self.timeout)
    }

    /// Commits the open transaction.
    ///
    /// # Errors
    /// [`Failure`]; unless the transaction [`Transactional::delivery_failed`], its outcome is unknown.
    pub fn commit(&self) -> Result<(), Failure> {
        native::commit(self.producer.client(), self.timeout)
    }

    /// Aborts the open transaction.
    ///
    /// # Errors
    /// [`Failure`]; it then ends with the producer's successor, or with its timeout.
    pub fn abort(&self) -> Result<(), Failure> {
        native::abort(self.producer.client(), self.timeout)
    }
}

/// The user's own come first: what makes a transaction whole is never weakened by one of them.
fn properties(connection: &Connection, id: &str, timeout: Duration) -> rdkafka::ClientConfig {
    let mut config = connection.client();
    let millis = timeout.as_millis().to_string();
    config
        .set("transactional.id", id)
        .set("transaction.timeout.ms", &millis)
        .set("message.timeout.ms", &millis)
        .set("retry.backoff.ms", "100")
        .set("linger.ms", "5")
        .set("batch.num.messages", "10000")
        .set("batch.size", "1000000")
        .set("message.max.bytes", "2097152")
        .set("queue.buffering.max.kbytes", "131072")
        .set("compression.type", "lz4")
        // What was delivered is known by the commit; only what was not is worth a call.
        .set("delivery.report.only.error", "true");
    config
}

/// A failed delivery makes the commit fail; here it is counted, the first one gets its reason into the log, and which outputs
/// were refused is kept.
#[derive(Default)]
struct Deliveries {
    failed: AtomicU64,
    refused: Mutex<Vec<(RawPosition, RDKafkaErrorCode)>>,
}

/// More than one batch holds.
const REFUSED: usize = 20_000;

impl Deliveries {
    fn refused(&self) -> MutexGuard<'_, Vec<(RawPosition, RDKafkaErrorCode)>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Which record an output names as its input.
fn origin(headers: Option<&impl Headers>) -> Option<RawPosition> {
    let header = headers?.iter().find(|header| header.key == header::POSITION)?;
    std::str::from_utf8(header.value?).ok()?.parse().ok()
}

impl ClientContext for Deliveries {}

impl ProducerContext<NoCustomPartitioner> for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, delivery: &DeliveryResult<'_>, (): ()) {
        let Err((error, message)) = delivery else { return };
        if let (Some(code), Some(origin), false) =
            (error.rdkafka_error_code(), origin(message.headers()), is_purged(error))
        {
            let mut refused = self.refused();
            if refused.len() < REFUSED {
                refused.push((origin, code));
            }
        }
        if self.failed.fetch_add(1, Ordering::Relaxed) == 0 && !is_purged(error) {
            tracing::warn!(topic = message.topic(), partition = message.partition(), %error, "a record was not delivered");
        }
    }
}

/// An abort drops what is queued: that is no news.
fn is_purged(error: &KafkaError) -> bool {
    matches!(error.rdkafka_error_code(), Some(RDKafkaErrorCode::PurgeQueue | RDKafkaErrorCode::PurgeInflight))
}

fn classed(error: &KafkaError) -> Failure {
    let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
    let class = match error {
        KafkaError::Transaction(e) if e.is_fatal() => Class::Fatal,
        KafkaError::Transaction(e) if e.txn_requires_abort() => Class::Abortable,
        KafkaError::Transaction(e) if e.is_retriable() => Class::Retriable,
        KafkaError::MessageProduction(RDKafkaErrorCode::Fatal) => Class::Fatal,
        // Nothing was sent: the transaction can be aborted, and if it cannot, the abort says so.
        KafkaError::MessageProduction(_) => Class::Abortable,
        _ => Class::Other,
    };
    Failure { class, code, text: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_keep_their_order_and_take_one_more() {
        let pairs = [("a", &b"1"[..]), ("b", b""), ("a", b"2")];
        let ours = headers(pairs.into_iter()).insert(Header { key: "last", value: Some("x") });
        let seen: Vec<_> = ours.iter().map(|header| (header.key, header.value.unwrap_or_default())).collect();
        assert_eq!(seen, [("a", &b"1"[..]), ("b", b""), ("a", b"2"), ("last", b"x")]);
    }

    #[test]
    fn no_property_of_the_user_shortens_or_renames_a_transaction() {
        let mut connection = Connection::to("127.0.0.1:1");
        connection.properties.insert("transactional.id".into(), "theirs".into());
        connection.properties.insert("delivery.report.only.error".into(), "false".into());
        connection.properties.insert("transaction.timeout.ms".into(), "1".into());
        let config = properties(&connection, "ours", Duration::from_secs(10));
        assert_eq!(config.get("transactional.id"), Some("ours"));
        assert_eq!(config.get("transaction.timeout.ms"), Some("10000"));
        assert_eq!(config.get("delivery.report.only.error"), Some("true"));
    }

    #[test]
    fn a_record_that_was_not_taken_can_be_aborted_and_a_dead_producer_cannot() {
        let refused = |code| classed(&KafkaError::MessageProduction(code)).class;
        assert_eq!(refused(RDKafkaErrorCode::QueueFull), Class::Abortable);
        assert_eq!(refused(RDKafkaErrorCode::State), Class::Abortable);
        assert_eq!(refused(RDKafkaErrorCode::Fatal), Class::Fatal);
        assert_eq!(classed(&KafkaError::Canceled).class, Class::Other);
    }
}
