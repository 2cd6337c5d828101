//! The admin socket of a running `hooklog`: `<data-dir>/admin.sock`, mode 0600, HTTP.
//!
//! `GET /status` says how far the services are; `POST /rebuild` builds the views anew and answers when that is done.

mod client;
mod server;

pub(crate) use client::{ask, home, status};
pub(crate) use server::{metrics, serve};

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

/// The socket within an open directory, by a path that is short enough: a socket's has at most 108 bytes.
pub(crate) fn short(data_dir: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}/admin.sock", data_dir.as_raw_fd()))
}

/// Where the socket of the process on `data_dir` is.
pub(crate) fn socket(data_dir: &Path) -> PathBuf {
    data_dir.join("admin.sock")
}
