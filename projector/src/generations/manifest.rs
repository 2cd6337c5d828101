//! The plan in a file. It is replaced as a whole, so a crash leaves the old one or the new one.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use super::plan::Plan;
use crate::error::Error;

const NAME: &str = "manifest.json";

/// Reads the plan of a directory; none where there is no manifest yet.
///
/// # Errors
/// [`Error::Io`], [`Error::Manifest`].
pub fn read(dir: &Path) -> Result<Option<Plan>, Error> {
    let path = dir.join(NAME);
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        text => text.map_err(|source| Error::Io { path: path.clone(), source })?,
    };
    let plan: Plan =
        serde_json::from_str(&text).map_err(|e| Error::Manifest { path: path.clone(), what: e.to_string() })?;
    match plan.flaw() {
        Some(what) => Err(Error::Manifest { path, what }),
        None => Ok(Some(plan)),
    }
}

/// Replaces the plan of a directory, durably.
///
/// # Errors
/// [`Error::Io`].
pub fn write(dir: &Path, plan: &Plan) -> Result<(), Error> {
    let path = dir.join(NAME);
    replace(dir, &path, plan).map_err(|source| Error::Io { path, source })
}

fn replace(dir: &Path, path: &Path, plan: &Plan) -> std::io::Result<()> {
    let new = path.with_extension("json.new");
    let mut file = File::create(&new)?;
    file.write_all(serde_json::to_string(plan)?.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    File::open(dir)?.sync_all()
}

/// The directory of a generation.
pub fn directory(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("generation-{number}"))
}

/// The generations that have a directory.
///
/// # Errors
/// [`Error::Io`].
pub fn on_disk(dir: &Path) -> Result<Vec<u64>, Error> {
    let io = |source| Error::Io { path: dir.to_owned(), source };
    let mut numbers = Vec::new();
    for entry in fs::read_dir(dir).map_err(io)? {
        let name = entry.map_err(io)?.file_name();
        numbers.extend(name.to_str().and_then(|name| name.strip_prefix("generation-")?.parse::<u64>().ok()));
    }
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_read_back_and_a_crash_while_writing_leaves_the_old_one() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read(dir.path()).unwrap(), None);
        write(dir.path(), &Plan::first()).unwrap();
        fs::write(dir.path().join("manifest.json.new"), "{\"format\":1,\"li").unwrap();
        assert_eq!(read(dir.path()).unwrap(), Some(Plan::first()));
    }

    #[test]
    fn a_damaged_manifest_is_an_error_that_says_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(NAME), "{").unwrap();
        assert!(read(dir.path()).unwrap_err().to_string().contains("rebuilt from the log"));
    }

    #[test]
    fn only_directories_of_generations_are_listed() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["generation-7", "generation-x", "other"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        assert_eq!(on_disk(dir.path()).unwrap(), [7]);
    }
}
