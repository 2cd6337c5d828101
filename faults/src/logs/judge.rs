//! Whether each transaction that the coordinator calls complete has its marker in each of its partitions: pure.
//!
//! Kafka 4.3.1 can skip markers and call the transaction complete all the same (KAFKA-20734). What it wrote then stays open
//! until the same producer's next transaction ends it, with that one's outcome.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::batches::{Kind, Log};
use super::coordinator::{Entry, State};

/// How a transaction was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Its records count.
    Commit,
    /// They do not.
    Abort,
}

/// A marker that is not there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// Whose transaction.
    pub transactional_id: String,
    /// Of the producer.
    pub producer: i64,
    /// Which marker.
    pub outcome: Outcome,
    /// Where.
    pub partition: String,
    /// When the transaction was decided, epoch ms.
    pub decided: i64,
}

/// Records of a transaction that nobody has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unended {
    /// Where.
    pub partition: String,
    /// Whose.
    pub producer: i64,
    /// Of the first such batch.
    pub offset: i64,
    /// How many.
    pub batches: u64,
}

/// What the logs of a stopped broker say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judgement {
    /// Decided and called complete.
    pub transactions: u64,
    /// Of them.
    pub committed: u64,
    /// Of them.
    pub aborted: u64,
    /// Markers that they need, in the partitions that were read.
    pub markers: u64,
    /// Those of them that are not there.
    pub skipped: Vec<Skipped>,
    /// Where a partition ends with records of a transaction and without their marker.
    pub unended: Vec<Unended>,
    /// Transactions that the coordinator does not call complete.
    pub open: Vec<String>,
    /// Markers that cannot be judged: the partition was not read, or may have been cleaned.
    pub unjudged: u64,
}

impl Judgement {
    /// Nothing is skipped and nothing is open.
    pub fn is_whole(&self) -> bool {
        self.skipped.is_empty() && self.unended.is_empty() && self.open.is_empty()
    }
}

/// Judges the partitions that were read by the coordinator's entries, which are in their order.
pub fn judge(entries: &[Entry], logs: &BTreeMap<String, Log>) -> Judgement {
    let mut judgement = Judgement { unended: unended(logs), ..Judgement::default() };
    let markers = Markers::of(logs);
    for transaction in transactions(entries) {
        if !transaction.is_complete {
            judgement.open.push(transaction.prepare.transactional_id.clone());
            continue;
        }
        judgement.transactions += 1;
        match transaction.outcome {
            None => {}
            Some(Outcome::Commit) => judgement.committed += 1,
            Some(Outcome::Abort) => judgement.aborted += 1,
        }
        if let Some(outcome) = transaction.outcome {
            judge_markers(&transaction, outcome, logs, &markers, &mut judgement);
        }
    }
    judgement
}

fn judge_markers(
    transaction: &Transaction<'_>,
    outcome: Outcome,
    logs: &BTreeMap<String, Log>,
    markers: &Markers<'_>,
    judgement: &mut Judgement,
) {
    let prepare = transaction.prepare;
    for partition in &prepare.partitions {
        let is_whole = |log: &&Log| log.whole_from.is_none_or(|from| from <= prepare.time);
        if logs.get(partition).filter(is_whole).is_none() {
            judgement.unjudged += 1;
            continue;
        }
        judgement.markers += 1;
        if !markers.hold(partition, prepare.producer, outcome, prepare.time, transaction.until) {
            judgement.skipped.push(Skipped {
                transactional_id: prepare.transactional_id.clone(),
                producer: prepare.producer,
                outcome,
                partition: partition.clone(),
                decided: prepare.time,
            });
        }
    }
}

/// A transaction as the coordinator's log tells it.
struct Transaction<'a> {
    /// The entry that decided it; where none did yet, the last one.
    prepare: &'a Entry,
    outcome: Option<Outcome>,
    is_complete: bool,
    /// When the same id's next transaction was decided: its markers are from then on.
    until: Option<i64>,
}

fn transactions(entries: &[Entry]) -> Vec<Transaction<'_>> {
    let mut by_id: BTreeMap<&str, Vec<&Entry>> = BTreeMap::new();
    for entry in entries {
        by_id.entry(&entry.transactional_id).or_default().push(entry);
    }
    by_id.values().flat_map(|entries| of_one_id(entries)).collect()
}

