//! What each worker of a task is doing, apart from its partitions. Pure.
//!
//! A worker that has no partitions looks the same whether others own them all or it does not get into the group. And one that
//! never comes back from a call of the client library looks as if all were well.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Longer than all calls of one turn may take together: the slowest have a deadline of ten seconds each.
const STUCK: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub(super) struct Workers(BTreeMap<String, Worker>);

#[derive(Debug, Default)]
struct Worker {
    /// What it waits for, such as a cluster that does not answer.
    waits: Option<String>,
    /// When its latest turn began; nothing while it does not run.
    turned: Option<Instant>,
}

impl Workers {
    pub(super) fn waits(&mut self, worker: &str, why: String) {
        self.of(worker).waits = Some(why);
    }

    /// `worker` waits for nothing any more: the group has told it its partitions, and they are restored.
    pub(super) fn works(&mut self, worker: &str) {
        self.of(worker).waits = None;
    }

    pub(super) fn turns(&mut self, worker: &str, now: Instant) {
        self.of(worker).turned = Some(now);
    }

    pub(super) fn leaves(&mut self, worker: &str) {
        self.of(worker).turned = None;
    }

    /// What the first one waits for that waits.
    pub(super) fn waiting(&self) -> Option<String> {
        self.0.values().find_map(|worker| worker.waits.clone())
    }

    /// The first one that does not come back from its turn, in words.
    pub(super) fn stuck(&self, now: Instant) -> Option<String> {
        let since = |worker: &Worker| worker.turned.map(|turned| now.duration_since(turned));
        let stuck = self.0.iter().find_map(|(id, worker)| Some((id, since(worker).filter(|since| *since >= STUCK)?)));
        stuck.map(|(id, since)| {
            let seconds = since.as_secs();
            format!("worker {id} has not finished a turn for {seconds} s; if it stays so, restart the process")
        })
    }

    fn of(&mut self, worker: &str) -> &mut Worker {
        self.0.entry(worker.to_owned()).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_worker_that_waits_is_not_hidden_by_another_one_that_got_its_partitions() {
        let mut workers = Workers::default();
        workers.waits("a", "no broker answers".to_owned());
        workers.works("b");
        assert_eq!(workers.waiting().as_deref(), Some("no broker answers"));
        workers.works("a");
        assert_eq!(workers.waiting(), None);
    }

    #[test]
    fn a_worker_that_does_not_come_back_is_noticed_and_one_that_does_not_run_is_not_stuck() {
        let (mut workers, began) = (Workers::default(), Instant::now());
        workers.turns("a", began);
        assert_eq!(workers.stuck(began + STUCK - Duration::from_millis(1)), None);
        assert!(workers.stuck(began + STUCK).is_some_and(|why| why.contains("worker a")));
        workers.turns("a", began + STUCK);
        assert_eq!(workers.stuck(began + STUCK), None);
        workers.leaves("a");
        assert_eq!(workers.stuck(began + 9 * STUCK), None);
    }
}
