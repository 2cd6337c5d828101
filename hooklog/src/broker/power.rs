//! A log whose topics may have lost different tails: the whole machine went down, or the disk refused an append, and there is
//! one replica only.
//!
//! The mark outlives every start until somebody has looked after it, so that a crash in between does not forget it.

use super::Error;
use super::layout::Layout;
use crate::datadir::write_atomically;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// A loss that nobody has looked after yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PowerLoss {
    mark: PathBuf,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    MachineDown,
    AppendFailed,
}

impl Cause {
    /// As the mark tells it, and others by it.
    fn words(self) -> &'static str {
        match self {
            Self::MachineDown => "the machine went down under Apache Kafka",
            Self::AppendFailed => "Apache Kafka's disk refused an append",
        }
    }

    fn text(self) -> String {
        let words = self.words();
        format!("{words}. `hooklog up` removes this file once raw was checked against events.\n")
    }
}

impl PowerLoss {
    /// Marks the broker of `layout`. On a full disk nothing can be written: then the spare mark takes its name.
    pub(super) fn note(layout: &Layout, cause: Cause) -> Result<(), Error> {
        let mark = layout.power_loss();
        if mark.exists() || cause == Cause::AppendFailed && fs::rename(layout.spare_mark(), &mark).is_ok() {
            return Ok(());
        }
        Ok(write_atomically(&mark, cause.text().as_bytes(), 0o600)?)
    }

    /// Makes the spare mark while there is room for it.
    pub(super) fn prepare(layout: &Layout) -> Result<(), Error> {
        let spare = layout.spare_mark();
        if spare.exists() {
            return Ok(());
        }
        Ok(write_atomically(&spare, Cause::AppendFailed.text().as_bytes(), 0o600)?)
    }

    /// The one that is marked.
    pub(super) fn of(layout: &Layout) -> Option<Self> {
        let mark = layout.power_loss();
        mark.exists().then_some(Self { mark })
    }

    /// The one of the broker of this data directory.
    pub(crate) fn in_data_dir(data_dir: &Path) -> Option<Self> {
        Self::of(&Layout::new(data_dir))
    }

    /// The file that says so.
    pub(crate) fn mark(&self) -> &Path {
        &self.mark
    }

    /// What happened, in words.
    pub(crate) fn cause(&self) -> &'static str {
        let text = fs::read_to_string(&self.mark).unwrap_or_default();
        let causes = [Cause::AppendFailed, Cause::MachineDown];
        let told = causes.into_iter().find(|cause| text.starts_with(cause.words()));
        told.unwrap_or(Cause::MachineDown).words()
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

    fn layout() -> (tempfile::TempDir, Layout) {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        layout.create().unwrap();
        (dir, layout)
    }

    #[test]
    fn a_mark_stays_until_what_it_says_is_mended() {
        let (_dir, layout) = layout();
        assert_eq!(PowerLoss::of(&layout), None);
        PowerLoss::note(&layout, Cause::MachineDown).unwrap();
        let loss = PowerLoss::of(&layout).unwrap();
        assert!(loss.mark().is_file());
        loss.clone().settle().unwrap();
        assert_eq!(PowerLoss::of(&layout), None);
        loss.settle().unwrap();
    }

    #[test]
    fn a_spare_mark_takes_the_name_without_a_byte_being_written() {
        let (_dir, layout) = layout();
        PowerLoss::prepare(&layout).unwrap();
        assert_eq!(PowerLoss::of(&layout), None);
        PowerLoss::note(&layout, Cause::AppendFailed).unwrap();
        assert!(!layout.spare_mark().exists());
        assert_eq!(PowerLoss::of(&layout).unwrap().cause(), "Apache Kafka's disk refused an append");
        PowerLoss::note(&layout, Cause::AppendFailed).unwrap();
    }

    #[test]
    fn the_mark_tells_its_cause_and_one_of_before_is_of_a_machine() {
        let (_dir, layout) = layout();
        PowerLoss::note(&layout, Cause::AppendFailed).unwrap();
        assert_eq!(PowerLoss::of(&layout).unwrap().cause(), "Apache Kafka's disk refused an append");
        fs::write(layout.power_loss(), "The machine went down under the broker. `hooklog up` ...\n").unwrap();
        assert_eq!(PowerLoss::of(&layout).unwrap().cause(), "the machine went down under Apache Kafka");
    }
}