fn of_one_id<'a>(entries: &[&'a Entry]) -> Vec<Transaction<'a>> {
    let mut all: Vec<Transaction<'a>> = Vec::new();
    for entry in entries {
        let decided = |outcome| Transaction { prepare: entry, outcome: Some(outcome), is_complete: false, until: None };
        match entry.state {
            State::PrepareCommit => all.push(decided(Outcome::Commit)),
            State::PrepareAbort => all.push(decided(Outcome::Abort)),
            State::CompleteCommit | State::CompleteAbort => {
                if let Some(last) = all.last_mut() {
                    last.is_complete = true;
                }
            }
            State::Empty | State::Ongoing | State::Dead | State::PrepareEpochFence => {}
        }
    }
    for place in 1..all.len() {
        all[place - 1].until = Some(all[place].prepare.time);
    }
    let last = entries.last().filter(|entry| entry.state == State::Ongoing);
    all.extend(last.map(|entry| Transaction { prepare: entry, outcome: None, is_complete: false, until: None }));
    all
}

/// The times of all markers.
struct Markers<'a>(BTreeMap<(&'a str, i64), Vec<(i64, Outcome)>>);

impl<'a> Markers<'a> {
    fn of(logs: &'a BTreeMap<String, Log>) -> Self {
        let mut all: BTreeMap<(&str, i64), Vec<(i64, Outcome)>> = BTreeMap::new();
        for (name, log) in logs {
            for batch in &log.batches {
                let outcome = match batch.kind {
                    Kind::Commit => Outcome::Commit,
                    Kind::Abort => Outcome::Abort,
                    _ => continue,
                };
                all.entry((name, batch.producer)).or_default().push((batch.time, outcome));
            }
        }
        all.values_mut().for_each(|times| times.sort_by_key(|(time, _)| *time));
        Self(all)
    }

    /// A coordinator that starts again writes the markers of what was decided once more: one is enough. Its time tells which
    /// transaction it ends, since a producer has one at a time.
    fn hold(&self, partition: &str, producer: i64, outcome: Outcome, from: i64, until: Option<i64>) -> bool {
        let Some(times) = self.0.get(&(partition, producer)) else { return false };
        let begin = times.partition_point(|(time, _)| *time < from);
        let mut within = times[begin..].iter().take_while(|(time, _)| until.is_none_or(|until| *time < until));
        within.any(|(_, found)| *found == outcome)
    }
}

