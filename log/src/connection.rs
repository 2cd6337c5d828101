//! Where Kafka is and how to talk to it.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::AdminClient;
use rdkafka::client::{ClientContext, DefaultClientContext};
use rdkafka::consumer::{BaseConsumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::Error;

/// How long a question to the cluster may take before it counts as unanswered.
pub const ASK: Duration = Duration::from_secs(15);

/// Brokers and client properties, e.g. `security.protocol`. Its `Debug` shows the names of the properties only.
#[derive(Clone, PartialEq, Eq)]
pub struct Connection {
    /// `host:port`, comma separated.
    pub brokers: String,
    /// Properties of librdkafka that every client gets.
    pub properties: BTreeMap<String, String>,
}

/// Whether a reader sees records of transactions that are open or were aborted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// Only what was committed.
    Committed,
    /// Everything; for `raw`, which is written without transactions, and for tools that look behind the scenes.
    Uncommitted,
}

impl Connection {
    /// A connection without further properties.
    pub fn to(brokers: impl Into<String>) -> Connection {
        Connection { brokers: brokers.into(), properties: BTreeMap::new() }
    }

    /// The configuration that every client starts from.
    pub fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers).set("client.id", "hooklog");
        for (name, value) in &self.properties {
            config.set(name, value);
        }
        // A topic that was deleted must not come back with the cluster's defaults because somebody asks for it or writes to it.
        config.set("allow.auto.create.topics", "false");
        config
    }

    /// A client for questions about partitions. It is in no group; what reads is a [`crate::SimpleConsumer`].
    ///
    /// # Errors
    /// [`Error::Client`] where a property is wrong.
    pub fn reader(&self, isolation: Isolation) -> Result<ReaderClient, Error> {
        self.reader_config(isolation).create_with_context(AtEnds).map_err(Error::Client)
    }

    /// What every client is made of that reads and is in no group: without a `group.id` none asks for a coordinator, so none
    /// needs a right to a group.
    pub fn reader_config(&self, isolation: Isolation) -> ClientConfig {
        let mut config = self.client();
        config
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "error")
            .set("isolation.level", isolation.as_str())
            .set("fetch.wait.max.ms", "20")
            .set("fetch.queue.backoff.ms", "5");
        config
    }

    /// A client for questions about the cluster and for making topics.
    ///
    /// # Errors
    /// [`Error::Client`] where a property is wrong.
    pub fn admin(&self) -> Result<AdminClient<DefaultClientContext>, Error> {
        self.client().create().map_err(Error::Client)
    }

    /// What to make of an error of the client library that came of asking `what`.
    pub fn unreachable(&self, what: &'static str) -> impl Fn(KafkaError) -> Error + '_ {
        move |source| Error::Unreachable { brokers: self.brokers.clone(), what, source }
    }
}

/// A consumer without partitions: for questions, or a group's own where its `group.id` is set.
pub type ReaderClient = BaseConsumer<AtEnds>;

/// Hears what the client library tells of a reader. That an end was reached is news for the reader, not for the log.
#[derive(Clone, Copy, Debug, Default)]
pub struct AtEnds;

impl ClientContext for AtEnds {
    fn error(&self, error: KafkaError, reason: &str) {
        use RDKafkaErrorCode as Code;
        match error.rdkafka_error_code() {
            Some(Code::PartitionEOF) => {}
            // Told again at every try; what does not pass reaches the reader as an error.
            Some(Code::AllBrokersDown | Code::BrokerTransportFailure) => {
                tracing::debug!(%error, reason, "a reader of the log reaches no broker");
            }
            _ => tracing::warn!(%error, reason, "a reader of the log has trouble"),
        }
    }
}

impl ConsumerContext for AtEnds {}

impl Isolation {
    /// librdkafka's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Isolation::Committed => "read_committed",
            Isolation::Uncommitted => "read_uncommitted",
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.properties.keys().collect();
        f.debug_struct("Connection").field("brokers", &self.brokers).field("properties", &names).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_client_makes_a_topic_by_asking_for_it() {
        let mut connection = Connection::to("127.0.0.1:1");
        connection.properties.insert("allow.auto.create.topics".into(), "true".into());
        assert_eq!(connection.client().get("allow.auto.create.topics"), Some("false"));
    }

    #[test]
    fn debug_shows_no_property_values() {
        let mut connection = Connection::to("127.0.0.1:1");
        connection.properties.insert("sasl.password".into(), "canary".into());
        let shown = format!("{connection:?}");
        assert!(shown.contains("sasl.password") && !shown.contains("canary"), "{shown}");
    }
}
