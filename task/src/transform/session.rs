//! The transactional producer of a worker, from one `init_transactions` to the next.

use std::time::Duration;

use hooklog_log::Connection;
use hooklog_log::hanging::{Places, abort_everywhere};
use hooklog_log::native::Failure;
use hooklog_log::producer::{Outgoing, Transactional, headers};
use hooklog_schemas::RawPosition;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::RDKafkaErrorCode;
use tokio_util::sync::CancellationToken;

use crate::error::Error;
use crate::fold::Record;

/// How long a transaction may stay open; also how long a killed worker's outputs hold up readers.
const TRANSACTION: Duration = Duration::from_secs(10);

pub(super) struct Session {
    producer: Transactional,
    topic: String,
}

impl Session {
    /// As [`Transactional::start`]; waits no longer than `stop` allows.
    pub(super) fn start(
        connection: &Connection,
        id: &str,
        topic: &str,
        stop: &CancellationToken,
    ) -> Result<Session, Error> {
        let producer = Transactional::start(connection, id, TRANSACTION, || !stop.is_cancelled())?;
        Ok(Session { producer: producer.ok_or(Error::Cancelled)?, topic: topic.to_owned() })
    }

    pub(super) fn id(&self) -> &str {
        self.producer.id()
    }

    pub(super) fn begin(&self) -> Result<(), Failure> {
        self.producer.begin()
    }

    pub(super) fn send(&self, record: &Record<'_>) -> Result<(), Failure> {
        self.producer.send(Outgoing {
            topic: &self.topic,
            partition: record.partition,
            key: record.key.as_bytes(),
            value: record.value,
            time: record.time,
            headers: headers(record.headers.iter().map(|(key, value)| (*key, value.as_ref()))),
        })
    }

    /// Ends what hangs of this producer anywhere in `places`, as aborted.
    pub(super) fn abort_everywhere(&self, connection: &Connection, places: Places<'_>) -> Result<(), Failure> {
        abort_everywhere(connection, &self.producer, places)
    }

    pub(super) fn delivery_failed(&self) -> bool {
        self.producer.delivery_failed()
    }

    pub(super) fn refused(&self) -> Vec<(RawPosition, RDKafkaErrorCode)> {
        self.producer.refused()
    }

    pub(super) fn send_offsets(
        &self,
        offsets: &TopicPartitionList,
        group: &ConsumerGroupMetadata,
    ) -> Result<(), Failure> {
        self.producer.send_offsets(offsets, group)
    }

    pub(super) fn commit(&self) -> Result<(), Failure> {
        self.producer.commit()
    }

    pub(super) fn abort(&self) -> Result<(), Failure> {
        self.producer.abort()
    }
}
