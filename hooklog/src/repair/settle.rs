//! Ends what a power loss, or a coordinator that skipped markers, may have left open for ever.
//!
//! Where the log has kept records of a transaction and lost the marker that ended it, while the coordinator remembers the
//! end, nobody ends it any more: readers of committed records wait there, and the next transaction of the same producer
//! would commit what was perhaps aborted. So every producer of ours aborts once, in every place where it may have written.
//! What that takes away was written from `raw`, and is written again.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use hooklog_log::committed::{Committed, listed};
use hooklog_log::connection::Isolation;
use hooklog_log::native;
use hooklog_schemas::NextOffset;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};

use super::group::Group;

/// How long the coordinator may take, and a transaction may stay open.
const PATIENCE: Duration = Duration::from_secs(30);
/// A transaction of a processor that was killed ends by itself within its timeout, and the coordinator's own time.
const BY_ITSELF: Duration = Duration::from_secs(15);

impl Group {
    /// Whether a transaction that does not end by itself keeps the group's offsets from being read.
    pub(super) fn is_held_back(&self) -> bool {
        self.stable(BY_ITSELF).is_err()
    }

    /// Ends such a transaction of the instance that has this data directory; where that `is_asked_for`, since it writes.
    pub(super) fn let_go(&mut self, is_asked_for: bool) -> Result<()> {
        if !is_asked_for {
            bail!(
                "a transaction that nobody ends holds the offsets of {} back; --apply aborts what this data directory's processor has open",
                self.task.group
            );
        }
        self.task.instance = self.kept_instance().context(
            "the data directory holds no processor, so its producers are not known: give the --data-dir of the processor",
        )?;
        tracing::warn!("aborting what the producers of instance {} have left open", self.task.instance);
        self.end_what_is_open()
    }

    /// Aborts, as each of the processor's producers of this instance and as the one called `repair`, a transaction that
    /// covers all partitions of `events` and the group's offsets. No reader of committed records sees anything of it.
    pub(crate) fn end_what_is_open(&self) -> Result<()> {
        // Never more workers than partitions; how many there were may have been another machine's cores.
        let workers = 0..self.task.input.partitions as usize;
        let mut ids = workers.map(|n| self.task.transactional_id(n)).chain([self.repair.clone()]);
        ids.try_for_each(|id| self.abort_once(&id))
    }

    fn abort_once(&self, id: &str) -> Result<()> {
        let producer = self.producer(id)?;
        producer.init_transactions(PATIENCE).context("no transaction can be begun; is the broker up?")?;
        producer.begin_transaction()?;
        for partition in 0..self.task.output.partitions.cast_signed() {
            let record = BaseRecord::to(&self.task.output.name).partition(partition).key("").payload("");
            producer.send(record).map_err(|(error, _)| error)?;
        }
        producer.flush(PATIENCE)?;
        self.touch_offsets(&producer)?;
        native::abort(producer.client(), PATIENCE).context("what was left open could not be aborted")
    }

    fn producer(&self, id: &str) -> Result<ThreadedProducer<DefaultProducerContext>> {
        let millis = PATIENCE.as_millis().to_string();
        let mut config = self.task.connection.client();
        config.set("transactional.id", id).set("transaction.timeout.ms", &millis).set("message.timeout.ms", &millis);
        Ok(config.create().map_err(hooklog_log::Error::Client)?)
    }

    /// Offsets for the group, by nobody of its members; aborted with the rest, so what they say does not matter.
    fn touch_offsets(&self, producer: &ThreadedProducer<DefaultProducerContext>) -> Result<()> {
        let offset = |partition| Committed { partition, next: NextOffset::ZERO, metadata: String::new() };
        let offsets: Vec<_> = self.partitions().into_iter().map(offset).collect();
        let offsets = listed(&self.task.input.name, &offsets)?;
        let mut config = self.task.connection.reader_config(Isolation::Committed);
        let nobody: BaseConsumer =
            config.set("group.id", &self.task.group).create().map_err(hooklog_log::Error::Client)?;
        let group = nobody.group_metadata().context("the client library tells no group")?;
        Ok(producer.send_offsets_to_transaction(&offsets, &group, PATIENCE)?)
    }
}
