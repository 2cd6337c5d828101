//! Where generations are and what they are of; how one is opened.

use std::path::PathBuf;

use hooklog_store::{Registry, Store};

use super::generation::Generation;
use super::manifest;
use super::rules_file;
use crate::error::Error;
use crate::rules::Rules;
use crate::views::family::{RULES, RULES_TEXT};
use crate::views::{family, fold};

/// Where generations are and what they are of.
#[derive(Clone)]
pub struct Place {
    /// The directory of all of them.
    pub dir: PathBuf,
    /// Opens stores.
    pub registry: Registry,
    /// The full name of the topic.
    pub topic: String,
    /// Kafka's id of it.
    pub log: String,
    /// Its pinned partitions.
    pub partitions: u32,
    /// The file of `--rules`.
    pub rules: Option<PathBuf>,
}

impl Place {
    /// Opens a generation, or makes it under the rules that the manifest keeps of it, or under those on disk.
    pub(super) fn open(&self, number: u64, kept: Option<&str>) -> Result<Generation, Error> {
        let path = self.directory(number);
        if kept.is_some() && !path.exists() {
            tracing::warn!(generation = number, "these views are gone or were never made; they are built from the log");
        }
        let store = self.store(number)?;
        let rules = || kept.map_or_else(|| self.load_rules(), |text| kept_rules(number, text));
        let generation = Generation::over(number, store, &self.topic, rules)?;
        match kept {
            Some(text) if text != generation.rules.text() => {
                Err(Error::Damaged { path, what: "its rules are not those that the manifest names".to_owned() })
            }
            _ => Ok(generation),
        }
    }

    /// Makes a new generation.
    pub(super) fn make(&self, number: u64, rules: Rules) -> Result<Generation, Error> {
        Generation::over(number, self.store(number)?, &self.topic, || Ok(rules))
    }

    fn store(&self, number: u64) -> Result<Store, Error> {
        let path = self.directory(number);
        let opened = self.registry.open(&path, family::layout(), &self.kind());
        opened.map_err(|error| match error {
            hooklog_store::Error::Foreign { found, wanted, .. } if is_other_fold(&found, &wanted) => {
                Error::OtherFold { path, found, wanted }
            }
            hooklog_store::Error::Foreign { found, wanted, .. } => Error::OtherLog { path, found, wanted },
            other => other.into(),
        })
    }

    /// The line that a store must say of itself.
    fn kind(&self) -> String {
        format!("views format=1 fold={} log={} partitions={}", fold::VERSION, self.log, self.partitions)
    }

    /// The rules inside a store that cannot be gone on with; the first release kept them nowhere else.
    pub(super) fn rules_inside(&self, number: u64) -> Option<Rules> {
        let store = self.registry.open_existing(&self.directory(number), family::layout()).ok()?;
        let text = store.get(RULES, RULES_TEXT).ok()??;
        Rules::parse(&String::from_utf8_lossy(&text)).ok()
    }

    pub(super) fn load_rules(&self) -> Result<Rules, Error> {
        rules_file::load(self.rules.as_deref())
    }

    pub(super) fn directory(&self, number: u64) -> PathBuf {
        manifest::directory(&self.dir, number)
    }
}

/// Rules that a generation was built with.
pub(super) fn kept_rules(number: u64, text: &str) -> Result<Rules, Error> {
    Rules::parse(text).map_err(|reason| Error::Rules { from: format!("of generation {number}").into(), reason })
}

/// Whether two kinds differ in what this program makes of the log, and not in the log.
fn is_other_fold(found: &str, wanted: &str) -> bool {
    let log = |kind: &str| {
        let is_ours = |part: &&str| part.starts_with("format=") || part.starts_with("fold=");
        kind.split(' ').filter(|part| !is_ours(part)).map(str::to_owned).collect::<Vec<_>>()
    };
    log(found) == log(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_fold_of_the_same_log_is_told_from_another_log() {
        let wanted = "views format=1 fold=2 log=abc partitions=4";
        assert!(is_other_fold("views format=1 fold=1 log=abc partitions=4", wanted));
        assert!(is_other_fold("views format=3 fold=9 log=abc partitions=4", wanted));
        for other in
            ["views format=1 fold=1 log=xyz partitions=4", "views format=1 fold=1 log=abc partitions=12", "dedup"]
        {
            assert!(!is_other_fold(other, wanted), "{other}");
        }
    }
}
