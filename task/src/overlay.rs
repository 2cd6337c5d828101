//! What is folded and not yet in the store, so that the second of two equal records is seen however close they lie.

use std::collections::HashMap;

use hooklog_schemas::Millis;
use hooklog_store::{Family, Writes};

/// The writes of an open transaction, readable by key.
#[derive(Default)]
pub(crate) struct Overlay {
    latest: HashMap<(Family, Box<[u8]>), Option<Box<[u8]>>>,
    writes: Writes,
}

impl Overlay {
    /// What the open writes say of `key`: nothing, that it is deleted, or its value.
    pub(crate) fn get(&self, family: Family, key: &[u8]) -> Option<Option<&[u8]>> {
        if self.latest.is_empty() {
            return None;
        }
        self.latest.get(&(family, Box::from(key))).map(Option::as_deref)
    }

    pub(crate) fn put(&mut self, family: Family, at: Millis, key: &[u8], value: &[u8]) {
        self.writes.put(family, at, key, value);
        self.latest.insert((family, Box::from(key)), Some(Box::from(value)));
    }

    pub(crate) fn delete(&mut self, family: Family, key: &[u8]) {
        self.writes.delete(family, key);
        self.latest.insert((family, Box::from(key)), None);
    }

    pub(crate) fn writes(&self) -> &Writes {
        &self.writes
    }

    /// Forgets everything: it is applied, or its transaction is undone.
    pub(crate) fn clear(&mut self) {
        self.latest.clear();
        self.writes = Writes::default();
    }
}
