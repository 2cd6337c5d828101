use hooklog_schemas::Partition;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use thiserror::Error;

use crate::native::Class;

/// What can go wrong between us and Kafka, and what to do about it.
#[derive(Debug, Error)]
pub enum Error {
    /// A client could not be made: its properties are wrong.
    #[error("the Kafka client cannot be set up: {0}; check the [kafka] table of the configuration")]
    Client(#[source] KafkaError),
    /// The operating system gave us no thread or no poller.
    #[error("no runtime could be started: {0}; the machine is out of threads or file descriptors")]
    Runtime(#[source] std::io::Error),
    /// No broker answered in time.
    #[error("{brokers} did not answer ({what}: {source}); check that the cluster is up and that --brokers names it")]
    Unreachable {
        /// The brokers that were tried.
        brokers: String,
        /// What was asked of them.
        what: &'static str,
        /// What the client library said.
        source: KafkaError,
    },
    /// The cluster does not know us.
    #[error(
        "{brokers} refuse the client: {reason}; check `security.protocol` and the `sasl.` properties in the [kafka] table of the configuration"
    )]
    Refused {
        /// The brokers that were tried.
        brokers: String,
        /// What the client library said.
        reason: String,
    },
    /// A call that the binding lacks failed.
    #[error("Kafka refused {what}: {failure}")]
    Native {
        /// What was asked.
        what: &'static str,
        /// What came back.
        failure: crate::native::Failure,
    },
    /// A transactional producer cannot begin.
    #[error("the transactional producer {id} cannot begin: {failure}; {}", advice(.failure.class))]
    Producer {
        /// Its transactional id.
        id: String,
        /// What came back.
        failure: crate::native::Failure,
    },
    /// A topic is not there.
    #[error("topic {0} does not exist; start `hooklog up`, `ingest`, `process` or `project` once: they create it")]
    NoTopic(String),
    /// A topic was deleted, or made anew, under the running process.
    #[error(transparent)]
    OtherLog(#[from] crate::identity::OtherLog),
    /// Topics contradict what the pipeline needs.
    #[error("topics contradict what Hooklog needs:\n  {}", .0.join("\n  "))]
    Contradiction(Vec<String>),
    /// New topics would keep fewer than three replicas, for ever.
    #[error(
        "the cluster shows {brokers} of the three brokers that new topics want for their replicas: start the others first, or say --replication N (HOOKLOG_REPLICATION) where it has no more"
    )]
    TooFewBrokers {
        /// How many answer.
        brokers: usize,
    },
    /// A topic could not be created.
    #[error("topic {topic} could not be created: {reason}; create it by hand or give the client's user the right to")]
    Create {
        /// The topic.
        topic: String,
        /// What the broker said.
        reason: String,
    },
    /// Reading stopped before its end.
    #[error("reading {topic}/{partition} stopped: {reason}")]
    Read {
        /// The topic.
        topic: String,
        /// Its partition.
        partition: Partition,
        /// Why.
        reason: String,
    },
}

impl Error {
    /// Whether waiting can mend it: Kafka is away, or busy, or its topics are still being made. Rights, credentials, wrong
    /// properties and contradictions are for people.
    pub fn is_passing(&self) -> bool {
        match self {
            Error::Unreachable { source, .. } => source.rdkafka_error_code().is_none_or(|code| !is_for_people(code)),
            Error::Native { failure, .. } | Error::Producer { failure, .. } => {
                failure.class != Class::Fatal && !is_for_people(failure.code)
            }
            Error::NoTopic(_) | Error::Read { .. } => true,
            Error::Client(_)
            | Error::Runtime(_)
            | Error::Refused { .. }
            | Error::Contradiction(_)
            | Error::OtherLog(_)
            | Error::TooFewBrokers { .. }
            | Error::Create { .. } => false,
        }
    }
}

fn is_for_people(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code,
        Code::Authentication
            | Code::SaslAuthenticationFailed
            | Code::UnsupportedSASLMechanism
            | Code::IllegalSASLState
            | Code::ClusterAuthorizationFailed
            | Code::TopicAuthorizationFailed
            | Code::GroupAuthorizationFailed
            | Code::TransactionalIdAuthorizationFailed
            | Code::UnsupportedVersion
            | Code::InvalidTopic
            | Code::PolicyViolation
    )
}

/// A second owner is refused for good; anything else is a matter of reaching the coordinator.
fn advice(class: Class) -> &'static str {
    match class {
        Class::Fatal => "is another process using the same data directory or the same instance id?",
        _ => "is the cluster up, and may the client's user use this transactional id?",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::native::Failure;

    fn unreachable(code: RDKafkaErrorCode) -> Error {
        Error::Unreachable { brokers: "b:1".into(), what: "for metadata", source: KafkaError::MetadataFetch(code) }
    }

    #[test]
    fn a_cluster_that_is_away_is_waited_for_and_one_that_refuses_is_not() {
        use RDKafkaErrorCode as Code;
        for code in [Code::BrokerTransportFailure, Code::AllBrokersDown, Code::OperationTimedOut, Code::Resolve] {
            assert!(unreachable(code).is_passing(), "{code}");
        }
        for code in [Code::Authentication, Code::TopicAuthorizationFailed, Code::ClusterAuthorizationFailed] {
            assert!(!unreachable(code).is_passing(), "{code}");
        }
        let failure = |class, code| Failure { class, code, text: String::new() };
        let native = |failure| Error::Native { what: "the topics' ids", failure };
        assert!(native(failure(Class::Other, Code::OperationTimedOut)).is_passing());
        assert!(!native(failure(Class::Other, Code::TopicAuthorizationFailed)).is_passing());
        assert!(!Error::Contradiction(vec![]).is_passing());
    }
}
