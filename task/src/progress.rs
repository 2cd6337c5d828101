//! How far each partition is, for people and machines who ask.

mod workers;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use hooklog_schemas::{NextOffset, Partition};

use crate::fold::Suspect;
use crate::metric_names;
use workers::Workers;

/// One partition's standing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionProgress {
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
#[derive(Clone)]
pub struct Progress {
    task: &'static str,
    has_outputs: bool,
    shared: Arc<Mutex<Shared>>,
    suspects: Option<Arc<OnSuspects>>,
}

/// Hears of the suspects of each committed transaction, on the worker's own thread: it must not wait for anything.
pub type OnSuspects = dyn Fn(Partition, &[Suspect]) + Send + Sync;

#[derive(Debug, Default)]
struct Shared {
    all: BTreeMap<Partition, PartitionProgress>,
    /// Why those stopped that did, and whether each is tried again by itself.
    stopped: BTreeMap<Partition, (String, bool)>,
    workers: Workers,
}

impl Progress {
    /// Of the task that metrics call `task`.
    pub fn of(task: &'static str) -> Progress {
        Progress { task, has_outputs: true, shared: Arc::default(), suspects: None }
    }

    /// The same, with somebody who hears of suspects.
    pub fn with_suspects(self, hear: Arc<OnSuspects>) -> Progress {
        Progress { suspects: Some(hear), ..self }
    }

    /// Of a task that emits nothing.
    pub fn without_outputs(task: &'static str) -> Progress {
        Progress { has_outputs: false, ..Progress::of(task) }
    }

    /// What there is to know now.
    pub fn all(&self) -> BTreeMap<Partition, PartitionProgress> {
        self.lock().all.clone()
    }

    /// Why partitions stopped that a fault of their own keeps from going on, while others may.
    pub fn stopped_for(&self) -> BTreeMap<Partition, String> {
        self.lock().stopped.iter().map(|(partition, (why, _))| (*partition, why.clone())).collect()
    }

    /// Why a worker does no work, whatever its partitions say: it waits, as for a cluster that does not answer, or it is stuck.
    pub fn waiting_for(&self) -> Option<String> {
        self.lock().trouble()
    }

    pub(crate) fn worker_waits(&self, worker: &str, why: String) {
        self.lock().workers.waits(worker, why);
    }

    pub(crate) fn worker_works(&self, worker: &str) {
        self.lock().workers.works(worker);
    }

    pub(crate) fn worker_turns(&self, worker: &str) {
        self.lock().workers.turns(worker, Instant::now());
    }

    pub(crate) fn worker_leaves(&self, worker: &str) {
        self.lock().workers.leaves(worker);
    }

    /// Whether every worker works, and there is at least one partition, and none is being restored or stopped.
    pub fn is_ready(&self) -> bool {
        let shared = &*self.lock();
        let Shared { all, stopped, .. } = shared;
        shared.trouble().is_none()
            && !all.is_empty()
            && stopped.is_empty()
            && all.values().all(|standing| !standing.restoring)
    }

    /// Whether there are partitions, and all are stopped and none is tried again by itself.
    pub(crate) fn is_all_stopped_for_good(&self) -> bool {
        let Shared { all, stopped, .. } = &*self.lock();
        let is_for_good = |partition| stopped.get(partition).is_some_and(|(_, goes_on)| !goes_on);
        !all.is_empty() && all.keys().all(is_for_good)
    }

    /// It is ours and will be brought up: until then nobody may take us for ready.
    pub(crate) fn coming(&self, partition: Partition) {
        let mut shared = self.lock();
        shared.stopped.remove(&partition);
        shared.all.entry(partition).or_insert(PartitionProgress::UNKNOWN).restoring = true;
        self.tell(partition, true, false);
    }

    pub(crate) fn restoring(&self, partition: Partition, next: NextOffset, until: NextOffset) {
        let mut shared = self.lock();
        shared.stopped.remove(&partition);
        let standing = shared.all.entry(partition).or_insert(PartitionProgress::UNKNOWN);
        *standing = PartitionProgress { next, until, restoring: true, ..*standing };
        self.tell(partition, true, false);
    }

    pub(crate) fn reached(&self, partition: Partition, next: NextOffset, folded: u64, emitted: u64) {
        if let Some(standing) = self.lock().all.get_mut(&partition) {
            standing.next = next;
            standing.folded += folded;
            standing.emitted += emitted;
        }
        metric_names::reached(self.task, partition, next.0, folded, self.has_outputs.then_some(emitted));
    }

    pub(crate) fn suspected(&self, partition: Partition, suspects: &[Suspect]) {
        if let Some(hear) = self.suspects.as_ref().filter(|_| !suspects.is_empty()) {
            hear(partition, suspects);
        }
    }

