//! The flags of `hooklog send`.

use std::path::PathBuf;

use secrecy::SecretString;

/// Posts signed Stripe webhooks: made up (the default) or your own.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// How many unique events to make up.
    #[arg(long, default_value_t = 1_000, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) events: u64,
    /// How many customers share them [default: one for every 25 events].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) customers: Option<u64>,
    /// Duplicates on top, as a share of the events: 0.2 makes 1,000 events 1,200 posts.
    #[arg(long, default_value_t = 0.0, value_name = "SHARE", value_parser = share)]
    pub(super) duplicates: f64,
    /// Post out of order, each event at most --shuffle-window places from its own.
    #[arg(long)]
    pub(super) shuffle: bool,
    /// How far --shuffle may move an event.
    #[arg(long, default_value_t = 100, value_name = "PLACES")]
    pub(super) shuffle_window: u64,
    /// Let several events of one subscription fall into the same second.
    #[arg(long)]
    pub(super) same_second: bool,
    /// The same seed makes the same bytes.
    #[arg(long, default_value_t = 1)]
    pub(super) seed: u64,
    /// Pad made-up bodies to at least this many bytes.
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u64).range(..=1_000_000))]
    pub(super) size: Option<u64>,
    /// Send the JSON objects of this file instead (`-` for standard input). A single one goes out byte for byte.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["events", "customers", "same_second", "size"])]
    pub(super) file: Option<PathBuf>,
    /// Write the bodies to standard output, a line each, instead of posting them.
    #[arg(long, conflicts_with_all = ["url", "rate", "retry", "acks"])]
    pub(super) print: bool,
    /// Where to post [default: the running `hooklog up`, else ingest_addr of the settings].
    #[arg(long)]
    pub(super) url: Option<String>,
    /// The endpoint's signing secret, whsec_... [default: the one of the settings, else what `hooklog up` made].
    #[arg(long, value_name = "WHSEC", hide_default_value = true)]
    pub(super) secret: Option<SecretString>,
    /// A file that holds the secret.
    #[arg(long, value_name = "FILE")]
    pub(super) secret_file: Option<PathBuf>,
    /// Posts a second, whatever the answers take; latency then counts from when a post was due [default: as fast as answers come].
    #[arg(long, value_name = "PER_SECOND", value_parser = rate)]
    pub(super) rate: Option<f64>,
    /// How many posts are under way at once.
    #[arg(long, default_value_t = 32, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1_024))]
    pub(super) concurrency: u16,
    /// Try again until everything is acknowledged.
    #[arg(long)]
    pub(super) retry: bool,
    /// Give a post up after this many seconds of --retry.
    #[arg(long, value_name = "SECONDS", requires = "retry")]
    pub(super) retry_for: Option<u64>,
    /// Append the id of each acknowledged event to this file, as it comes.
    #[arg(long, value_name = "FILE")]
    pub(super) acks: Option<PathBuf>,
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if (0.0..=100.0).contains(&share) => Ok(share),
        _ => Err("a share is a number from 0 to 100, like 0.2".to_owned()),
    }
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate > 0.0 && rate <= 1e6 => Ok(rate),
        _ => Err("a rate is a number of posts a second above 0, like 200".to_owned()),
    }
}
