//! Directories of one run. A run that fails leaves its own, for the logs in it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A new, empty directory in the system's place for such things. No other run of the bench gets its name.
pub(crate) fn make(name: &str) -> Result<PathBuf> {
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let dir = std::env::temp_dir().join(format!("hooklog-bench-{}-{number}-{name}", std::process::id()));
    let why = || format!("cannot make {}: remove it if an earlier run left it", dir.display());
    std::fs::create_dir(&dir).with_context(why)?;
    Ok(dir)
}

/// Removes it with all that is in it.
pub(crate) fn remove(dir: &Path) -> Result<()> {
    std::fs::remove_dir_all(dir).with_context(|| format!("cannot remove {}", dir.display()))
}
