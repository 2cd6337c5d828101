//! Room on a disk: whether there is any, whether an error was for want of it, and how long to wait after one that was.

use std::error::Error;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

const MIB: u64 = 1 << 20;
/// A disk with less is full: Kafka writes batches of up to 2 MiB, and RocksDB larger files.
const FULL: u64 = 16 * MIB;
/// What has to be free before anything is tried again on a disk that was full: twice in a minute is worse than once late.
/// Between the two, what runs runs on, and what ended for want of room waits.
const ENOUGH: u64 = 64 * MIB;
/// What has run for so long after an end for want of room has left that behind.
const CALM: Duration = Duration::from_secs(60);

/// A disk without room.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the disk of {} is full: {} MiB are free, {} are needed before it goes on; make room, nothing else has to be done",
    directory.display(), free / MIB, ENOUGH / MIB
)]
pub(crate) struct Full {
    directory: PathBuf,
    free: u64,
}

/// Whether the disk of `directory` is full now.
pub(crate) fn is_full(directory: &Path) -> bool {
    full(directory).is_some()
}

/// The disk of `directory`, if it is full now.
pub(crate) fn full(directory: &Path) -> Option<Full> {
    less_than(FULL, directory)
}

/// What keeps a disk that was full from being used again; nothing once there is room.
pub(crate) fn wanting(directory: &Path) -> Option<Full> {
    less_than(ENOUGH, directory)
}

/// One look only: between two of them room may be made.
fn less_than(needed: u64, directory: &Path) -> Option<Full> {
    let free = free(directory).filter(|free| *free < needed)?;
    Some(Full { directory: directory.to_owned(), free })
}

/// How long to wait before something is started again that ended for want of room, for the `times`-th time in a row. Such
/// ends are not counted otherwise, and nothing is given up: room is what it waits for.
pub(crate) fn pause(times: u32) -> Duration {
    const FIRST: Duration = Duration::from_secs(1);
    const LONGEST: Duration = Duration::from_secs(10);
    FIRST.saturating_mul(1 << times.saturating_sub(1).min(8)).min(LONGEST)
}

/// Ends for want of room in a row. A look at the disk alone does not stop that row: what was wanted may be more than
/// what is free, a quota of which no look tells, or on another disk.
#[derive(Debug, Default)]
pub(crate) struct Shortages {
    times: u32,
}

impl Shortages {
    /// One more, of something that had run for so long: how long to wait before it is started again.
    pub(crate) fn one_more(&mut self, ran: Duration) -> Duration {
        self.times = if ran >= CALM { 1 } else { self.times.saturating_add(1) };
        pause(self.times)
    }
}

/// The first of these disks that has no room to be used again.
pub(crate) fn wanting_any<'d>(directories: impl IntoIterator<Item = &'d Path>) -> Option<Full> {
    directories.into_iter().find_map(wanting)
}

/// Whether this error, or what caused it, was for want of room.
pub(crate) fn is_want_of_room(error: &(dyn Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| (*error).source()).any(|error| {
        if error.is::<Full>() {
            return true;
        }
        let io = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
        matches!(io, Some(ErrorKind::StorageFull | ErrorKind::QuotaExceeded)) || says_full(&error.to_string())
    })
}

/// RocksDB and Kafka say it in words, those of the operating system.
pub(crate) fn says_full(text: &str) -> bool {
    text.contains("No space left on device") || text.contains("Disk quota exceeded")
}

/// Bytes that this process can still write there; nothing where the system does not say.
fn free(directory: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(directory).ok()?;
    // What is kept back for root is root's to use.
    let blocks = if rustix::process::geteuid().is_root() { disk.f_bfree } else { disk.f_bavail };
    Some(blocks.saturating_mul(disk.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn want_of_room_is_known_by_its_cause_and_by_words_that_others_leave_of_it() {
        let full = || std::io::Error::from(ErrorKind::StorageFull);
        let wrapped = crate::datadir::Error::Io { doing: "write", path: "run.json".into(), source: full() };
        assert!(is_want_of_room(&wrapped));
        let chain = anyhow::Error::new(wrapped).context("while publishing");
        assert!(is_want_of_room(chain.as_ref()));
        let words: anyhow::Result<()> = Err(anyhow::anyhow!("IO error: No space left on device: While appending"));
        assert!(is_want_of_room(words.context("projector stopped").unwrap_err().as_ref()));
        let full = Full { directory: "/data".into(), free: 0 };
        assert!(is_want_of_room(&crate::broker::Error::Full(full)));
        let other = anyhow::Error::new(std::io::Error::from(ErrorKind::PermissionDenied)).context("disk");
        assert!(!is_want_of_room(other.as_ref()));
    }

    #[test]
    fn each_end_for_want_of_room_is_waited_out_longer_and_nothing_is_given_up() {
        let seconds: Vec<_> = [0, 1, 2, 3, 4, 5, 99, u32::MAX].map(|times| pause(times).as_secs()).to_vec();
        assert_eq!(seconds, [1, 1, 2, 4, 8, 10, 10, 10]);
    }

    #[test]
    fn what_ran_for_a_minute_begins_with_the_shortest_pause_again() {
        let (mut shortages, short) = (Shortages::default(), CALM.saturating_sub(Duration::from_millis(1)));
        let pauses = [short, Duration::ZERO, short, CALM, short, CALM * 9].map(|ran| shortages.one_more(ran).as_secs());
        assert_eq!(pauses, [1, 2, 4, 1, 2, 1]);
    }

    #[test]
    fn more_is_needed_to_go_on_than_to_run_on() {
        let here = std::env::temp_dir();
        let free = free(&here).unwrap();
        assert!(less_than(free.saturating_mul(2), &here).is_some() && less_than(0, &here).is_none());
        const { assert!(FULL * 2 <= ENOUGH) };
        assert!(full(&here).is_none() || wanting(&here).is_some(), "a full disk always wants room");
    }

    #[test]
    fn a_disk_that_nobody_knows_is_not_called_full() {
        assert!(!is_full(Path::new("/nowhere/at/all")) && wanting(Path::new("/nowhere/at/all")).is_none());
    }

    #[test]
    fn what_is_said_of_a_full_disk_names_it_and_how_much_is_needed() {
        let full = Full { directory: "/data".into(), free: 3 * MIB + 5 };
        let text = full.to_string();
        assert!(text.contains("/data") && text.contains("3 MiB are free") && text.contains("64 are needed"), "{text}");
    }
}
