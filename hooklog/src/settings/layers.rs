//! Who says what of one setting, and who wins: flag, file named by a variable, variable, `hooklog.toml`, default.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::common::Flags;
use super::file::{Entry, File};
use super::kafka::is_secret;
use super::keys::Key;
use super::problem::Problem;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Flag(String),
    FileOf { variable: String, path: PathBuf },
    Variable(String),
    Toml { path: PathBuf, line: usize },
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Flag(flag) => f.write_str(flag),
            Origin::FileOf { variable, path } => write!(f, "{} ({variable})", path.display()),
            Origin::Variable(variable) => f.write_str(variable),
            Origin::Toml { path, line } => write!(f, "{}:{line}", path.display()),
            Origin::Default => f.write_str("default"),
        }
    }
}

/// A text that somebody gave, and who.
#[derive(Clone, Debug)]
pub(super) struct Given {
    pub text: String,
    pub origin: Origin,
}

/// Reads a file that a setting names.
pub(super) type ReadFile<'a> = &'a dyn Fn(&Path) -> io::Result<String>;

/// Everything that is said, by everybody.
pub(super) struct Layers<'a> {
    pub flags: &'a Flags,
    pub environment: &'a BTreeMap<String, String>,
    pub file: File,
    pub read: ReadFile<'a>,
}

impl Layers<'_> {
    /// The winning text of `key`, if anybody but the default says one.
    pub(super) fn given(&self, key: &Key, problems: &mut Vec<Problem>) -> Option<Given> {
        let flag = || {
            let origin = Origin::Flag(format!("--{}", key.name.replace('_', "-")));
            self.flags.set.get(key.name).map(|text| Given { text: text.clone(), origin })
        };
        let given = flag()
            .or_else(|| self.variable_file(key, problems))
            .or_else(|| self.variable(&key.variable()))
            .or_else(|| self.file.settings.get(key.name).map(|entry| self.toml(entry)))?;
        if given.text.trim().is_empty() {
            problems
                .push(Problem::new(key.name, format!("is empty in {}: give a value or leave it out", given.origin)));
            return None;
        }
        Some(given)
    }

    fn variable_file(&self, key: &Key, problems: &mut Vec<Problem>) -> Option<Given> {
        let variable = format!("{}_FILE", key.variable());
        if key.path {
            if self.environment.contains_key(&variable) {
                problems
                    .push(Problem::new(variable, format!("is not read: name the path itself in {}", key.variable())));
            }
            return None;
        }
        self.file_of(&variable, problems)
    }

    /// The text of the file that `variable` names, without the line end that editors leave.
    pub(super) fn file_of(&self, variable: &str, problems: &mut Vec<Problem>) -> Option<Given> {
        let path = PathBuf::from(self.environment.get(variable)?);
        let text = self.contents(&path, variable, problems)?;
        Some(Given {
            text: line_end_off(&text).to_owned(),
            origin: Origin::FileOf { variable: variable.to_owned(), path },
        })
    }

    /// What is in the file `path`, which `at` names.
    pub(super) fn contents(&self, path: &Path, at: &str, problems: &mut Vec<Problem>) -> Option<Zeroizing<String>> {
        match (self.read)(path) {
            Ok(text) => Some(Zeroizing::new(text)),
            Err(error) => {
                // Nobody names a secret's file by a word alone.
                let is_word = path.components().count() == 1 && at.starts_with("HOOKLOG_");
                let is_secret = is_word && is_secret(&at.to_lowercase());
                let what = if is_secret { unnamed(&error) } else { unreadable(path, &error) };
                problems.push(Problem::new(at, what));
                None
            }
        }
    }

    pub(super) fn variable(&self, variable: &str) -> Option<Given> {
        let text = self.environment.get(variable)?.clone();
        Some(Given { text, origin: Origin::Variable(variable.to_owned()) })
    }

    fn toml(&self, entry: &Entry) -> Given {
        Given { text: entry.texts.join(","), origin: self.line(entry.line) }
    }

    pub(super) fn line(&self, line: usize) -> Origin {
        Origin::Toml { path: self.file.path.clone(), line }
    }

    /// A path of `hooklog.toml` starts from the folder of that file, any other from the working directory.
    pub(super) fn path(&self, given: &Given) -> PathBuf {
        match &given.origin {
            Origin::Toml { path, .. } => path.parent().unwrap_or(Path::new("")).join(&given.text),
            _ => PathBuf::from(&given.text),
        }
    }
}

/// Why the file at `path` could not be read. A secret that was put in the place of its file's name is not shown.
pub(crate) fn unreadable(path: &Path, error: &io::Error) -> String {
    if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("whsec_")) {
        return unnamed(error);
    }
    format!("{} cannot be read: {error}", path.display())
}

fn unnamed(error: &io::Error) -> String {
    format!("takes the name of a file, and what it names cannot be read: {error}; is that the secret itself?")
}

/// `text` without one line end.
pub(super) fn line_end_off(text: &str) -> &str {
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.strip_suffix('\r').unwrap_or(text)
}
