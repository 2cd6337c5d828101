use hooklog_schemas::{Millis, NextOffset, Offset, Partition};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
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
    #[error("the consumer stopped: {error}; {}", advice(.0), error = .0)]
    Consumer(#[source] KafkaError),
    /// It had to be renewed too often.
    #[error(
        "the producer {id}, or its place in the group, was renewed more than {} times in a minute: another process seems to own its id; each needs a data directory of its own",
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
    /// The output topic takes what comes of one record under no circumstances.
    #[error(
        "partition {partition}: `events` refuses the event of the record at offset {offset} ({code}), and no later event of this partition is emitted. Change the topic so that it accepts the event; if the event is too large: kafka-configs.sh --alter --topic EVENTS --add-config max.message.bytes=2097152. It is tried again every few minutes, and at a start"
    )]
    Refused {
        /// The partition.
        partition: Partition,
        /// The record.
        offset: Offset,
        /// What Kafka says.
        code: RDKafkaErrorCode,
    },
    /// The broker's clock runs far ahead.
    #[error(
        "partition {partition}: the record at offset {offset} has a time more than an hour ahead of this machine's clock ({ahead} ms). One wrong clock would make every known event look old: set the broker's clock or this machine's, and start again; without that it goes on once the record is less than an hour ahead"
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
    /// It was told to stop while it waited for something; nobody needs to be told.
    #[error("it was stopped while it waited")]
    Cancelled,
    /// A thread panicked.
    #[error("a worker of {0} panicked; its message is above. This is a defect: please report it")]
    Panicked(String),
    /// The operating system gave us no thread.
    #[error("no thread could be started: {0}")]
    Thread(#[source] std::io::Error),
}

impl Error {
    /// Somebody else has our place in the group.
    pub(crate) fn fenced() -> Error {
        Error::Consumer(KafkaError::MessageConsumptionFatal(RDKafkaErrorCode::FencedInstanceId))
    }

    /// Whether it passes by itself once Kafka answers again: whoever waits may go on.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Error::Log(error) => error.is_passing(),
            Error::Consumer(error) => matches!(error, KafkaError::Seek(_)),
            _ => false,
        }
    }

    /// Whether somebody else has our place in the group: another owner of the instance id, or we ourselves. A coordinator
    /// that dies and comes back can take the repeated request of a static member for one more member.
    pub(crate) fn is_fenced(&self) -> bool {
        use KafkaError::{MessageConsumption, MessageConsumptionFatal};
        let Error::Consumer(MessageConsumption(code) | MessageConsumptionFatal(code)) = self else { return false };
        *code == RDKafkaErrorCode::FencedInstanceId
    }
}

/// What to do about a consumer that was refused.
fn advice(error: &KafkaError) -> &'static str {
    use RDKafkaErrorCode as Code;
    match error.rdkafka_error_code() {
        Some(Code::AutoOffsetReset | Code::OffsetOutOfRange) => {
            "records were deleted, or the topic was made anew, under the running task: start again to be told which partition and what to do"
        }
        Some(Code::UnknownTopicOrPartition) => "the topic was deleted: restore it, or use another --prefix",
        Some(Code::TopicAuthorizationFailed | Code::GroupAuthorizationFailed) => {
            "the client's user needs the right to read the topic and to use the group"
        }
        _ => "is another process using the same data directory or the same instance id?",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_in_the_group_that_somebody_else_has_is_known_however_it_is_told() {
        let fenced = RDKafkaErrorCode::FencedInstanceId;
        assert!(Error::Consumer(KafkaError::MessageConsumption(fenced)).is_fenced());
        assert!(Error::Consumer(KafkaError::MessageConsumptionFatal(fenced)).is_fenced());
        let refused = RDKafkaErrorCode::GroupAuthorizationFailed;
        assert!(!Error::Consumer(KafkaError::MessageConsumption(refused)).is_fenced());
        assert!(!Error::Cancelled.is_fenced());
    }

    #[test]
    fn a_cluster_that_does_not_answer_ends_no_task() {
        let unreachable = hooklog_log::Error::Unreachable {
            brokers: String::new(),
            what: "",
            source: KafkaError::MetadataFetch(RDKafkaErrorCode::BrokerTransportFailure),
        };
        assert!(Error::Log(unreachable).is_passing());
        assert!(Error::Consumer(KafkaError::Seek(String::new())).is_passing());
        assert!(!Error::fenced().is_passing() && !Error::Cancelled.is_passing());
    }

    #[test]
    fn a_consumer_that_is_refused_says_what_to_do_about_it() {
        let text = |code| Error::Consumer(KafkaError::MessageConsumption(code)).to_string();
        assert!(text(RDKafkaErrorCode::AutoOffsetReset).contains("start again"));
        assert!(text(RDKafkaErrorCode::UnknownTopicOrPartition).contains("restore it"));
        assert!(text(RDKafkaErrorCode::GroupAuthorizationFailed).contains("the right to read"));
        assert!(text(RDKafkaErrorCode::FencedInstanceId).contains("same data directory"));
    }
}