/// For each partition and producer: transactional batches behind its last marker.
fn unended(logs: &BTreeMap<String, Log>) -> Vec<Unended> {
    let mut all = Vec::new();
    for (name, log) in logs {
        let mut open: BTreeMap<i64, (i64, u64)> = BTreeMap::new();
        for batch in &log.batches {
            match batch.kind {
                Kind::Transactional => open.entry(batch.producer).or_insert((batch.offset, 0)).1 += 1,
                Kind::Commit | Kind::Abort => drop(open.remove(&batch.producer)),
                Kind::Plain | Kind::Control => {}
            }
        }
        let unended = |(producer, (offset, batches))| Unended { partition: name.clone(), producer, offset, batches };
        all.extend(open.into_iter().map(unended));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::super::batches::Batch;
    use super::*;

    const PRODUCER: i64 = 7;

    fn entry(state: State, time: i64, partitions: &[&str]) -> Entry {
        let partitions = partitions.iter().map(|name| (*name).to_owned()).collect();
        Entry { transactional_id: "t".to_owned(), producer: PRODUCER, epoch: 0, state, partitions, time }
    }

    fn batch(offset: i64, kind: Kind, time: i64) -> Batch {
        Batch { offset, producer: PRODUCER, epoch: 0, time, kind }
    }

    fn logs(all: &[(&str, &[(Kind, i64)])]) -> BTreeMap<String, Log> {
        let log = |batches: &[(Kind, i64)]| {
            let batches = (0..).zip(batches).map(|(offset, (kind, time))| batch(offset, *kind, *time)).collect();
            Log { batches, whole_from: None }
        };
        all.iter().map(|(name, batches)| ((*name).to_owned(), log(batches))).collect()
    }

    /// One transaction over two partitions, decided at 10 and complete.
    fn decided(prepare: State, complete: State) -> Vec<Entry> {
        let both = &["e-0", "o-1"][..];
        vec![
            entry(State::Ongoing, 1, &["e-0"]),
            entry(State::Ongoing, 2, both),
            entry(prepare, 10, both),
            entry(complete, 11, &[]),
        ]
    }

    fn skipped(judgement: &Judgement) -> Vec<(&str, Outcome, i64)> {
        judgement.skipped.iter().map(|one| (one.partition.as_str(), one.outcome, one.decided)).collect()
    }

    #[test]
    fn a_transaction_with_its_marker_in_each_partition_is_whole() {
        for (prepare, complete, marker) in [
            (State::PrepareCommit, State::CompleteCommit, Kind::Commit),
            (State::PrepareAbort, State::CompleteAbort, Kind::Abort),
        ] {
            let logs = logs(&[
                ("e-0", &[(Kind::Transactional, 3), (marker, 12)]),
                ("o-1", &[(Kind::Transactional, 4), (marker, 12)]),
            ]);
            let judgement = judge(&decided(prepare, complete), &logs);
            assert!(judgement.is_whole(), "{judgement:?}");
            assert_eq!((judgement.transactions, judgement.markers, judgement.unjudged), (1, 2, 0));
            assert_eq!(judgement.committed + judgement.aborted, 1);
        }
    }

    #[test]
    fn a_marker_that_is_not_there_is_skipped_and_its_records_are_open() {
        let logs = logs(&[
            ("e-0", &[(Kind::Transactional, 3), (Kind::Commit, 12)]),
            ("o-1", &[(Kind::Plain, 1), (Kind::Transactional, 4)]),
        ]);
        let judgement = judge(&decided(State::PrepareCommit, State::CompleteCommit), &logs);
        assert_eq!(skipped(&judgement), [("o-1", Outcome::Commit, 10)]);
        let open = Unended { partition: "o-1".to_owned(), producer: PRODUCER, offset: 1, batches: 1 };
        assert_eq!(judgement.unended, [open]);
    }

    #[test]
    fn the_marker_of_the_next_transaction_does_not_stand_for_the_one_that_was_skipped() {
        let both = &["e-0", "o-1"][..];
        let mut entries = decided(State::PrepareAbort, State::CompleteAbort);
        entries.extend([
            entry(State::Ongoing, 20, both),
            entry(State::PrepareCommit, 30, both),
            entry(State::CompleteCommit, 30, &[]),
        ]);
        // The commit of the second one has ended the records of the first one, too.
        let e = &[(Kind::Transactional, 3), (Kind::Transactional, 21), (Kind::Commit, 31)][..];
        let o = &[(Kind::Abort, 12), (Kind::Transactional, 22), (Kind::Commit, 31)][..];
        let judgement = judge(&entries, &logs(&[("e-0", e), ("o-1", o)]));
        assert_eq!(skipped(&judgement), [("e-0", Outcome::Abort, 10)]);
        assert_eq!((judgement.transactions, judgement.unended.len()), (2, 0));
    }

    #[test]
    fn a_marker_of_the_other_outcome_does_not_count() {
        let logs = logs(&[("e-0", &[(Kind::Commit, 12)]), ("o-1", &[(Kind::Abort, 12)])]);
        let judgement = judge(&decided(State::PrepareAbort, State::CompleteAbort), &logs);
        assert_eq!(skipped(&judgement), [("e-0", Outcome::Abort, 10)]);
    }

    #[test]
    fn markers_that_come_twice_and_late_after_a_restart_are_enough() {
        let late = &[(Kind::Transactional, 3), (Kind::Commit, 900), (Kind::Commit, 901)][..];
        let judgement =
            judge(&decided(State::PrepareCommit, State::CompleteCommit), &logs(&[("e-0", late), ("o-1", late)]));
        assert!(judgement.is_whole(), "{judgement:?}");
    }

    #[test]
    fn what_is_not_complete_is_open_and_not_skipped() {
        let logs = logs(&[("e-0", &[(Kind::Transactional, 3)]), ("o-1", &[])]);
        let all = decided(State::PrepareCommit, State::CompleteCommit);
        for entries in [&all[..2], &all[..3]] {
            let judgement = judge(entries, &logs);
            assert_eq!((judgement.open.len(), judgement.skipped.len(), judgement.transactions), (1, 0, 0));
            assert!(!judgement.is_whole());
        }
    }

    #[test]
    fn each_id_is_judged_by_its_own_entries() {
        let mut entries = decided(State::PrepareCommit, State::CompleteCommit);
        let other = Entry { transactional_id: "u".to_owned(), producer: 8, ..entry(State::Ongoing, 5, &["e-0"]) };
        entries.insert(1, other);
        let both = &[(Kind::Commit, 12)][..];
        let judgement = judge(&entries, &logs(&[("e-0", both), ("o-1", both)]));
        assert_eq!((judgement.open, judgement.transactions), (vec!["u".to_owned()], 1));
    }

    #[test]
    fn what_was_not_read_or_may_have_been_cleaned_is_not_judged() {
        let mut cleaned = logs(&[("e-0", &[(Kind::Commit, 12)]), ("o-1", &[])]);
        cleaned.get_mut("o-1").unwrap().whole_from = Some(11);
        let entries = decided(State::PrepareCommit, State::CompleteCommit);
        let judgement = judge(&entries, &cleaned);
        assert_eq!((judgement.markers, judgement.unjudged, judgement.skipped.len()), (1, 1, 0));
        cleaned.get_mut("o-1").unwrap().whole_from = Some(10);
        assert_eq!(judge(&entries, &cleaned).skipped.len(), 1);
    }
}
