//! The directory, locked for one process.

use super::{Error, RunFile};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// A process that got SIGKILL gives its lock back only when the kernel has taken it apart.
const WAIT_FOR_A_DYING_OWNER: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(20);

/// The data directory, for as long as this value lives ours alone.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Makes the directory (mode 0700) where it is not there, and locks it.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let created = DirBuilder::new().recursive(true).mode(0o700).create(path);
        created.map_err(Error::io("create the directory", path))?;
        let path = path.canonicalize().map_err(Error::io("find", path))?;
        let lock = lock_file(&path.join("lock"))?;
        acquire(&lock, &path)?;
        match sign(&lock) {
            // The lock is ours all the same; only whoever comes second is told less.
            Err(error) if error.kind() == io::ErrorKind::StorageFull => {}
            signed => signed.map_err(Error::io("write", &path.join("lock")))?,
        }
        Ok(Self { path, _lock: lock })
    }

    /// Absolute and without links.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Tells other commands where we are; replaced as a whole each time.
    pub(crate) fn publish(&self, run: &RunFile) -> Result<(), Error> {
        run.write(&self.path)
    }

    /// For an orderly exit. What a crash leaves is known as stale by its pid and start time.
    pub(crate) fn unpublish(&self) -> Result<(), Error> {
        RunFile::remove(&self.path)
    }
}

fn lock_file(path: &Path) -> Result<File, Error> {
    let opened = OpenOptions::new().create(true).write(true).truncate(false).mode(0o600).open(path);
    opened.map_err(Error::io("open the lock file", path))
}

fn acquire(lock: &File, data_dir: &Path) -> Result<(), Error> {
    let deadline = Instant::now() + WAIT_FOR_A_DYING_OWNER;
    loop {
        match flock(lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(()),
            Err(Errno::WOULDBLOCK | Errno::INTR) => {}
            Err(errno) => return Err(Error::io("lock", data_dir)(io::Error::from(errno))),
        }
        let holder = RunFile::find(data_dir).ok().flatten().map(|run| run.process.pid);
        if holder.is_some() || Instant::now() >= deadline {
            let holder = holder.or_else(|| signed(data_dir));
            return Err(Error::InUse { path: data_dir.to_owned(), holder: describe(holder) });
        }
        thread::sleep(POLL);
    }
}

/// The owner's pid, for whoever comes second before `run.json` is there.
fn sign(lock: &File) -> io::Result<()> {
    lock.set_len(0)?;
    let mut lock = lock;
    writeln!(lock, "{}", std::process::id())
}

fn signed(data_dir: &Path) -> Option<i32> {
    std::fs::read_to_string(data_dir.join("lock")).ok()?.trim().parse().ok()
}

fn describe(holder: Option<i32>) -> String {
    match holder {
        Some(pid) => format!("hooklog with pid {pid}"),
        None => "a process that has not said who it is yet (`fuser -v` on its file `lock` tells)".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::Identity;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_directory_is_made_for_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open(&dir.path().join("a/b")).unwrap();
        assert_eq!(data.path().metadata().unwrap().permissions().mode() & 0o777, 0o700);
        assert!(data.path().is_absolute());
    }

    #[test]
    fn a_second_owner_is_told_who_the_first_one_is() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open(dir.path()).unwrap();
        data.publish(&RunFile::of(Identity::own().unwrap())).unwrap();
        let error = DataDir::open(dir.path()).unwrap_err().to_string();
        assert!(error.contains(&format!("hooklog with pid {}", std::process::id())), "{error}");
        assert!(error.contains("--data-dir"), "{error}");
    }

    #[test]
    fn an_owner_that_is_still_starting_is_told_by_its_lock() {
        let dir = tempfile::tempdir().unwrap();
        let _starting = DataDir::open(dir.path()).unwrap();
        let error = DataDir::open(dir.path()).unwrap_err().to_string();
        assert!(error.contains(&format!("hooklog with pid {}", std::process::id())), "{error}");
    }

    #[test]
    fn the_directory_is_free_again_when_its_owner_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        drop(DataDir::open(dir.path()).unwrap());
        DataDir::open(dir.path()).unwrap();
    }
}
