//! One generation of the producer: what goes in, and what librdkafka reports back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hooklog_schemas::{Offset, Partition, RawPosition};
use rdkafka::config::{ClientConfig, FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::{DeliveryResult, Header, Message, OwnedHeaders};
use rdkafka::metadata::MetadataPartition;
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, PurgeConfig, ThreadedProducer};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientContext, message::ToBytes};
use tokio::sync::{mpsc, oneshot};

use super::confirm::{Acked, Confirm};
use super::{Answer, Append, Readiness, Rejected};
use crate::record::Record;

/// A producer that turned fatal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fatal {
    pub generation: u64,
    /// Whether it ever had a record acknowledged.
    pub acked: bool,
}

/// What librdkafka calls back, on its own threads.
pub(super) struct Reports {
    generation: u64,
    acked: AtomicBool,
    fatal: mpsc::Sender<Fatal>,
    confirm: Confirm,
}

impl Reports {
    fn complain_if_fatal(&self, code: Option<RDKafkaErrorCode>) {
        if code == Some(RDKafkaErrorCode::Fatal) {
            // Full means that a complaint about this producer waits already.
            let _ =
                self.fatal.try_send(Fatal { generation: self.generation, acked: self.acked.load(Ordering::Relaxed) });
        }
    }
}

impl ClientContext for Reports {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        use RDKafkaLogLevel::{Alert, Critical, Emerg, Error, Info, Notice, Warning};
        match level {
            Emerg | Alert | Critical | Error => tracing::error!(facility, "librdkafka: {line}"),
            Warning => tracing::warn!(facility, "librdkafka: {line}"),
            Notice | Info => tracing::info!(facility, "librdkafka: {line}"),
            RDKafkaLogLevel::Debug => tracing::debug!(facility, "librdkafka: {line}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let code = error.rdkafka_error_code();
        match code {
            // Told again at every try, twenty times a second; that raw cannot be written to is told once.
            Some(RDKafkaErrorCode::AllBrokersDown | RDKafkaErrorCode::BrokerTransportFailure) => {
                tracing::debug!(generation = self.generation, "the producer for raw reports {error}: {reason}");
            }
            _ => tracing::warn!(generation = self.generation, "the producer for raw reports {error}: {reason}"),
        }
        self.complain_if_fatal(code);
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = Box<oneshot::Sender<Answer>>;

    fn delivery(&self, result: &DeliveryResult<'_>, answer: Self::DeliveryOpaque) {
        let outcome = match result {
            Ok(message) => placed(message.partition(), message.offset()),
            Err((error, _)) => Err(self.rejected(error)),
        };
        match outcome {
            Ok(position) => {
                self.acked.store(true, Ordering::Relaxed);
                self.hand_in(position, *answer);
            }
            // Nobody waits any more where the deadline passed or the client went away.
            Err(rejected) => drop(answer.send(Err(rejected))),
        }
    }
}

impl Reports {
    /// Never blocks: there is room for everything that may be in flight. Where the thread behind it is gone the answer is
    /// dropped, which is no 200.
    fn hand_in(&self, position: RawPosition, answer: oneshot::Sender<Answer>) {
        let _ = self.confirm.try_send(Acked { generation: self.generation, position, answer });
    }

    fn rejected(&self, error: &KafkaError) -> Rejected {
        let code = error.rdkafka_error_code();
        self.complain_if_fatal(code);
        match code {
            Some(RDKafkaErrorCode::QueueFull) => Rejected::Full,
            Some(RDKafkaErrorCode::PurgeQueue | RDKafkaErrorCode::PurgeInflight | RDKafkaErrorCode::Fatal) => {
                Rejected::Renewing
            }
            Some(RDKafkaErrorCode::MessageTimedOut) => Rejected::Deadline,
            code => Rejected::Kafka(code.unwrap_or(RDKafkaErrorCode::Unknown)),
        }
    }
}

/// An idempotent producer counts a record as delivered, without its offset, where the broker says that it has it
/// already. It is there, but we cannot say where: the sender is told to try again.
fn placed(partition: i32, offset: i64) -> Answer {
    if partition < 0 || offset < 0 {
        return Err(Rejected::Unplaced);
    }
    Ok(RawPosition { partition: Partition(partition), offset: Offset(offset) })
}

/// One generation of the producer. Clones share it.
#[derive(Clone)]
pub(super) struct Producer {
    inner: Arc<ThreadedProducer<Reports>>,
    topic: Arc<str>,
    partitions: u32,
}

impl Producer {
    pub(super) fn make(
        config: &ClientConfig,
        topic: Arc<str>,
        partitions: u32,
        generation: u64,
        fatal: mpsc::Sender<Fatal>,
        confirm: Confirm,
    ) -> KafkaResult<Producer> {
        let reports = Reports { generation, acked: AtomicBool::new(false), fatal, confirm };
        let inner = ThreadedProducer::from_config_and_context(config, reports)?;
        Ok(Producer { inner: Arc::new(inner), topic, partitions })
    }

    /// Hands a record to librdkafka; never blocks. The answer comes from the delivery report, or at once where there
    /// is no room.
    pub(super) fn send(&self, append: Append) {
        if append.answer.is_closed() {
            return;
        }
        let record = &append.record;
        let base = BaseRecord::with_opaque_to(&self.topic, Box::new(append.answer))
            .partition(hooklog_log::partition_for(record.id.as_bytes(), self.partitions).0)
            .key(record.id.as_str())
            .payload(record.body.as_ref())
            .headers(headers(record));
        if let Err((error, refused)) = self.inner.send::<str, [u8]>(base) {
            let rejected = self.inner.client().context().rejected(&error);
            let _ = refused.delivery_opaque.send(Err(rejected));
        }
    }

    /// Whether the cluster knows `raw` with at least the pinned partitions, and each has a leader and the `least` replicas that
    /// an acknowledgement takes. Blocks up to `patience`.
    pub(super) fn look(&self, patience: Duration, least: usize) -> Readiness {
        let metadata = match self.inner.client().fetch_metadata(Some(&self.topic), patience) {
            Ok(metadata) => metadata,
            Err(error) => return Readiness::NotReady(format!("Kafka does not answer: {error}")),
        };
        let found = metadata.topics().iter().find(|topic| topic.name() == &*self.topic);
        let in_sync = |partition: &MetadataPartition| (partition.leader() >= 0).then(|| partition.isr().len());
        let partitions = found.map(|topic| topic.partitions().iter().map(|one| (one.id(), in_sync(one))).collect());
        judge(&self.topic, partitions.unwrap_or_default(), self.partitions, least)
    }

    /// Gives up everything that is queued or in flight: each gets its answer, "not known to be written".
    pub(super) fn abandon(&self) {
        self.inner.purge(PurgeConfig::default().queue().inflight());
    }

    /// Waits until everything is answered, at most `patience`. Blocks.
    pub(super) fn flush(&self, patience: Duration) -> KafkaResult<()> {
        self.inner.flush(patience)
    }

    /// Records that librdkafka has not answered yet.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> i32 {
        self.inner.in_flight_count()
    }
}

fn headers(record: &Record) -> OwnedHeaders {
    record.headers().iter().fold(OwnedHeaders::new_with_capacity(6), |headers, (key, value)| {
        headers.insert(Header { key, value: Some(value.to_bytes()) })
    })
}

/// By partition: how many replicas are in sync, where it has a leader.
type InSync = BTreeMap<i32, Option<usize>>;

fn judge(topic: &str, found: InSync, partitions: u32, least: usize) -> Readiness {
    let ours: Vec<Option<usize>> =
        (0..partitions.cast_signed()).map(|one| found.get(&one).copied().flatten()).collect();
    let led = ours.iter().flatten().count();
    let short = ours.iter().flatten().filter(|in_sync| **in_sync < least).count();
    match (led, short) {
        (0, _) => Readiness::NotReady(format!("topic {topic} is not there")),
        _ if led < ours.len() => {
            Readiness::NotReady(format!("only {led} of the {partitions} partitions of {topic} have a leader"))
        }
        (_, 0) => Readiness::Ready,
        (_, short) => Readiness::NotReady(format!(
            "{short} of the {partitions} partitions of {topic} have fewer than {least} replicas in sync (min.insync.replicas)"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_acknowledgement_without_an_offset_is_no_position() {
        assert_eq!(placed(3, -1), Err(Rejected::Unplaced));
        assert_eq!(placed(3, -1001), Err(Rejected::Unplaced));
        assert_eq!(placed(-1, 5), Err(Rejected::Unplaced));
        assert_eq!(placed(3, 0).unwrap().to_string(), "raw/3/0");
    }

    fn judged(found: &[(i32, Option<usize>)], least: usize) -> Readiness {
        judge("raw", found.iter().copied().collect(), 2, least)
    }

    #[test]
    fn raw_is_ready_when_every_pinned_partition_has_a_leader() {
        for found in [&[][..], &[(0, None), (1, None)], &[(0, Some(1))], &[(0, Some(1)), (1, None), (2, Some(1))]] {
            assert!(matches!(judged(found, 1), Readiness::NotReady(_)), "{found:?}");
        }
        assert_eq!(judged(&[(0, Some(1)), (1, Some(1))], 1), Readiness::Ready);
        assert_eq!(judged(&[(0, Some(1)), (1, Some(1)), (2, None)], 1), Readiness::Ready, "one more than is pinned");
    }

    #[test]
    fn raw_is_not_ready_below_the_replicas_that_an_acknowledgement_takes() {
        assert_eq!(judged(&[(0, Some(3)), (1, Some(2))], 2), Readiness::Ready);
        let short = judged(&[(0, Some(3)), (1, Some(1))], 2);
        assert!(matches!(&short, Readiness::NotReady(why) if why.contains("min.insync.replicas")), "{short:?}");
        assert_eq!(judged(&[(0, Some(2)), (1, Some(2)), (2, Some(0))], 2), Readiness::Ready, "one more than is pinned");
    }

    #[test]
    fn a_fatal_error_is_reported_with_its_generation_and_others_are_not() {
        let (fatal, mut complaints) = mpsc::channel(1);
        let (confirm, _confirmer) = std::sync::mpsc::sync_channel(1);
        let reports = Reports { generation: 7, acked: AtomicBool::new(true), fatal, confirm };
        let error = |code| KafkaError::MessageProduction(code);
        assert_eq!(reports.rejected(&error(RDKafkaErrorCode::QueueFull)), Rejected::Full);
        assert_eq!(reports.rejected(&error(RDKafkaErrorCode::MessageTimedOut)), Rejected::Deadline);
        assert!(complaints.try_recv().is_err());
        for _ in 0..3 {
            assert_eq!(reports.rejected(&error(RDKafkaErrorCode::Fatal)), Rejected::Renewing);
        }
        assert_eq!(complaints.try_recv(), Ok(Fatal { generation: 7, acked: true }));
        assert!(complaints.try_recv().is_err());
    }
}
