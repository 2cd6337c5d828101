//! What is wrong with the settings.

use std::fmt;

/// One thing that is wrong: which setting, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// The setting, or the file.
    pub at: String,
    /// What is wrong and what to do; never a secret.
    pub what: String,
}

impl Problem {
    pub(super) fn new(at: impl Into<String>, what: impl Into<String>) -> Problem {
        Problem { at: at.into(), what: what.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.what)
    }
}

/// Settings with which nothing can start: wrong use, exit code 2.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) struct Invalid(pub Vec<Problem>);

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the settings are wrong; `hooklog config check` shows where each comes from")?;
        self.0.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}
