//! Transactions by the bare calls of librdkafka: rdkafka's own commit takes 100 ms.

use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use hooklog_log::native;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};

use crate::clients;

const DEADLINE: Duration = Duration::from_secs(10);

/// A transactional producer with a thread that polls it.
pub(crate) struct Transactions(ThreadedProducer<DefaultProducerContext>);

impl Transactions {
    pub(crate) fn open(brokers: &str, id: &str) -> Result<Self> {
        let producer: ThreadedProducer<_> = clients::transactional(brokers, id).create()?;
        producer.init_transactions(DEADLINE).context("the broker gives no transactions")?;
        Ok(Self(producer))
    }

    pub(crate) fn begin(&self) -> Result<()> {
        self.0.begin_transaction().context("cannot begin a transaction")
    }

    pub(crate) fn send(&self, record: BaseRecord<'_, str, [u8]>) -> Result<()> {
        self.0.send(record).map_err(|(error, _)| anyhow!(error).context("cannot write to events"))
    }

    /// Sends the offsets last: right after a commit the coordinator makes an early request wait.
    pub(crate) fn commit(&self, next: &TopicPartitionList, group: &ConsumerGroupMetadata) -> Result<()> {
        self.0.send_offsets_to_transaction(next, group, DEADLINE).context("cannot add the offsets")?;
        native::commit(self.0.client(), DEADLINE).context("cannot commit")
    }
}
