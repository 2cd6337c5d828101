use hooklog_log::native::Failure;
use hooklog_schemas::{Millis, NextOffset, Offset, Partition};
use rdkafka::error::KafkaError;
use thiserror::Error;

use crate::resume::Stop;

/// Why a task ended. Nothing is lost by it: the next start goes on from what is committed.
#[derive(Debug, Error)]
pub enum Error {
    /// Kafka cannot be used as it must be.
    #[error(transparent)]
    Log(#[from] hooklog_log::Error),
    /// A store cannot be used.
    #[error(transparent)]
    Store(#[from] hooklog_store::Error),
    /// The consumer was refused for good.
    #[error("the consumer stopped: {0}; is another process using the same data directory or the same instance id?")]
    Consumer(#[source] KafkaError),
    /// The producer was refused for good.
    #[error("the transactional producer {id} stopped: {failure}; is another process using the same instance id?")]
    Producer {
        /// Its transactional id.
        id: String,
        /// What was refused.
        failure: Failure,
    },
    /// It had to be renewed too often.
    #[error(
        "the producer {id} was renewed more than {} times in a minute: another process seems to own its id; each needs a data directory of its own",
        crate::outcome::Renewals::A_MINUTE
    )]
    Contended {
        /// Its transactional id.
        id: String,
    },
    /// Going on would double or lose events.
    #[error(transparent)]
    Stop(#[from] Stop),
    /// The input has a hole.
    #[error(
        "partition {partition}: expected offset {expected} and got {found}: records are missing from `raw`, or something wrote to it in transactions. Nothing was skipped; restore the topic, or see `hooklog offsets repair`"
    )]
    Gap {
        /// The partition.
        partition: Partition,
        /// The next offset that was due.
        expected: NextOffset,
        /// What came.
        found: Offset,
    },
    /// The broker's clock runs far ahead.
    #[error(
        "partition {partition}: the record at offset {offset} has a time more than an hour ahead of this machine's clock ({ahead} ms). One wrong clock would make every known event look old: set the broker's clock or this machine's, then start again"
    )]
    BrokerClock {
        /// The partition.
        partition: Partition,
        /// The record.
        offset: Offset,
        /// How far ahead it is.
        ahead: Millis,
    },
    /// The output was written from another input.
    #[error(
        "`events` was made from another log ({found}) than today's `raw` ({expected}): `raw` was made anew. Use another --prefix, or adopt the new log with `hooklog offsets repair --apply`"
    )]
    OtherLog {
        /// The log that the outputs name.
        found: String,
        /// The log that there is.
        expected: String,
    },
    /// A thread panicked.
    #[error("a worker of {0} panicked; its message is above. This is a defect: please report it")]
    Panicked(String),
    /// The operating system gave us no thread.
    #[error("no thread could be started: {0}")]
    Thread(#[source] std::io::Error),
}
