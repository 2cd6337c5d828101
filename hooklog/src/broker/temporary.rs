//! A broker for one test process: in a directory of its own, gone with whoever holds the other end of our stdin.

use super::Error;
use crate::process::Identity;
use std::fs::{self, DirBuilder};
use std::io::{self, Read};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::thread;
use tokio_util::sync::CancellationToken;

/// A data directory that is removed when this value is dropped.
#[derive(Debug)]
pub(super) struct Temporary(PathBuf);

impl Temporary {
    /// Named after this process, so that it cannot be there.
    pub(super) fn create(own: &Identity) -> Result<Self, Error> {
        let path = std::env::temp_dir().join(format!("hooklog-{}-{}", own.pid, own.start_time));
        DirBuilder::new().mode(0o700).create(&path).map_err(Error::io("create the directory", &path))?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(%error, "{} is left behind", self.0.display());
        }
    }
}

/// A kernel closes a pipe even for a process that was killed, so no broker outlives its test.
pub(super) fn cancel_when_stdin_closes(cancel: CancellationToken) {
    thread::spawn(move || {
        let mut stdin = io::stdin().lock();
        while matches!(stdin.read(&mut [0; 512]), Ok(1..)) {}
        cancel.cancel();
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directory_goes_with_all_that_is_in_it() {
        let own = Identity { pid: 1, start_time: rand::random(), boot_id: String::new() };
        let temporary = Temporary::create(&own).unwrap();
        let path = temporary.path().to_owned();
        fs::create_dir(path.join("broker")).unwrap();
        assert!(Temporary::create(&own).is_err(), "a directory that is there is somebody else's");
        drop(temporary);
        assert!(!path.exists());
    }
}
