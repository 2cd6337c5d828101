//! One build of the views.

use std::sync::OnceLock;

use hooklog_schemas::{Millis, NextOffset, Partition};
use hooklog_store::{Applied, Source, Store, Writes};

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
    /// How far each partition must have been read before it is answered from.
    goals: OnceLock<Vec<NextOffset>>,
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
        Ok(Self { number, store, rules, topic: topic.to_owned(), goals: OnceLock::new() })
    }

    /// Where a partition's position is kept.
    pub fn source(&self, partition: Partition) -> Source {
        Source { topic: self.topic.clone(), partition }
    }

    /// Up to where it holds a partition, and log time there.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn applied(&self, partition: Partition) -> Result<Applied, Error> {
        Ok(self.store.applied(&self.source(partition))?)
    }

    /// Sets how far each partition must be read before it is answered from: once, at the start.
    pub fn aim(&self, goals: Vec<NextOffset>) {
        // Set again after Kafka was away; what was asked for first still holds.
        let _ = self.goals.set(goals);
    }

    /// The goal of a partition, once there is one.
    pub fn goal(&self, partition: Partition) -> Option<NextOffset> {
        let at = usize::try_from(partition.0).ok()?;
        self.goals.get()?.get(at).copied()
    }

    /// Whether a partition that is read up to `next` cannot be answered from yet.
    pub fn is_restoring(&self, partition: Partition, next: NextOffset) -> bool {
        self.goal(partition).is_none_or(|goal| next < goal)
    }
}

fn written(store: &Store, rules: Rules) -> Result<Rules, Error> {
    let mut writes = Writes::default();
    writes.put(RULES, Millis::MIN, RULES_TEXT, rules.text().as_bytes());
    store.apply(&writes, &[])?;
    Ok(rules)
}
