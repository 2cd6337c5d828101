//! What can go wrong around the data directory.

use crate::exit;
use std::io;
use std::path::{Path, PathBuf};

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(
        "the data directory {} is in use by {holder}. Stop that one first, or give this one its own with --data-dir",
        path.display()
    )]
    InUse { path: PathBuf, holder: String },
    #[error("neither {variable} nor HOME is set, so there is no default place for {what}: {advice}")]
    NoHome { variable: &'static str, what: &'static str, advice: &'static str },
    #[error("cannot {doing} {}: {source}. Check that its owner and mode let you, and that the disk is not full", path.display())]
    Io { doing: &'static str, path: PathBuf, source: io::Error },
    #[error("{} is not what hooklog wrote ({reason}): look at it, then delete it and start again", path.display())]
    Unreadable { path: PathBuf, reason: String },
    #[error("the secret's file {} is empty: write the secret into it, or delete it to get a new one", .0.display())]
    EmptySecret(PathBuf),
    #[error("`{0}` cannot be the name of a secret's file: use letters, digits, `-`, `_`")]
    SecretName(String),
}

impl Error {
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::SecretName(_) | Self::EmptySecret(_) => exit::USAGE,
            _ => exit::MISSING,
        }
    }

    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { doing, path, source }
    }
}
