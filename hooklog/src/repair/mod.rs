//! `hooklog repair` and `hooklog offsets repair`: what mends a log that audit, or a processor that stopped, complained of.
//! Both only show what they would do, until they are told `--apply`.
//!
//! | room | what is there |
//! |---|---|
//! | [`missing`] | `repair`: emits the events that audit found missing |
//! | [`emit`] | the transaction in which they go out |
//! | [`offsets`] | `offsets repair`: the group's offsets, from the store and the log |
//! | [`plan`] | which offset a partition must have, and why: pure |

mod emit;
mod missing;
mod offsets;
mod plan;

pub(crate) use missing::run;
pub(crate) use offsets::OffsetsCommand;

/// The flags of both.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Do it; without this flag nothing is written
    #[arg(long)]
    apply: bool,
}
