//! The way from the HTTP edge into `raw`: a bounded queue to one task that owns the producer.
//!
//! An answer to an [`Append`] is Kafka's own word, and that the topic is still the one it was. No answer, a late one or a dropped one all mean "not known to be
//! written", never "written".

mod confirm;
mod producer;
mod properties;
mod renewal;
mod task;

use std::time::Duration;

use hooklog_schemas::RawPosition;
use rdkafka::types::RDKafkaErrorCode;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::record::Record;
use crate::{Config, Error};

/// Why a record is not known to be in `raw`. It may be there all the same: the sender's next attempt is then a
/// duplicate, which costs nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Rejected {
    #[error("the queue to Kafka is full")]
    Full,
    #[error("the producer is being renewed")]
    Renewing,
    #[error("the service is stopping")]
    Stopping,
    #[error("Kafka did not acknowledge within the deadline")]
    Deadline,
    #[error("Kafka acknowledged without saying where the record stands")]
    Unplaced,
    #[error("raw is not the topic that it was when this process started")]
    OtherLog,
    #[error("it is not known whether raw is still the topic that it was when this process started")]
    Doubtful,
    #[error("Kafka refused the record: {0}")]
    Kafka(RDKafkaErrorCode),
}

impl Rejected {
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Full => "queue_full",
            Self::Renewing => "producer_renewing",
            Self::Stopping => "stopping",
            Self::Deadline => "ack_deadline",
            Self::Unplaced => "unplaced",
            Self::OtherLog => "other_log",
            Self::Doubtful => "doubtful",
            Self::Kafka(_) => "kafka",
        }
    }
}

pub(crate) type Answer = Result<RawPosition, Rejected>;

/// A record on its way to `raw`, and where its answer goes.
#[derive(Debug)]
pub(crate) struct Append {
    pub record: Record,
    pub answer: oneshot::Sender<Answer>,
}

/// Whether `raw` can be written to, as far as the last look says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Readiness {
    Ready,
    NotReady(String),
}

/// The edge's end of the queue.
#[derive(Clone, Debug)]
pub(crate) struct Appender {
    queue: mpsc::Sender<Append>,
    readiness: watch::Receiver<Readiness>,
    deadline: Duration,
}

impl Appender {
    pub(crate) fn new(
        queue: mpsc::Sender<Append>,
        readiness: watch::Receiver<Readiness>,
        deadline: Duration,
    ) -> Appender {
        Appender { queue, readiness, deadline }
    }

    /// Writes `record` and waits for Kafka's acknowledgement, at most until the deadline.
    pub(crate) async fn append(&self, record: Record) -> Answer {
        let (answer, answered) = oneshot::channel();
        self.queue.try_send(Append { record, answer }).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => Rejected::Full,
            mpsc::error::TrySendError::Closed(_) => Rejected::Stopping,
        })?;
        match tokio::time::timeout(self.deadline, answered).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_dropped)) => Err(Rejected::Stopping),
            Err(_elapsed) => Err(Rejected::Deadline),
        }
    }

    pub(crate) fn readiness(&self) -> Readiness {
        self.readiness.borrow().clone()
    }
}

/// Starts the task that owns the producer. It ends when every [`Appender`] is gone; until then its end is a defect.
pub(crate) fn start(config: &Config) -> Result<(Appender, JoinHandle<()>), Error> {
    let (queue, appends) = mpsc::channel(config.limits.queue_records);
    let (report, readiness) = watch::channel(Readiness::NotReady("Kafka has not answered yet".to_owned()));
    let task = task::Task::new(config, report)?;
    Ok((Appender::new(queue, readiness, config.limits.ack_timeout), tokio::spawn(task.run(appends))))
}
