//! Directories of one run. A run that fails leaves its own, for the logs in it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// A new, empty directory in the system's place for such things.
pub(crate) fn make(name: &str) -> Result<PathBuf> {
    let dir = std::env::temp_dir().join(format!("hooklog-bench-{}-{name}", std::process::id()));
    if dir.exists() {
        remove(&dir)?;
    }
    std::fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    Ok(dir)
}

/// Removes it with all that is in it.
pub(crate) fn remove(dir: &Path) -> Result<()> {
    std::fs::remove_dir_all(dir).with_context(|| format!("cannot remove {}", dir.display()))
}
