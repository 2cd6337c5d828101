//! `hooklog repair` and `hooklog offsets repair`: what mends a log that audit, or a processor that stopped, complained of.
//! Both only show what they would do, until they are told `--apply`.
//!
//! | room | what is there |
//! |---|---|
//! | [`missing`] | `repair`: emits the events that audit found missing |
//! | [`emit`] | the transaction in which they go out |
//! | [`offsets`] | `offsets repair`: the group's offsets, from the store and the log |
//! | [`former`] | logs of before whose events stand in `events` |
//! | [`group`] | what is known of those offsets, and how they are written |
//! | [`plan`] | which offset a partition must have, and why: pure |
//! | [`end_hanging`] | ends what a power loss may have left open |
//! | [`safe_offsets`] | what needs nobody's yes: for the start after a power loss |

mod emit;
mod end_hanging;
mod former;
mod group;
mod missing;
mod offsets;
mod plan;
mod safe_offsets;

pub(crate) use group::Group;
pub(crate) use missing::{RepairArgs, mend, run};
pub(crate) use offsets::OffsetsCommand;
pub(crate) use safe_offsets::LostRaw;

/// The flags of both.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Do it; without this flag nothing is written
    #[arg(long)]
    apply: bool,
}
