use std::path::PathBuf;

use thiserror::Error;

/// What is being done when a store is opened.
pub(crate) const OPEN: &str = "open";

/// What can go wrong with a store, and what to do about it.
#[derive(Debug, Error)]
pub enum Error {
    /// The directory cannot be used at all.
    #[error("the store {path} cannot be opened: {source}")]
    Io {
        /// The store's directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// RocksDB failed.
    #[error("the store {path} failed ({what}): {source}")]
    Rocks {
        /// The store's directory.
        path: PathBuf,
        /// What was being done.
        what: &'static str,
        /// What RocksDB said.
        source: rocksdb::Error,
    },
    /// This process has it open already.
    #[error("the store {0} is open already in this process; close it before it moves")]
    Busy(PathBuf),
    /// It holds another fold's state.
    #[error("the store {path} is of another kind: it holds `{found}`, wanted is `{wanted}`; build a new one beside it")]
    Foreign {
        /// The store's directory.
        path: PathBuf,
        /// What it says it is.
        found: String,
        /// What was to be opened.
        wanted: String,
    },
    /// What it says of itself cannot be read.
    #[error("the store {path} is damaged: {what}; delete its directory, it is rebuilt from the log")]
    Damaged {
        /// The store's directory.
        path: PathBuf,
        /// What cannot be read.
        what: String,
    },
}

impl Error {
    /// Whether the data on disk are bad, so that only discarding the store and building it again helps.
    pub fn is_damage(&self) -> bool {
        match self {
            Error::Damaged { .. } => true,
            Error::Rocks { what, source, .. } => {
                source.kind() == rocksdb::ErrorKind::Corruption || *what == OPEN && is_incomplete(source)
            }
            _ => false,
        }
    }
}

/// A store that names files which are not there. One without any file is a new one, and opens.
fn is_incomplete(source: &rocksdb::Error) -> bool {
    source.kind() == rocksdb::ErrorKind::IOError && source.as_ref().contains("No such file or directory")
}
