use std::path::PathBuf;

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
    #[error(
        "a state in the views cannot be read: {0}; delete the directory of the views, they are rebuilt from the log"
    )]
    Unreadable(#[from] Unreadable),
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
    #[error("{path} is damaged ({what}); delete the directory it is in, the views are rebuilt from the log")]
    Manifest {
        /// The manifest.
        path: PathBuf,
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
    /// The reader of `events` failed; its own message says what to do.
    #[error(transparent)]
    Task(#[from] hooklog_task::Error),
    /// The reader of `events` ended without saying why.
    #[error("the reader of the views panicked; its message is above. This is a defect: please report it")]
    Panicked,
    /// The reader of the live views does not hold still for the switch.
    #[error(
        "the views that answer could not be held for the switch: their reader does not run; see its error in the log"
    )]
    NotHeld,
    /// A rebuild is running.
    #[error("a rebuild is running already; wait until it is done (`hooklog status` shows how far it is)")]
    Building,
    /// The projector was asked to stop.
    #[error("stopped before the rebuild was done; the views are as they were, ask for it again after the next start")]
    Stopped,
}
