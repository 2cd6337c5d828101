//! The flags of `hooklog audit`.

use std::time::Duration;

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
}

impl Args {
    pub(super) fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout)
    }
}
