use hooklog_schemas::Partition;
use rdkafka::error::KafkaError;
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

/// A second owner is refused for good; anything else is a matter of reaching the coordinator.
fn advice(class: Class) -> &'static str {
    match class {
        Class::Fatal => "is another process using the same data directory or the same instance id?",
        _ => "is the cluster up, and may the client's user use this transactional id?",
    }
}
