//! A log whose topics may have lost different tails: the whole machine went down, or the disk refused an append, and there is
//! one replica only.
//!
//! The mark outlives every start until somebody has looked after it, so that a crash in between does not forget it. Each failure
//! makes a mark of its own: a check that was under way settles only the one that it began with.

use super::Error;
use super::layout::Layout;
use crate::datadir::write_atomically;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::{fs, io};

/// A loss that nobody has looked after yet. Two of them are equal only if they are of the same failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PowerLoss {
    mark: PathBuf,
    /// What is in it, which tells it from every other one.
    text: String,
}

/// Between a look at a mark and its removal no other one may take its place. Nobody but this process writes it: the data
/// directory is locked.
static MARKS: Mutex<()> = Mutex::new(());

/// What became of a mark that was looked after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Settled {
    /// It is gone.
    Done,
    /// Another failure came meanwhile, and its mark stays: the log has to be checked again.
    FailedAgain,
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
        let (words, id) = (self.words(), rand::random::<u64>());
        format!("{words}. `hooklog up` removes this file once raw was checked against events.\nfailure {id:016x}\n")
    }
}

impl PowerLoss {
    /// Marks the broker of `layout`, in place of an older mark. On a full disk nothing can be written: then the spare mark,
    /// which every broker is started with, takes its name.
    pub(super) fn note(layout: &Layout, cause: Cause) -> Result<(), Error> {
        let _marks = MARKS.lock().unwrap_or_else(PoisonError::into_inner);
        let mark = layout.power_loss();
        if cause == Cause::AppendFailed && fs::rename(layout.spare_mark(), &mark).is_ok() {
            return Ok(());
        }
        Ok(write_atomically(&mark, cause.text().as_bytes(), 0o600)?)
    }

    /// [`PowerLoss::note`] before a start, when no check is under way: one mark is as good as another.
    pub(super) fn note_once(layout: &Layout, cause: Cause) -> Result<(), Error> {
        if layout.power_loss().exists() { Ok(()) } else { Self::note(layout, cause) }
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
        match fs::read(&mark) {
            Ok(text) => Some(Self { mark, text: String::from_utf8_lossy(&text).into_owned() }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            // It is there, and a check settles it only once it can be read.
            Err(error) => Some(Self { mark, text: error.to_string() }),
        }
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
        let causes = [Cause::AppendFailed, Cause::MachineDown];
        let told = causes.into_iter().find(|cause| self.text.starts_with(cause.words()));
        told.unwrap_or(Cause::MachineDown).words()
    }

    /// Raw was checked against events, and what was missing is there again.
    pub(crate) fn settle(self) -> Result<Settled, Error> {
        let _marks = MARKS.lock().unwrap_or_else(PoisonError::into_inner);
        let removed = match fs::read(&self.mark) {
            Ok(text) if String::from_utf8_lossy(&text) != self.text => return Ok(Settled::FailedAgain),
            Ok(_) => fs::remove_file(&self.mark),
            Err(error) => Err(error),
        };
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", &self.mark)(error)),
            _ => Ok(Settled::Done),
        }
    }

    #[cfg(test)]
    pub(crate) fn example(text: &str) -> Self {
        Self { mark: "broker/power-loss".into(), text: text.to_owned() }
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
        assert_eq!(loss.clone().settle().unwrap(), Settled::Done);
        assert_eq!(PowerLoss::of(&layout), None);
        assert_eq!(loss.settle().unwrap(), Settled::Done);
    }

    #[test]
    fn a_check_settles_the_failure_that_it_began_with_and_no_later_one() {
        let (_dir, layout) = layout();
        let causes = [Cause::MachineDown, Cause::AppendFailed];
        for (first, second, has_spare) in causes
            .into_iter()
            .flat_map(|first| causes.map(|second| (first, second)))
            .flat_map(|(first, second)| [(first, second, false), (first, second, true)])
        {
            PowerLoss::note(&layout, first).unwrap();
            let checked = PowerLoss::of(&layout).unwrap();
            if has_spare {
                PowerLoss::prepare(&layout).unwrap();
            }
            PowerLoss::note(&layout, second).unwrap();
            let later = PowerLoss::of(&layout).unwrap();
            assert_ne!(later, checked);
            assert_eq!(checked.settle().unwrap(), Settled::FailedAgain);
            assert_eq!(PowerLoss::of(&layout), Some(later.clone()), "{first:?}, {second:?}: nobody checks its log");
            assert_eq!(later.settle().unwrap(), Settled::Done);
        }
    }

    #[test]
    fn before_a_start_one_mark_is_enough() {
        let (_dir, layout) = layout();
        PowerLoss::note_once(&layout, Cause::MachineDown).unwrap();
        let first = PowerLoss::of(&layout);
        PowerLoss::note_once(&layout, Cause::AppendFailed).unwrap();
        assert!(first.is_some() && PowerLoss::of(&layout) == first);
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
