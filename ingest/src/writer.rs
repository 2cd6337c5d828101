//! The way from the HTTP edge into `raw`: a bounded queue to one task that owns the producer.
//!
//! An answer to an [`Append`] is Kafka's own word, and that the topic is still the one it was. No answer, a late one or a dropped one all mean "not known to be
//! written", never "written".

mod confirm;
mod producer;
mod properties;
mod renewal;
mod task;

use std::sync::Arc;
use std::time::Duration;

use hooklog_schemas::RawPosition;
use rdkafka::types::RDKafkaErrorCode;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::record::Record;
use crate::{Config, Error, Limits};

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
    #[error("the log is not open for writing")]
    NotOpen,
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
            Self::NotOpen => "not_open",
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

/// Whether ingest can write to `raw`, for whoever asks from outside. Clones share it.
#[derive(Clone, Debug)]
pub struct Status(Arc<watch::Sender<Readiness>>);

impl Status {
    /// Of an ingest that is not open, for this reason.
    pub fn closed(why: impl Into<String>) -> Status {
        Status(Arc::new(watch::Sender::new(Readiness::NotReady(why.into()))))
    }

    /// Says why it is not open.
    pub fn close(&self, why: impl Into<String>) {
        self.0.send_replace(Readiness::NotReady(why.into()));
    }

    /// Why `raw` cannot be written to, as far as the last look says; nothing where it can.
    pub fn why_not(&self) -> Option<String> {
        match &*self.0.borrow() {
            Readiness::Ready => None,
            Readiness::NotReady(why) => Some(why.clone()),
        }
    }

    /// Takes a look's result; whether it is news.
    fn look(&self, readiness: &Readiness) -> bool {
        self.0.send_if_modified(|known| {
            let changed = known != readiness;
            known.clone_from(readiness);
            changed
        })
    }
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
pub(crate) fn start(config: &Config, standing: &Status) -> Result<(Appender, JoinHandle<()>), Error> {
    let (queue, appends) = mpsc::channel(config.limits.queue_records);
    standing.0.send_replace(Readiness::NotReady("Kafka has not answered yet".to_owned()));
    let task = task::Task::new(config, standing.clone())?;
    let appender = Appender::new(queue, standing.0.subscribe(), config.limits.ack_timeout);
    Ok((appender, tokio::spawn(task.run(appends))))
}

/// In the place of [`start`] while the log must not be written to: every record is refused at once.
pub(crate) fn refuse(limits: &Limits, standing: &Status) -> (Appender, JoinHandle<()>) {
    let (queue, mut appends) = mpsc::channel::<Append>(limits.queue_records);
    let refusing = async move {
        while let Some(append) = appends.recv().await {
            // Nobody waits any more where the client went away.
            let _ = append.answer.send(Err(Rejected::NotOpen));
        }
    };
    (Appender::new(queue, standing.0.subscribe(), limits.ack_timeout), tokio::spawn(refusing))
}
