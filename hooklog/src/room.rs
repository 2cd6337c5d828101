//! Room on a disk: whether there is any, and whether an error was for want of it.

use std::error::Error;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

const MIB: u64 = 1 << 20;
/// A disk with less is full: Kafka writes batches of up to 2 MiB, and RocksDB larger files.
const FULL: u64 = 16 * MIB;
/// What has to be free before anything is tried again on a disk that was full: twice in a minute is worse than once late.
const ENOUGH: u64 = 64 * MIB;

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
    free(directory).is_some_and(|free| free < FULL)
}

/// What keeps a disk that was full from being used again; nothing once there is room.
pub(crate) fn wanting(directory: &Path) -> Option<Full> {
    let free = free(directory).filter(|free| *free < ENOUGH)?;
    Some(Full { directory: directory.to_owned(), free })
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
