//! The asking side, for commands that work through a running `hooklog`.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use hyper::Method;
use tokio::net::UnixStream;

use crate::datadir::RunFile;
use crate::http::{Answer, exchange};

/// From the connection to the end of an answer that needs no work.
const DEADLINE: Duration = Duration::from_secs(10);

/// The directory of who runs on `data_dir`: `up`, or a projector alone, which has one of its own.
pub(crate) fn home(data_dir: &Path) -> Result<PathBuf> {
    let alone = data_dir.join("projector");
    let is_alone = RunFile::find(data_dir)?.is_none() && RunFile::find(&alone)?.is_some();
    Ok(if is_alone { alone } else { data_dir.to_owned() })
}

/// One request over the admin socket of `home`, for as long as it takes.
///
/// # Errors
/// Where nobody listens there, or the connection breaks.
pub(crate) async fn ask(home: &Path, method: Method, path: &str) -> Result<Answer> {
    let nobody = || {
        format!(
            "no running hooklog is found at {}: start `hooklog up`, or give its --data-dir",
            super::socket(home).display()
        )
    };
    let directory = File::open(home).with_context(nobody)?;
    let stream = UnixStream::connect(super::short(&directory)).await.with_context(nobody)?;
    exchange(stream, "hooklog", method, path).await
}

/// What the process of `home` says of itself. Blocks, within a deadline.
pub(crate) fn status(home: &Path) -> Result<Answer> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let answer = tokio::time::timeout(DEADLINE, ask(home, Method::GET, "/status")).await;
        answer.with_context(|| format!("it gave no answer within {} s", DEADLINE.as_secs()))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::routing::get;

    /// A socket's path has at most 108 bytes; a data directory's may be longer.
    #[test]
    fn a_socket_in_a_directory_with_a_long_path_is_reached() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("d".repeat(120)).join("e");
        std::fs::create_dir_all(&home).unwrap();
        let directory = File::open(&home).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = {
            let _inside = runtime.enter();
            tokio::net::UnixListener::bind(super::super::short(&directory)).unwrap()
        };
        runtime.spawn(async { axum::serve(listener, Router::new().route("/status", get(async || "{}"))).await });
        assert_eq!(status(&home).unwrap().body, "{}");
    }

    #[test]
    fn where_nobody_listens_it_is_said_what_to_start() {
        let dir = tempfile::tempdir().unwrap();
        let told = format!("{:#}", status(dir.path()).unwrap_err());
        assert!(told.contains("hooklog up") && told.contains("admin.sock"), "{told}");
    }
}
