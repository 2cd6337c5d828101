//! What the program is told: by flags, files, the environment and `hooklog.toml`, in this order, then by defaults.
//!
//! | room | what is there |
//! |---|---|
//! | [`common`] | the flags that every command has, and what else a command's flags set |
//! | [`keys`] | every setting: its name, its default, what it is for |
//! | [`file`] | `hooklog.toml` as text with line numbers |
//! | [`layers`] | who says what: precedence, and where a value came from |
//! | [`values`] | texts into addresses, counts and paths |
//! | [`sources`] | webhook endpoints and their secrets |
//! | [`kafka`] | properties for librdkafka |
//! | [`problem`] | what is wrong, all of it at once |
//! | [`check`] | `hooklog config check` |
//!
//! [`resolve`] is pure but for reading the files that the settings name; [`load`] gives it the real world.

pub(crate) mod check;
pub(crate) mod common;
mod file;
mod kafka;
mod keys;
mod layers;
mod problem;
mod resolve;
mod sources;
#[cfg(test)]
mod tests;
mod values;

use std::net::SocketAddr;
use std::path::PathBuf;

use hooklog_ingest::{Limits, Source};
use hooklog_log::provision::Pinned;
use hooklog_log::{Connection, Topics};

pub(crate) use common::{Common, Flags};
pub(crate) use layers::unreadable;
pub(crate) use problem::Invalid;
#[cfg(test)]
pub(crate) use resolve::resolve;
pub(crate) use resolve::{load, settings};

use kafka::Properties;

/// Everything that is configured, valid as a whole.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// `host:port,...` of a given cluster; without it `up` runs its own broker.
    pub brokers: Option<String>,
    /// Properties for librdkafka, from `[kafka]`.
    pub kafka: Properties,
    /// What every topic's name begins with.
    pub prefix: String,
    /// Where the program keeps its files.
    pub data_dir: PathBuf,
    /// Where webhooks come in.
    pub ingest_addr: SocketAddr,
    /// Where questions come in: loopback only.
    pub query_addr: SocketAddr,
    /// The port of `up`'s own broker.
    pub kafka_port: u16,
    /// The partition count to pin, where it is not pinned yet; by default 4 on `up`'s own broker, 12 on a given cluster.
    pub partitions: Option<u32>,
    /// How many brokers keep each partition; by default 1 on `up`'s own broker, 3 on a given cluster.
    pub replication: Option<u32>,
    /// The file of access rules; without it those that are built in.
    pub rules: Option<PathBuf>,
    /// How long an event's identity is remembered, in days.
    pub dedup_window_days: u32,
    /// How many seconds a signature's time may be off.
    pub signature_tolerance: i64,
    /// The webhook endpoints; empty where none is configured.
    pub sources: Vec<Source>,
}

impl Settings {
    /// A connection to `brokers` with the configured properties.
    pub(crate) fn connection_to(&self, brokers: &str) -> Connection {
        Connection { brokers: brokers.to_owned(), properties: self.kafka.all().clone() }
    }

    /// The topics' names.
    pub(crate) fn topics(&self) -> Topics {
        Topics::with_prefix(&self.prefix)
    }

    /// What ingest is told, once it is known which cluster it writes to and which topic `raw` is there.
    pub(crate) fn ingest(&self, connection: Connection, raw: &Pinned) -> hooklog_ingest::Config {
        hooklog_ingest::Config {
            connection,
            topics: self.topics(),
            partitions: raw.partitions,
            log: raw.id.clone(),
            sources: self.sources.clone(),
            tolerance: self.signature_tolerance,
            limits: Limits::default(),
        }
    }
}
