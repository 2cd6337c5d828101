//! The local Apache Kafka: one KRaft node as a child process that may outlive us, and is then adopted.
//!
//! - [`jars`]: fetched once through Maven, checked against the lock file of SHA-512 sums
//! - [`java`]: which Java runs it, and how it is called
//! - [`archive`]: its classes parsed beforehand, which halves the time of a start
//! - [`settings`]: the texts of `server.properties` and `log4j2.properties`, pure
//! - [`layout`]: what lies where in `<data-dir>/broker`
//! - [`format`]: the cluster id and the first format of the log directory
//! - [`port`]: free ports on the loopback
//! - [`child`]: waiting for a program that is to end by itself
//! - [`record`]: which process is ours, and what it may mean to find one
//! - [`orphan`]: those that an earlier run left, adopted or ended
//! - [`registration`]: whether the controller takes a broker for alive, from its log
//! - [`fencing`]: a controller alone, which fences a broker that was killed before the next one starts
//! - [`launch`]: start it and wait until it answers
//! - [`ready`]: ask it
//! - [`broker_log`]: what it said since it was started
//! - [`local`]: [`Broker`]: start or adopt, stop
//! - [`death`]: what the end of a broker means for its log, pure
//! - [`power`]: topics that may have lost different tails, to be looked after before anything is served
//! - [`restart`]: whether to try once more, pure
//! - [`watch`]: restarts it when it dies
//! - [`temporary`]: one that goes with the test that wanted it
//! - [`command`]: `hooklog broker ...`

mod archive;
mod broker_log;
mod child;
pub(crate) mod command;
mod death;
mod error;
mod fencing;
mod format;
mod jars;
mod java;
mod launch;
mod layout;
mod local;
mod orphan;
mod port;
mod power;
mod ready;
mod record;
mod registration;
mod restart;
mod settings;
mod temporary;
mod watch;

pub(crate) use error::Error;
pub(crate) use local::{Broker, Wanted};
pub(crate) use power::{PowerLoss, Settled};
pub(crate) use watch::{State, Watch};

/// Whether this data directory has a broker of its own, which may be stopped.
pub(crate) fn is_in(data_dir: &std::path::Path) -> bool {
    format::cluster_id(&layout::Layout::new(data_dir)).is_some()
}

/// Of Apache Kafka: what the lock file's jars are.
pub(crate) const VERSION: &str = "4.3.1";
