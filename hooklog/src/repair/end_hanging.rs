//! Ends hanging transactions: ones that a power loss, or a coordinator that skipped markers, left open for ever.
//!
//! Nobody ends them: readers of committed records wait there, and the next transaction of the same producer would end them with
//! its own outcome, whatever theirs had been. So every producer of ours aborts once, in every place where it may have written
//! (see [`hooklog_log::hanging`]). What that takes away is emitted again: by the processor's next start, from what its store
//! remembers, or by `hooklog repair`.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use hooklog_log::hanging::{Open, abort_everywhere, open_after};
use hooklog_log::producer::Transactional;
use hooklog_log::{Connection, Error};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::group::Group;

/// How long the coordinator may take, and a transaction may stay open.
const PATIENCE: Duration = Duration::from_secs(30);
/// A transaction of a processor that was killed ends by itself within its timeout, and the coordinator's own time.
const BY_ITSELF: Duration = Duration::from_secs(15);
/// One that was aborted just now.
const AFTERWARDS: Duration = Duration::from_secs(5);

impl Group {
    /// What does not end by itself, of `events` and of the group's offsets.
    pub(super) fn hanging(&self) -> Result<Vec<Open>> {
        Ok(open_after(&self.task.connection, self.task.places(), BY_ITSELF, || true)?)
    }

    /// Ends what hangs; where that `is_asked_for`, since it writes.
    pub(super) fn end_hanging(&mut self, open: &[Open], is_asked_for: bool) -> Result<()> {
        let (group, places) = (&self.task.group, in_words(open, &self.task.output.name));
        if !is_asked_for {
            bail!(
                "an open transaction blocks {places} of {group}; --apply aborts the transactions of this data directory's processor"
            );
        }
        self.task.instance = self.kept_instance().context(
            "a transaction hangs, and the data directory holds no processor, so its producers are not known: give the --data-dir of the processor",
        )?;
        tracing::warn!(places, "aborting what the producers of instance {} have left open", self.task.instance);
        self.end_what_is_open()?;
        let left = open_after(&self.task.connection, self.task.places(), AFTERWARDS, || true)?;
        if !left.is_empty() {
            bail!(
                "{} is still held by a transaction of somebody else: `kafka-transactions.sh find-hanging` tells whose it is, and `kafka-transactions.sh abort` ends it",
                in_words(&left, &self.task.output.name)
            );
        }
        Ok(())
    }

    /// Aborts, as each of the processor's producers of this instance and as the one called `repair`, a transaction that
    /// covers all partitions of `events` and the group's offsets. No reader of committed records sees anything of it.
    pub(crate) fn end_what_is_open(&self) -> Result<()> {
        // Never more workers than partitions; how many there were may have been another machine's cores.
        let workers = 0..self.task.input.partitions as usize;
        let mut ids = workers.map(|n| self.task.transactional_id(n)).chain([self.repair.clone()]);
        ids.try_for_each(|id| self.abort_once(&id))
    }

    fn abort_once(&self, id: &str) -> Result<()> {
        let connection = &self.task.connection;
        let producer = begun(connection, id, PATIENCE)?;
        let aborted = abort_everywhere(connection, &producer, self.task.places());
        Ok(aborted.map_err(|failure| Error::Native { what: "to abort what was left open", failure })?)
    }
}

/// A producer that has the coordinator's answer.
fn begun(connection: &Connection, id: &str, patience: Duration) -> Result<Transactional, Error> {
    let deadline = Instant::now() + patience;
    let silent = || {
        let source = KafkaError::AdminOp(RDKafkaErrorCode::OperationTimedOut);
        Error::Unreachable { brokers: connection.brokers.clone(), what: "for the transaction coordinator", source }
    };
    Transactional::start(connection, id, PATIENCE, || Instant::now() < deadline)?.ok_or_else(silent)
}

fn in_words(open: &[Open], events: &str) -> String {
    let words = |open: &Open| match open {
        Open::Output(partition, offset) => format!("{events}/{partition} from offset {offset} on"),
        Open::Offsets => "the committed offsets".to_owned(),
    };
    open.iter().map(words).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn a_coordinator_that_does_not_answer_is_waited_for_by_whoever_can_wait() {
        let connection = Connection { brokers: "127.0.0.1:1".into(), properties: BTreeMap::new() };
        let error = begun(&connection, "hooklog-nobody", Duration::ZERO).err().unwrap();
        assert!(matches!(error, Error::Unreachable { .. }) && error.is_passing(), "{error}");
    }
}
