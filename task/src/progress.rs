//! How far each partition is, for people and machines who ask.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hooklog_schemas::{NextOffset, Partition};

/// One partition's standing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Up to where the store holds it.
    pub next: NextOffset,
    /// Up to where it is, or was, being brought before it counts as restored.
    pub until: NextOffset,
    /// Where the log ended when it was last heard of; nothing before that, nor where nobody listens.
    pub end: Option<NextOffset>,
    /// Whether it is being brought up to where it stood before.
    pub restoring: bool,
    /// Records folded since the process started.
    pub folded: u64,
    /// Records emitted since the process started.
    pub emitted: u64,
}

/// The standing of every partition that this process owns; cheap to clone, shared by all clones.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<Mutex<BTreeMap<Partition, Standing>>>);

impl Progress {
    /// What there is to know now.
    pub fn all(&self) -> BTreeMap<Partition, Standing> {
        self.lock().clone()
    }

    /// Whether there is at least one partition and none is being restored.
    pub fn is_ready(&self) -> bool {
        let all = self.lock();
        !all.is_empty() && all.values().all(|standing| !standing.restoring)
    }

    pub(crate) fn restoring(&self, partition: Partition, next: NextOffset, until: NextOffset) {
        let mut all = self.lock();
        let fresh = Standing { next, until, end: None, restoring: true, folded: 0, emitted: 0 };
        let standing = all.entry(partition).or_insert(fresh);
        *standing = Standing { next, until, restoring: true, ..*standing };
    }

    pub(crate) fn reached(&self, partition: Partition, next: NextOffset, folded: u64, emitted: u64) {
        if let Some(standing) = self.lock().get_mut(&partition) {
            standing.next = next;
            standing.folded += folded;
            standing.emitted += emitted;
        }
    }

    pub(crate) fn heard_end(&self, partition: Partition, end: NextOffset) {
        if let Some(standing) = self.lock().get_mut(&partition) {
            standing.end = Some(end);
        }
    }

    pub(crate) fn live(&self, partition: Partition) {
        if let Some(standing) = self.lock().get_mut(&partition) {
            standing.restoring = false;
        }
    }

    pub(crate) fn gone(&self, partition: Partition) {
        self.lock().remove(&partition);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Partition, Standing>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
