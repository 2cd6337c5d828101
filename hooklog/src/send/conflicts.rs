//! Bodies of a file that say different things under one id. Hooklog keeps the first one that arrives, and answers 200 to all:
//! who sends the file must hear of it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use hooklog_schemas::content::Digest;
use serde::Serialize;

use super::generator::Event;

/// So many are named; the others are counted.
pub(super) const NAMED: usize = 10;

/// What was found in what was read so far; shared by all clones.
#[derive(Clone, Debug, Default)]
pub(super) struct Conflicts(Arc<Mutex<Found>>);

/// Bodies that contradict an earlier one of the same file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) count: u64,
    /// The first of them.
    pub(super) named: Vec<Conflict>,
}

/// Two events of a file, by their place in it, from 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Conflict {
    pub(super) id: String,
    pub(super) first: u64,
    pub(super) again: u64,
}

impl Conflicts {
    /// Hands `events` on and notes which of them contradict an earlier one.
    pub(super) fn watch(self, events: impl Iterator<Item = Result<Event>>) -> impl Iterator<Item = Result<Event>> {
        let mut known = HashMap::new();
        (1..).zip(events).map(move |(place, event)| {
            if let Ok(event) = &event {
                self.compare(place, event, &mut known);
            }
            event
        })
    }

    pub(super) fn found(&self) -> Found {
        self.lock().clone()
    }

    fn compare(&self, place: u64, event: &Event, known: &mut HashMap<u64, (u64, Digest)>) {
        if event.id.is_empty() {
            return;
        }
        let content = Digest::of(&event.body);
        match known.entry(hashed(&event.id)) {
            Entry::Vacant(entry) => _ = entry.insert((place, content)),
            Entry::Occupied(entry) => {
                let (first, before) = entry.get();
                if content.contradicts(before) {
                    self.note(Conflict { id: event.id.clone(), first: *first, again: place });
                }
            }
        }
    }

    fn note(&self, conflict: Conflict) {
        let mut found = self.lock();
        found.count += 1;
        if found.named.len() < NAMED {
            found.named.push(conflict);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Found> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn hashed(value: &(impl Hash + ?Sized)) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(bodies: &[&str]) -> Found {
        let event = |body: &&str| {
            let id = hooklog_schemas::Envelope::read(body.as_bytes()).map(|event| event.id.into_owned());
            Ok(Event { id: id.unwrap_or_default(), body: body.as_bytes().to_vec(), pending_webhooks_at: None })
        };
        let conflicts = Conflicts::default();
        assert_eq!(conflicts.clone().watch(bodies.iter().map(event)).count(), bodies.len(), "all are handed on");
        conflicts.found()
    }

    #[test]
    fn what_says_something_else_under_an_id_of_the_file_is_named_with_both_places() {
        let (one, other) = (r#"{"id":"evt_1","type":"a"}"#, r#"{"id":"evt_1","type":"b"}"#);
        let (again, two) = (r#"{"pending_webhooks":3,"type": "a","id":"evt_1"}"#, r#"{"id":"evt_2","type":"b"}"#);
        assert_eq!(found(&[one, again, two, two, "{}", r#"{"x":1}"#]), Found::default());
        let conflict = |again| Conflict { id: "evt_1".to_owned(), first: 1, again };
        assert_eq!(found(&[one, two, other, again, other]), Found { count: 2, named: vec![conflict(3), conflict(5)] });
    }
}
