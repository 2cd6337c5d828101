use std::path::PathBuf;

use hooklog_schemas::{NextOffset, Offset, Partition};
use thiserror::Error;

use crate::fold::codec::Unreadable;
use crate::rules::Invalid;

/// What can go wrong in the projector, and what to do about it.
#[derive(Debug, Error)]
pub enum Error {
    /// The store failed; its own message says what to do.
    #[error(transparent)]
    Store(#[from] hooklog_store::Error),
    /// Kafka failed; its own message says what to do.
    #[error(transparent)]
    Log(#[from] hooklog_log::Error),
    /// A state in the store cannot be read.
    #[error("a state in the views cannot be read: {0}")]
    Unreadable(#[from] Unreadable),
    /// The data of a generation are bad.
    #[error("the views in {path} are damaged: {what}")]
    Damaged {
        /// The generation's directory.
        path: PathBuf,
        /// What was noticed.
        what: String,
    },
    /// A generation was folded by another version of this program.
    #[error(
        "the views in {path} were made by another version of hooklog: they are `{found}`, this one makes `{wanted}`"
    )]
    OtherFold {
        /// The generation's directory.
        path: PathBuf,
        /// What the store says it holds.
        found: String,
        /// What it should hold.
        wanted: String,
    },
    /// A generation has to be built anew, and nobody knows by which rules it answered.
    #[error(
        "{what}. They can be built anew from the log, but the rules that they answered by are lost with them: see that --rules names the right ones (without it the built-in ones are taken), then delete the directory {dir} and start again"
    )]
    RulesLost {
        /// The directory of all generations.
        dir: PathBuf,
        /// Why the views cannot be used.
        what: String,
    },
    /// Generations go bad as fast as they are built.
    #[error(
        "the views were damaged {times} times since this process started, the last time so: {last}. The disk or the memory of this machine is failing: test both, or move the data directory to another disk; the log is not touched by it"
    )]
    Failing {
        /// How often.
        times: u32,
        /// What was noticed last.
        last: String,
    },
    /// The rules cannot be used.
    #[error("the rules {from} cannot be used: {reason}; correct them, or leave out --rules for the built-in ones")]
    Rules {
        /// The file.
        from: PathBuf,
        /// What is wrong, with its line.
        reason: Invalid,
    },
    /// A file of ours cannot be read or written.
    #[error("{path} cannot be used: {source}; check its permissions and the space on its disk")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The manifest of generations says what cannot be.
    #[error(
        "{path} is damaged ({what}), so it is not known which views answer and by which rules. The views can be built anew from the log, but the rules of every generation are lost: see that --rules names the right ones (without it the built-in ones are taken), then delete the directory {dir} and start again"
    )]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// The directory it is in.
        dir: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The live views are of another log or of a later version.
    #[error(
        "the views in {path} hold `{found}`, wanted is `{wanted}`: if the topic was made anew on purpose, delete that directory and start again"
    )]
    OtherLog {
        /// The generation's directory.
        path: PathBuf,
        /// What the store says it holds.
        found: String,
        /// What it should hold.
        wanted: String,
    },
    /// The views hold a part of the log, and what follows it was deleted.
    #[error(
        "the views hold partition {partition} of events up to offset {next}, and it begins at {earliest} now: what was between was deleted before they read it, and going on would make them wrong. Restore the topic from a backup; or, to have views of what is left, delete the directory {dir} and start again: they then lack all that came before, and say so"
    )]
    Behind {
        /// The directory of all generations.
        dir: PathBuf,
        /// The partition.
        partition: Partition,
        /// Up to where the views hold it.
        next: NextOffset,
        /// The first record that is left.
        earliest: NextOffset,
    },
    /// The views hold more than the log.
    #[error(
        "the views hold partition {partition} of events up to offset {next}, and it ends at {end}: the log lost its tail, or is another one. Restore the topic from a backup; or, to have views of what is left, delete the directory {dir} and start again"
    )]
    Ahead {
        /// The directory of all generations.
        dir: PathBuf,
        /// The partition.
        partition: Partition,
        /// Up to where the views hold it.
        next: NextOffset,
        /// Where the log ends.
        end: NextOffset,
    },
    /// The views hold events that the log does not have any more, and it was written on since.
    #[error(
        "the event at offset {offset} of partition {partition} of events differs from the event that the views read at this offset. The log lost its newest records, and new ones were appended since. Restore the topic from a backup; or, to have views of the log as it is, delete the directory {dir} and start again"
    )]
    Rewritten {
        /// The directory of all generations.
        dir: PathBuf,
        /// The partition.
        partition: Partition,
        /// The event's offset.
        offset: Offset,
    },
    /// The reader of `events` failed; its own message says what to do.
    #[error(transparent)]
    Task(#[from] hooklog_task::Error),
    /// The reader of `events` ended without saying why.
    #[error("the reader of the views panicked; its message is above. This is a defect: please report it")]
    Panicked,
    /// The reader of the live views does not hold still for the switch.
    #[error(
        "the reader of the live views does not run, so the switch to the new ones was not made; see the reader's error in the log"
    )]
    NotHeld,
    /// A rebuild is running.
    #[error("a rebuild is running already; wait until it is done (`hooklog status` shows how far it is)")]
    Building,
    /// The projector was asked to stop.
    #[error("stopped before the rebuild was done; the views are as they were, ask for it again after the next start")]
    Stopped,
}

impl Error {
    /// Whether data on disk are bad, so that only building them anew helps.
    pub fn is_damage(&self) -> bool {
        match self {
            Error::Store(error) | Error::Task(hooklog_task::Error::Store(error)) => is_damage(error),
            Error::Unreadable(_) | Error::Damaged { .. } => true,
            _ => false,
        }
    }
}

/// RocksDB calls a file that it misses an error of the disk.
fn is_damage(error: &hooklog_store::Error) -> bool {
    let is_missing = |said: String| said.contains("No such file or directory");
    let misses = matches!(error, hooklog_store::Error::Rocks { source, .. } if is_missing(source.to_string()));
    error.is_damage() || misses
}
