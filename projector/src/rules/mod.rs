//! Access rules: what a status gives. A table, so bounded and total: every status has exactly one verdict.
//!
//! - [`file`]: the TOML text, read strictly

mod file;

use sha2::{Digest, Sha256};

/// The rules that are built in.
pub const DEFAULT: &str = include_str!("../../../rules/default.toml");

/// The longest rules file that is read. The built-in one is below 3 kB.
pub const MAX_BYTES: usize = 64 * 1024;

/// What one status gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it gives access.
    pub access: bool,
    /// The code that answers carry.
    pub reason: String,
    /// Seconds after which the access ends, counted from when the status began; only for `past_due`.
    pub grace: Option<i64>,
}

/// A whole set of rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    text: String,
    statuses: Vec<(&'static str, Verdict)>,
    unknown_status: Verdict,
    customer_deleted: Verdict,
}

/// Why a rules file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(String);

impl Invalid {
    /// With these words.
    pub fn because(words: impl Into<String>) -> Self {
        Self(words.into())
    }
}

impl Rules {
    /// Reads rules from their text.
    ///
    /// # Errors
    /// [`Invalid`] names the line and what to write there.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        file::read(text)
    }

    /// The rules that are built in.
    pub fn built_in() -> Self {
        Self::parse(DEFAULT).expect("a test reads the built-in rules")
    }

    /// The normalised text: no byte order mark, LF, no white space at the ends of lines.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Identifies these rules: SHA-256 of the normalised text, in hex.
    pub fn hash(&self) -> String {
        hex::encode(Sha256::digest(self.text.as_bytes()))
    }

    /// What `status` gives.
    pub fn of_status(&self, status: &str) -> &Verdict {
        self.statuses.iter().find(|(name, _)| *name == status).map_or(&self.unknown_status, |(_, verdict)| verdict)
    }

    /// What a subscription of a deleted customer gives.
    pub fn of_deleted_customer(&self) -> &Verdict {
        &self.customer_deleted
    }
}

/// The text as it is hashed and kept, so that an editor's habits do not make another version of the rules.
fn normalise(text: &str) -> String {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut normal: String = text.lines().map(|line| line.trim_end().to_owned() + "\n").collect();
    normal.truncate(normal.trim_end().len());
    normal + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stripe::subscription::KNOWN_STATUSES;

    #[test]
    fn the_built_in_rules_follow_the_table_of_statuses() {
        let rules = Rules::built_in();
        let giving: Vec<&str> = KNOWN_STATUSES.into_iter().filter(|status| rules.of_status(status).access).collect();
        assert_eq!(giving, ["trialing", "active", "past_due"]);
        assert!(!rules.of_status("a_status_of_2030").access && !rules.of_deleted_customer().access);
        assert_eq!(rules.of_status("past_due").grace, None);
    }

    #[test]
    fn an_editors_habits_make_no_other_version_but_a_changed_rule_does() {
        let rules = Rules::built_in();
        let windows = format!("\u{feff}{}\r\n\r\n", DEFAULT.replace('\n', "  \r\n"));
        assert_eq!(Rules::parse(&windows).unwrap().hash(), rules.hash());
        let stricter = DEFAULT.replace("# grace_days = 7", "grace_days = 7");
        assert_ne!(Rules::parse(&stricter).unwrap().hash(), rules.hash());
    }

    #[test]
    fn rules_survive_being_stored_as_their_normalised_text() {
        let rules = Rules::built_in();
        assert_eq!(Rules::parse(rules.text()).unwrap(), rules);
    }
}
