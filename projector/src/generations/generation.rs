//! One build of the views.

use std::collections::BTreeSet;
use std::sync::{Mutex, OnceLock, PoisonError};

use hooklog_schemas::{Millis, Partition};
use hooklog_store::{Applied, Store, TopicPartition, Writes};
use hooklog_task::Progress;

use crate::error::Error;
use crate::rules::Rules;
use crate::views::family::{RULES, RULES_TEXT};

/// A store of views and the rules that it answers by.
pub struct Generation {
    /// Its number.
    pub number: u64,
    /// Its states.
    pub store: Store,
    /// Its rules, as they were when it was built.
    pub rules: Rules,
    /// The full name of the topic.
    topic: String,
    /// How far its reader is.
    pub progress: Progress,
    /// The partitions that were restored once; what is added since is only later, so they stay so.
    restored: Mutex<BTreeSet<Partition>>,
    /// What was noticed of its data that is bad.
    damage: OnceLock<String>,
}

impl Generation {
    /// Takes the rules from the store, or writes `rules` into a new one.
    ///
    /// # Errors
    /// [`Error::Store`], [`Error::Rules`].
    pub fn over(
        number: u64,
        store: Store,
        topic: &str,
        rules: impl FnOnce() -> Result<Rules, Error>,
    ) -> Result<Self, Error> {
        let rules = match store.get(RULES, RULES_TEXT)? {
            Some(text) => Rules::parse(&String::from_utf8_lossy(&text))
                .map_err(|reason| Error::Rules { from: format!("of generation {number}").into(), reason })?,
            None => written(&store, rules()?)?,
        };
        Ok(Self {
            number,
            store,
            rules,
            topic: topic.to_owned(),
            progress: Progress::without_outputs("projector"),
            restored: Mutex::default(),
            damage: OnceLock::new(),
        })
    }

    /// Where a partition's position is kept.
    pub fn source(&self, partition: Partition) -> TopicPartition {
        TopicPartition { topic: self.topic.clone(), partition }
    }

    /// Up to where it holds a partition, and log time there.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn applied(&self, partition: Partition) -> Result<Applied, Error> {
        Ok(self.store.applied(&self.source(partition))?)
    }

    /// Whether a partition cannot be answered from yet: it does not hold all that was committed when its reader began, or
    /// waits for its replacement.
    pub fn is_restoring(&self, partition: Partition) -> bool {
        if self.damage.get().is_some() {
            return true;
        }
        let mut restored = self.restored.lock().unwrap_or_else(PoisonError::into_inner);
        if restored.contains(&partition) {
            return false;
        }
        let standing = self.progress.all().get(&partition).copied();
        let restoring = standing.is_none_or(|standing| standing.restoring);
        if !restoring {
            restored.insert(partition);
        }
        restoring
    }

    /// Notes that its data are bad: nothing is answered from it any more. True for the first one who says so.
    pub fn note_damage(&self, what: &str) -> bool {
        self.damage.set(what.to_owned()).is_ok()
    }

    /// Refuses to go on with data that are bad.
    ///
    /// # Errors
    /// [`Error::Damaged`].
    pub fn sound(&self) -> Result<(), Error> {
        let damaged = |what: &String| Error::Damaged { path: self.store.path().to_owned(), what: what.clone() };
        self.damage.get().map_or(Ok(()), |what| Err(damaged(what)))
    }

    /// Notes that a partition holds all that it must, however it got there.
    pub fn note_restored(&self, partition: Partition) {
        self.restored.lock().unwrap_or_else(PoisonError::into_inner).insert(partition);
    }
}

fn written(store: &Store, rules: Rules) -> Result<Rules, Error> {
    let mut writes = Writes::default();
    writes.put(RULES, Millis::MIN, RULES_TEXT, rules.text().as_bytes());
    store.apply(&writes, &[])?;
    Ok(rules)
}