    pub(crate) fn heard_end(&self, partition: Partition, end: NextOffset) {
        if let Some(standing) = self.lock().all.get_mut(&partition) {
            standing.end = Some(end);
        }
    }

    pub(crate) fn live(&self, partition: Partition) {
        if let Some(standing) = self.lock().all.get_mut(&partition) {
            standing.restoring = false;
        }
        self.tell(partition, false, false);
    }

    pub(crate) fn stopped(&self, partition: Partition, why: String, goes_on: bool) {
        let mut shared = self.lock();
        shared.all.entry(partition).or_insert(PartitionProgress::UNKNOWN).restoring = false;
        shared.stopped.insert(partition, (why, goes_on));
        self.tell(partition, false, true);
    }

    pub(crate) fn gone(&self, partition: Partition) {
        let mut shared = self.lock();
        shared.all.remove(&partition);
        shared.stopped.remove(&partition);
        self.tell(partition, false, false);
    }

    fn tell(&self, partition: Partition, restoring: bool, stopped: bool) {
        metric_names::set(self.task, metric_names::RESTORING, partition, i64::from(restoring));
        metric_names::set(self.task, metric_names::STOPPED, partition, i64::from(stopped));
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// To restore a partition takes as long as it takes, in one turn; it tells of itself meanwhile.
    fn trouble(&self) -> Option<String> {
        let is_restoring = self.all.values().any(|standing| standing.restoring);
        self.workers.waiting().or_else(|| self.workers.stuck(Instant::now()).filter(|_| !is_restoring))
    }
}

impl PartitionProgress {
    /// Of a partition that only just came.
    const UNKNOWN: PartitionProgress = PartitionProgress {
        next: NextOffset::ZERO,
        until: NextOffset::ZERO,
        restoring: false,
        end: None,
        folded: 0,
        emitted: 0,
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Partition = Partition(0);
    const B: Partition = Partition(1);
    const NEXT: NextOffset = NextOffset(7);

    fn live(progress: &Progress, partition: Partition) {
        progress.restoring(partition, NextOffset::ZERO, NEXT);
        progress.reached(partition, NEXT, 7, 5);
        progress.live(partition);
    }

    #[test]
    fn it_is_ready_once_nothing_is_restored_or_stopped() {
        let progress = Progress::of("test");
        assert!(!progress.is_ready(), "there is nothing yet");
        live(&progress, A);
        assert!(progress.is_ready());
        progress.restoring(B, NextOffset::ZERO, NEXT);
        assert!(!progress.is_ready());
        progress.live(B);
        assert!(progress.is_ready());
        progress.stopped(B, "a gap".to_owned(), false);
        assert!(!progress.is_ready());
        progress.gone(B);
        assert!(progress.is_ready(), "what is not ours any more keeps nobody waiting");
    }

    #[test]
    fn a_task_that_waits_for_its_cluster_is_not_ready() {
        let progress = Progress::of("test");
        live(&progress, A);
        progress.worker_waits("a", "no broker answers".to_owned());
        assert!(!progress.is_ready());
        assert_eq!(progress.waiting_for().as_deref(), Some("no broker answers"));
        progress.worker_works("a");
        assert!(progress.is_ready());
    }

    #[test]
    fn what_came_in_and_has_yet_to_be_brought_up_keeps_it_from_being_ready() {
        let progress = Progress::of("test");
        progress.coming(A);
        progress.coming(B);
        live(&progress, A);
        assert!(!progress.is_ready());
        live(&progress, B);
        assert!(progress.is_ready());
    }

    #[test]
    fn one_that_stopped_says_why_until_it_is_brought_up_again() {
        let progress = Progress::of("test");
        live(&progress, A);
        progress.stopped(A, "a gap".to_owned(), false);
        assert_eq!(progress.stopped_for(), BTreeMap::from([(A, "a gap".to_owned())]));
        assert_eq!(progress.all()[&A].next, NEXT, "where it stands is known all the same");
        progress.restoring(A, NEXT, NEXT);
        assert_eq!(progress.stopped_for(), BTreeMap::new());
    }

    #[test]
    fn all_are_stopped_only_where_there_are_some_and_none_goes_on() {
        let progress = Progress::of("test");
        assert!(!progress.is_all_stopped_for_good());
        live(&progress, A);
        progress.stopped(B, "behind".to_owned(), false);
        assert!(!progress.is_all_stopped_for_good());
        progress.stopped(A, "full".to_owned(), false);
        assert!(progress.is_all_stopped_for_good());
        progress.stopped(A, "full".to_owned(), true);
        assert!(!progress.is_all_stopped_for_good(), "it is tried again, though another worker owns it");
        progress.restoring(A, NEXT, NEXT);
        assert!(!progress.is_all_stopped_for_good());
    }
}
