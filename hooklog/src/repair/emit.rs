//! The transactions in which repaired events go out.

use std::cell::Cell;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use hooklog_log::native;
use hooklog_task::Record;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};

use crate::audit::Subject;
use hooklog_schemas::header::REPAIRED;

/// How long the coordinator may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a transaction may stay open, and a full queue full.
const TRANSACTION: Duration = Duration::from_secs(30);
/// Each transaction is whole by itself: a repair that ends half way is taken up by the next one.
const AT_ONCE: usize = 2_000;

/// Writes to `events`, as one of a kind: starting a second one ends the first.
pub(super) struct Emitter {
    producer: ThreadedProducer<DefaultProducerContext>,
    topic: String,
    open: Cell<usize>,
}

impl Emitter {
    pub(super) fn start(subject: &Subject) -> Result<Emitter> {
        let millis = TRANSACTION.as_millis().to_string();
        let mut config = subject.connection.client();
        config
            .set("transactional.id", subject.topics.topics.group("repair"))
            .set("transaction.timeout.ms", &millis)
            .set("message.timeout.ms", &millis)
            .set("message.max.bytes", "2097152")
            .set("compression.type", "lz4");
        let producer: ThreadedProducer<_> = config.create().map_err(hooklog_log::Error::Client)?;
        producer.init_transactions(PATIENCE).context("no transaction can be begun; is the cluster up?")?;
        Ok(Emitter { producer, topic: subject.topics.events.name.clone(), open: Cell::new(0) })
    }

    /// Queues `record`, marked.
    pub(super) fn emit(&self, record: &Record<'_>) -> Result<()> {
        if self.open.get() == 0 {
            self.producer.begin_transaction()?;
        }
        self.send(record)?;
        self.open.set(self.open.get() + 1);
        if self.open.get() >= AT_ONCE { self.finish() } else { Ok(()) }
    }

    /// Commits what is open.
    pub(super) fn finish(&self) -> Result<()> {
        if self.open.take() > 0 {
            let committed = native::commit(self.producer.client(), TRANSACTION);
            committed.context("the repair was not committed; run `hooklog audit`, then repair again")?;
        }
        Ok(())
    }

    fn send(&self, record: &Record<'_>) -> Result<()> {
        let mut kafka = BaseRecord::to(&self.topic)
            .partition(record.partition.0)
            .key(record.key.as_bytes())
            .payload(record.value)
            .timestamp(record.time.0)
            .headers(marked(record));
        let deadline = Instant::now() + TRANSACTION;
        loop {
            match self.producer.send(kafka) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back))
                    if Instant::now() < deadline =>
                {
                    kafka = back;
                    // A timeout only means that the queue is not empty yet.
                    let _ = native::flush(self.producer.client(), Duration::from_millis(20));
                }
                Err((error, _)) => {
                    return Err(error).context("an event was not taken; nothing of this transaction counts");
                }
            }
        }
    }
}

fn marked(record: &Record<'_>) -> OwnedHeaders {
    let headers = record
        .headers
        .iter()
        .fold(OwnedHeaders::new(), |headers, (key, value)| headers.insert(Header { key, value: Some(value.as_ref()) }));
    headers.insert(Header { key: REPAIRED, value: Some("true") })
}
