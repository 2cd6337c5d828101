//! `run.json`: who runs on this data directory, and where.

use super::atomic::remove_if_there;
use super::{Error, write_atomically};
use crate::process::Identity;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};

/// What a running `hooklog` tells other commands. Addresses that it does not serve are left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RunFile {
    #[serde(flatten)]
    pub(crate) process: Identity,
    /// `http://host:port`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ingest: Option<String>,
    /// `http://host:port`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) query: Option<String>,
    /// `host:port,...`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) brokers: Option<String>,
    /// Of the local broker, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) broker_pid: Option<i32>,
}

impl RunFile {
    pub(crate) fn of(process: Identity) -> Self {
        Self { process, ingest: None, query: None, brokers: None, broker_pid: None }
    }

    /// The process that runs on this data directory now: its pid and start time are checked, so what a crash left is `None`.
    pub(crate) fn find(data_dir: &Path) -> Result<Option<Self>, Error> {
        let path = file(data_dir);
        let text = match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read.map_err(Error::io("read", &path))?,
        };
        let run: Self =
            serde_json::from_str(&text).map_err(|error| Error::Unreadable { path, reason: error.to_string() })?;
        Ok(run.process.is_alive().then_some(run))
    }

    pub(super) fn write(&self, data_dir: &Path) -> Result<(), Error> {
        let mut text = serde_json::to_vec_pretty(self).expect("a struct of strings and numbers has a JSON form");
        text.push(b'\n');
        write_atomically(&file(data_dir), &text, 0o600)
    }

    pub(super) fn remove(data_dir: &Path) -> Result<(), Error> {
        remove_if_there(&file(data_dir))
    }
}

fn file(data_dir: &Path) -> PathBuf {
    data_dir.join("run.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running() -> RunFile {
        let brokers = Some("127.0.0.1:9092".into());
        RunFile { brokers, broker_pid: Some(7), ..RunFile::of(Identity::own().unwrap()) }
    }

    #[test]
    fn a_running_process_is_found_until_it_says_goodbye() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(RunFile::find(dir.path()).unwrap(), None);
        running().write(dir.path()).unwrap();
        assert_eq!(RunFile::find(dir.path()).unwrap(), Some(running()));
        RunFile::remove(dir.path()).unwrap();
        assert_eq!(RunFile::find(dir.path()).unwrap(), None);
    }

    #[test]
    fn what_an_earlier_process_of_the_same_pid_left_is_stale() {
        let dir = tempfile::tempdir().unwrap();
        let mut earlier = running();
        earlier.process.start_time -= 1;
        earlier.write(dir.path()).unwrap();
        assert_eq!(RunFile::find(dir.path()).unwrap(), None);
    }

    #[test]
    fn the_file_is_flat_and_names_only_what_is_served() {
        let process = Identity { pid: 5, start_time: 6, boot_id: "b".into() };
        let run = RunFile { brokers: Some("h:1".into()), ..RunFile::of(process) };
        let text = serde_json::to_string(&run).unwrap();
        assert_eq!(text, r#"{"pid":5,"start_time":6,"boot_id":"b","brokers":"h:1"}"#);
    }

    #[test]
    fn a_torn_file_is_an_error_that_names_it() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(file(dir.path()), "{\"pid\":").unwrap();
        assert!(RunFile::find(dir.path()).unwrap_err().to_string().contains("run.json"));
    }
}
