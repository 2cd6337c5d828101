//! What is folded and not yet in the store, so that the second of two equal records is seen however close they lie.

use std::collections::HashMap;

use hooklog_schemas::Millis;
use hooklog_store::{Family, Writes};

/// The writes of an open transaction, readable by key.
#[derive(Default)]
pub(crate) struct Overlay {
    /// By family: where the latest write of each key stands among `writes`.
    latest: Vec<HashMap<Box<[u8]>, usize>>,
    writes: Writes,
}

impl Overlay {
    /// What the open writes say of `key`: nothing, that it is deleted, or its value.
    pub(crate) fn get(&self, family: Family, key: &[u8]) -> Option<Option<&[u8]>> {
        let at = self.latest.get(usize::from(family.0))?.get(key)?;
        Some(self.writes.get(*at).value)
    }

    pub(crate) fn put(&mut self, family: Family, at: Millis, key: &[u8], value: &[u8]) {
        self.note(family, key);
        self.writes.put(family, at, key, value);
    }

    pub(crate) fn delete(&mut self, family: Family, key: &[u8]) {
        self.note(family, key);
        self.writes.delete(family, key);
    }

    pub(crate) fn writes(&self) -> &Writes {
        &self.writes
    }

    /// Forgets everything: it is applied, or its transaction is undone. The memory is kept for the next one.
    pub(crate) fn clear(&mut self) {
        self.latest.iter_mut().for_each(HashMap::clear);
        self.writes.clear();
    }

    fn note(&mut self, family: Family, key: &[u8]) {
        let family = usize::from(family.0);
        if self.latest.len() <= family {
            self.latest.resize_with(family + 1, HashMap::new);
        }
        self.latest[family].insert(Box::from(key), self.writes.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_write_of_a_key_counts_until_all_is_forgotten() {
        let (a, b) = (Family(0), Family(3));
        let mut overlay = Overlay::default();
        assert_eq!(overlay.get(b, b"k"), None);
        overlay.put(b, Millis(1), b"k", b"old");
        overlay.put(b, Millis(2), b"k", b"new");
        overlay.put(a, Millis(2), b"k", b"other");
        overlay.delete(a, b"gone");
        assert_eq!(overlay.get(b, b"k"), Some(Some(&b"new"[..])));
        assert_eq!(overlay.get(a, b"k"), Some(Some(&b"other"[..])));
        assert_eq!(overlay.get(a, b"gone"), Some(None));
        assert_eq!(overlay.writes().len(), 4);
        overlay.clear();
        assert_eq!(overlay.get(b, b"k"), None);
        assert!(overlay.writes().is_empty());
    }
}
