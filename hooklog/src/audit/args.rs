//! The flags of `hooklog audit`.

use std::time::Duration;

use super::examine::Limits;

/// Prove from the log alone that `events` holds what `raw` says, each event once.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Wait until the processor has taken in everything that is in `raw`
    #[arg(long)]
    pub(super) wait: bool,
    /// How long --wait waits, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    timeout: u64,
    /// How many places of each kind of damage to name
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub(super) details: usize,
    /// Memory of each sort, in bytes; for tests
    #[arg(long, hide = true, value_name = "BYTES", default_value_t = Limits::DEFAULT.memory)]
    sort_memory: usize,
    /// How long a transaction may stay open before it counts as one that nobody ends; for tests
    #[arg(long, hide = true, value_name = "SECONDS", default_value_t = Limits::DEFAULT.patience.as_secs())]
    patience: u64,
}

impl Args {
    pub(super) fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout)
    }

    pub(super) fn limits(&self) -> Limits {
        Limits { memory: self.sort_memory, patience: Duration::from_secs(self.patience) }
    }
}
