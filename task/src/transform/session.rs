//! The transactional producer, from one `init_transactions` to the next.

use std::time::{Duration, Instant};

use hooklog_log::Connection;
use hooklog_log::native::{self, Class, Failure};
use rdkafka::TopicPartitionList;
use rdkafka::client::ClientContext;
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseRecord, NoCustomPartitioner, Producer, ProducerContext, ThreadedProducer};

use crate::error::Error;
use crate::fold::Record;

/// How long the coordinator may take to end what an earlier owner of the id left open.
const INIT: Duration = Duration::from_secs(60);
/// How long a transaction may stay open; also how long a killed worker's outputs hold up readers.
const TRANSACTION: Duration = Duration::from_secs(10);
/// How long a full queue may stay full.
const QUEUE: Duration = Duration::from_secs(10);

pub(super) struct Session {
    id: String,
    producer: ThreadedProducer<Deliveries>,
    topic: String,
}

/// A failed delivery makes the commit fail; here it only gets its reason into the log.
struct Deliveries;

impl ClientContext for Deliveries {}

impl ProducerContext<NoCustomPartitioner> for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, delivery: &DeliveryResult<'_>, (): ()) {
        if let Err((error, message)) = delivery {
            tracing::warn!(topic = message.topic(), partition = message.partition(), %error, "a record was not delivered");
        }
    }
}

impl Session {
    /// Makes the producer and ends whatever an earlier owner of `id` left open: a barrier after which every committed
    /// offset of that owner is final.
    pub(super) fn start(connection: &Connection, id: &str, topic: &str) -> Result<Session, Error> {
        let mut config = connection.client();
        let millis = TRANSACTION.as_millis().to_string();
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
        let producer: ThreadedProducer<Deliveries> =
            config.create_with_context(Deliveries).map_err(hooklog_log::Error::Client)?;
        let session = Session { id: id.to_owned(), producer, topic: topic.to_owned() };
        let ready = session.producer.init_transactions(INIT).map_err(|error| classed(&error));
        ready.map_err(|failure| Error::Producer { id: id.to_owned(), failure })?;
        Ok(session)
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn begin(&self) -> Result<(), Failure> {
        self.producer.begin_transaction().map_err(|error| classed(&error))
    }

    /// Queues a record; waits where the queue is full.
    pub(super) fn send(&self, record: &Record<'_>) -> Result<(), Failure> {
        let deadline = Instant::now() + QUEUE;
        let mut kafka = BaseRecord::to(&self.topic)
            .partition(record.partition.0)
            .key(record.key.as_bytes())
            .payload(record.value)
            .timestamp(record.time.0)
            .headers(headers(record));
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
                Err((error, _)) => return Err(classed(&error)),
            }
        }
    }

    pub(super) fn send_offsets(
        &self,
        offsets: &TopicPartitionList,
        group: &ConsumerGroupMetadata,
    ) -> Result<(), Failure> {
        self.producer.send_offsets_to_transaction(offsets, group, TRANSACTION).map_err(|error| classed(&error))
    }

    pub(super) fn commit(&self) -> Result<(), Failure> {
        native::commit(self.producer.client(), TRANSACTION)
    }

    pub(super) fn abort(&self) -> Result<(), Failure> {
        native::abort(self.producer.client(), TRANSACTION)
    }
}

fn headers(record: &Record<'_>) -> OwnedHeaders {
    let headers = OwnedHeaders::new_with_capacity(record.headers.len());
    record
        .headers
        .iter()
        .fold(headers, |headers, (key, value)| headers.insert(Header { key, value: Some(value.as_ref()) }))
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
