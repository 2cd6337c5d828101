//! The rules on disk, beside those that the live generation answers by. A changed file does nothing until a rebuild.

use std::io::ErrorKind;
use std::path::Path;

use serde::Serialize;

use crate::error::Error;
use crate::rules::{Invalid, MAX_BYTES, Rules};

/// What has become of the rules on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum OnDisk {
    /// They are those that are answered by.
    Same,
    /// They are others: `hooklog rebuild` would take them.
    Changed {
        /// Their version.
        hash: String,
    },
    /// They cannot be used; a rebuild would be refused.
    Invalid {
        /// Why.
        reason: String,
    },
}

/// Reads the rules of `--rules`, or the built-in ones.
///
/// # Errors
/// [`Error::Rules`], [`Error::Io`].
pub fn load(path: Option<&Path>) -> Result<Rules, Error> {
    let Some(path) = path else { return Ok(Rules::built_in()) };
    let text = std::fs::read_to_string(path);
    let invalid = |reason| Error::Rules { from: path.to_owned(), reason };
    match text {
        Ok(text) => Rules::parse(&text).map_err(invalid),
        Err(error) if error.kind() == ErrorKind::InvalidData => {
            Err(invalid(Invalid::because(format!("it is no UTF-8 text of at most {MAX_BYTES} bytes"))))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Err(invalid(Invalid::because("there is no such file"))),
        Err(source) => Err(Error::Io { path: path.to_owned(), source }),
    }
}

/// Compares the rules on disk with those in use.
pub fn compare(in_use: &Rules, path: Option<&Path>) -> OnDisk {
    match load(path) {
        Ok(rules) if rules == *in_use => OnDisk::Same,
        Ok(rules) => OnDisk::Changed { hash: rules.hash() },
        Err(error) => OnDisk::Invalid { reason: error.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::DEFAULT;

    #[test]
    fn a_changed_a_broken_and_a_missing_file_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let (path, in_use) = (dir.path().join("rules.toml"), Rules::built_in());
        let state = |text: &str| {
            std::fs::write(&path, text).unwrap();
            compare(&in_use, Some(&path))
        };
        assert_eq!(compare(&in_use, None), OnDisk::Same);
        assert_eq!(state(DEFAULT), OnDisk::Same);
        assert!(matches!(state(&DEFAULT.replace("# grace_days", "grace_days")), OnDisk::Changed { .. }));
        assert!(matches!(state("version = 1"), OnDisk::Invalid { reason } if reason.contains("rules.toml")));
        let gone = compare(&in_use, Some(&dir.path().join("none")));
        assert!(
            matches!(gone, OnDisk::Invalid { reason } if reason.contains("none cannot be used: there is no such file"))
        );
    }
}
