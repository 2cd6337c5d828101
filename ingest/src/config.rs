//! What ingest is told before it starts.

use std::time::Duration;

use hooklog_log::{Connection, TopicId, Topics};

use crate::Error;
use crate::signature::TOLERANCE;
use crate::source::{Source, Sources};

/// Everything that [`crate::serve`] needs besides its listener.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where Kafka is.
    pub connection: Connection,
    /// What the topics are called.
    pub topics: Topics,
    /// The pinned partition count of `raw`. Keys go to partitions by it, whatever the topic has grown to.
    pub partitions: u32,
    /// Kafka's id of `raw`. Nothing is acknowledged once a topic of that name has another one.
    pub log: TopicId,
    /// The webhook endpoints, at least one.
    pub sources: Vec<Source>,
    /// How many seconds a signature's time may be off: [`TOLERANCE`], nothing else. It stands here so that a
    /// configuration that asks for another one, 0 above all, is refused instead of ignored.
    pub tolerance: i64,
    /// Bounds on what clients and Kafka may cost.
    pub limits: Limits,
}

/// Bounds on what clients and Kafka may cost. The defaults suit one machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections that are served at once; further ones wait in the system's accept queue.
    pub connections: usize,
    /// From accepting a connection, or from the end of its last answer, to the end of a request's headers.
    pub header_timeout: Duration,
    /// Bytes of a request's headers.
    pub header_bytes: usize,
    /// Number of a request's headers.
    pub headers: usize,
    /// From the end of the headers to the end of the body.
    pub body_timeout: Duration,
    /// Bytes of a body. Stripe's largest events are well below the 1 MiB of the default.
    pub body_bytes: usize,
    /// Bytes of all bodies that are held at once; further requests get 503.
    pub bodies_bytes: usize,
    /// From the verified request to Kafka's acknowledgement.
    pub ack_timeout: Duration,
    /// Records that wait for Kafka; further ones get 503 at once.
    pub queue_records: usize,
    /// The age at which a connection is closed after its current answer.
    pub connection_life: Duration,
    /// How long connections may finish their current request when the service stops.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1024,
            header_timeout: Duration::from_secs(5),
            header_bytes: 16 << 10,
            headers: 64,
            body_timeout: Duration::from_secs(10),
            body_bytes: 1 << 20,
            bodies_bytes: 128 << 20,
            ack_timeout: Duration::from_secs(5),
            queue_records: 8192,
            connection_life: Duration::from_secs(300),
            drain: Duration::from_secs(3),
        }
    }
}

impl Config {
    /// Whether ingest can start with this; [`crate::serve`] asks it first.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self) -> Result<(), Error> {
        Sources::new(&self.sources)?;
        if self.tolerance != TOLERANCE {
            return Err(Error::Tolerance { seconds: self.tolerance });
        }
        if self.partitions == 0 {
            return Err(Error::Partitions);
        }
        self.limits.check()
    }
}

impl Limits {
    fn check(&self) -> Result<(), Error> {
        let zero = [
            ("connections", self.connections == 0),
            ("header_timeout", self.header_timeout.is_zero()),
            ("header_bytes", self.header_bytes == 0),
            ("headers", self.headers == 0),
            ("body_timeout", self.body_timeout.is_zero()),
            ("body_bytes", self.body_bytes == 0),
            ("bodies_bytes", self.bodies_bytes < self.body_bytes),
            ("ack_timeout", self.ack_timeout < Duration::from_millis(100)),
            ("queue_records", self.queue_records == 0),
            ("connection_life", self.connection_life.is_zero()),
        ];
        zero.iter().find(|(_, wrong)| *wrong).map_or(Ok(()), |(name, _)| Err(Error::Limit { name }))
    }
}

#[cfg(test)]
mod tests {
    use hooklog_schemas::Namespace;

    use super::*;
    use crate::signature::Secret;

    fn config() -> Config {
        let secrets = vec![Secret::new("whsec_canary".to_owned()).unwrap()];
        Config {
            connection: Connection::to("127.0.0.1:1"),
            topics: Topics::default(),
            partitions: 4,
            log: TopicId("log".to_owned()),
            sources: vec![Source::new("stripe", Namespace::default(), secrets).unwrap()],
            tolerance: 300,
            limits: Limits::default(),
        }
    }

    #[test]
    fn a_tolerance_of_0_or_any_other_than_300_keeps_the_service_from_starting() {
        assert!(config().check().is_ok());
        for seconds in [0, -1, 299, 301] {
            let refused = Config { tolerance: seconds, ..config() }.check();
            assert!(matches!(refused, Err(Error::Tolerance { .. })), "{seconds}");
        }
    }

    #[test]
    fn no_source_no_partition_or_a_limit_of_nothing_keep_it_from_starting() {
        assert!(matches!(Config { sources: Vec::new(), ..config() }.check(), Err(Error::NoSource)));
        assert!(matches!(Config { partitions: 0, ..config() }.check(), Err(Error::Partitions)));
        let limits = Limits { connections: 0, ..Limits::default() };
        assert!(matches!(Config { limits, ..config() }.check(), Err(Error::Limit { name: "connections" })));
    }

    #[test]
    fn the_whole_configuration_shows_no_secret() {
        assert!(!format!("{:?}", config()).contains("canary"));
    }
}
