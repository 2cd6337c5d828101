//! An unclean stop of the whole machine: with one replica, topics may then have lost different tails.
//!
//! The mark outlives every start until somebody has looked after it, so that a crash in between does not forget it.

use super::Error;
use super::layout::Layout;
use crate::datadir::write_atomically;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// A power loss that nobody has looked after yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PowerLoss {
    mark: PathBuf,
}

impl PowerLoss {
    /// Marks the broker of `layout`.
    pub(super) fn note(layout: &Layout) -> Result<(), Error> {
        let text = b"The machine went down under the broker. `hooklog up` removes this file once raw was checked against events.\n";
        Ok(write_atomically(&layout.power_loss(), text, 0o600)?)
    }

    /// The one that is marked.
    pub(super) fn of(layout: &Layout) -> Option<Self> {
        let mark = layout.power_loss();
        mark.exists().then_some(Self { mark })
    }

    /// The file that says so.
    pub(crate) fn mark(&self) -> &Path {
        &self.mark
    }

    /// Raw was checked against events, and what was missing is there again.
    pub(crate) fn settle(self) -> Result<(), Error> {
        match fs::remove_file(&self.mark) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", &self.mark)(error)),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_stays_until_what_it_says_is_mended() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        layout.create().unwrap();
        assert_eq!(PowerLoss::of(&layout), None);
        PowerLoss::note(&layout).unwrap();
        let loss = PowerLoss::of(&layout).unwrap();
        assert!(loss.mark().is_file());
        loss.clone().settle().unwrap();
        assert_eq!(PowerLoss::of(&layout), None);
        loss.settle().unwrap();
    }
}
