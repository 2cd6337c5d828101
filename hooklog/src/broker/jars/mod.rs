//! Apache Kafka's jars in the user's cache directory: those of the lock file, or none.

mod fetch;
mod lock;

use super::{Error, VERSION};
pub(super) use fetch::wait_for_turn;
use lock::{Depth, Lock};
use std::path::{Path, PathBuf};
use tokio_util::sync::CancellationToken;

/// The directory of the jars, below `cache`; fetched where it is missing or not what the lock file says. `thorough`
/// reads every byte of what is there already, else names and sizes have to do.
pub(crate) fn ensure(cache: &Path, thorough: bool, cancel: &CancellationToken) -> Result<PathBuf, Error> {
    let lock = Lock::embedded();
    let jars = cache.join(format!("kafka-{VERSION}"));
    let depth = if thorough { Depth::Sums } else { Depth::Sizes };
    if let Err(mismatch) = lock.check(&jars, depth) {
        fetch::Fetch { cache, jars: &jars, lock: &lock, depth, cancel }.run(&mismatch)?;
    }
    Ok(jars)
}
