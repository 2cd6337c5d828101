//! What the system allows a process.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// More than RocksDB, librdkafka and every connection need together. Some systems allow a billion, which other programs that
/// we start go through one by one.
const ENOUGH: u64 = 1 << 20;

/// Raises the soft limit of open files to the hard one: many systems begin with 1024, whatever a program may have.
pub(crate) fn open_as_many_files_as_allowed() {
    let limit = getrlimit(Resource::Nofile);
    let Some(current) = limit.current else { return };
    let wanted = limit.maximum.unwrap_or(ENOUGH).min(ENOUGH);
    if current >= wanted {
        return;
    }
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: limit.maximum }) {
        tracing::warn!(%error, current, "the limit of open files cannot be raised");
    }
}
