//! The data directory: one owner at a time, who it is, and the secrets kept there.
//!
//! - [`lock`]: the directory, locked for one process
//! - [`run`]: `run.json`, by which commands find a running `hooklog`
//! - [`secrets`]: files of mode 0600
//! - [`atomic`]: files that are there whole or not at all
//! - [`home`]: the XDG directories

mod atomic;
mod error;
mod home;
mod lock;
mod run;
mod secrets;

pub(crate) use atomic::write_atomically;
pub(crate) use error::Error;
pub(crate) use home::cache_home;
pub(crate) use lock::DataDir;
pub(crate) use run::RunFile;
