//! What the end-to-end tests share: the real broker as a real process, and waiting for conditions.
//!
//! - [`broker`]: [`Broker`]: one Apache Kafka for a whole test process, or one of its own
//! - [`program`]: [`Program`]: a running `hooklog`, which says when it is ready
//! - [`process`]: pids with their start times, so that a kill never hits a stranger
//! - [`wait`]: [`wait_until`], with a deadline
//! - [`names`]: prefixes that nobody else uses

mod broker;
mod names;
mod process;
mod program;
mod wait;

pub use broker::Broker;
pub use names::unique_prefix;
pub use process::Process;
pub use program::{Program, Refused};
pub use wait::{DEADLINE, wait_until, wait_until_within};
