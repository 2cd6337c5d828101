//! What can be wrong with ingest as a whole. What is wrong with one request is a [`crate::signature::Refusal`] or an
//! HTTP status.

use std::io;

/// Why ingest does not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A signing secret is the empty text.
    #[error(
        "a signing secret is empty: give the endpoint's whsec_..., from Stripe's dashboard or `stripe listen --print-secret`"
    )]
    EmptySecret,
    /// A signing secret has white space or something else in it that nobody sees.
    #[error(
        "a signing secret contains white space or an invisible character: give the whsec_... alone, without blanks, line ends or a byte order mark"
    )]
    SecretWithWhiteSpace,
    /// A source's name cannot be a part of a path.
    #[error(
        "{name:?} cannot be the name of a source: use 1 to 63 of a-z, 0-9, - and _, starting with a letter or digit"
    )]
    SourceName {
        /// The name that was given.
        name: String,
    },
    /// A source without any secret could verify nothing.
    #[error("source {name} has no signing secret: give it one in secrets or secret_files")]
    NoSecret {
        /// The source's name.
        name: String,
    },
    /// Two sources have one name and so one path.
    #[error("source {name} is configured twice: give each its own name")]
    SourceTwice {
        /// The name.
        name: String,
    },
    /// Nothing to listen for.
    #[error(
        "no source is configured: add [sources.stripe] with its secrets to hooklog.toml, or set HOOKLOG_STRIPE_SECRET"
    )]
    NoSource,
    /// Another tolerance than the fixed one.
    #[error("the tolerance of signatures is fixed at 300 s and cannot be {seconds}: remove the setting")]
    Tolerance {
        /// What was asked for.
        seconds: i64,
    },
    /// A limit that would let nothing in.
    #[error("the limit {name} is so small that nothing could come in: leave it out for its default")]
    Limit {
        /// The limit's name.
        name: &'static str,
    },
    /// Raw without partitions.
    #[error("raw cannot have 0 partitions: give the count that is pinned for it")]
    Partitions,
    /// librdkafka does not take the settings.
    #[error("no Kafka producer can be made of these settings: {reason}; see the [kafka] table of hooklog.toml")]
    Producer {
        /// What librdkafka says.
        reason: String,
    },
    /// The task that writes to raw ended by itself.
    #[error("the writer to raw ended though nobody asked it to: {reason}; this is a defect, please report it")]
    WriterEnded {
        /// How it ended.
        reason: String,
    },
    /// The listening socket broke.
    #[error("the listening socket of ingest is broken ({0}): restart the service")]
    Listener(#[from] io::Error),
}
