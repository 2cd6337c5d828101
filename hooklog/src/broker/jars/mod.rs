//! Apache Kafka's jars in the user's cache directory: those of the lock file, or none.

mod fetch;
mod lock;

use super::{Error, VERSION};
pub(super) use fetch::wait_for_turn;
use lock::Lock;
use std::path::{Path, PathBuf};
use tokio_util::sync::CancellationToken;

/// The directory of the jars, below `cache`; fetched where it is missing or not what the lock file says. Every byte of
/// what is there already is read, each time: 45 MB take less than a tenth of a second.
pub(crate) fn ensure(cache: &Path, cancel: &CancellationToken) -> Result<PathBuf, Error> {
    let lock = Lock::embedded();
    let jars = cache.join(format!("kafka-{VERSION}"));
    if let Err(mismatch) = lock.check(&jars) {
        fetch::Fetch { cache, jars: &jars, lock: &lock, cancel }.run(&mismatch)?;
    }
    Ok(jars)
}
