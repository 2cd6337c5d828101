//! What the end-to-end tests share: the real broker as a real process, `hooklog` beside it, and waiting for conditions.
//!
//! - [`broker`]: [`Broker`]: one Apache Kafka for a whole test process, or one of its own
//! - [`guarded`]: [`Guarded`]: a broker that lets nobody do anything without a right
//! - [`site`]: [`Site`]: one installation of hooklog: a data directory and its log, over the lives of several processes
//! - [`up`]: [`Up`]: a running `hooklog up`, to be posted to and asked
//! - [`program`]: [`Program`]: a running `hooklog`, which says when it is ready
//! - [`Port`]: a port that is one test's alone, over all restarts of what listens there
//! - [`process`]: pids with their start times, so that a kill never hits a stranger
//! - [`records`]: topics and offsets as a plain client sees them
//! - [`feed`]: [`Feed`]: load straight into `raw`
//! - [`truncate`]: records deleted from the beginning of a topic
//! - [`anew`]: a topic that is deleted and made again
//! - [`failed_append`]: what Kafka says where its disk refuses an append
//! - [`settings`]: a topic's settings, altered under everybody
//! - [`http`]: a client whose bytes are the test's own
//! - [`wait`]: [`wait_until`], with a deadline
//! - [`names`]: prefixes that nobody else uses

pub mod anew;
mod broker;
pub mod failed_append;
mod feed;
pub mod guarded;
pub mod http;
mod names;
mod port;
mod process;
mod program;
pub mod records;
pub mod settings;
mod site;
pub mod truncate;
mod up;
mod wait;

pub use broker::Broker;
pub use feed::Feed;
pub use guarded::Guarded;
pub use names::unique_prefix;
pub use port::Port;
pub use process::Process;
pub use program::{Program, Refused};
pub use records::Record;
pub use site::{Done, Site};
pub use up::{Up, narrowed};
pub use wait::{DEADLINE, wait_until, wait_until_within};
