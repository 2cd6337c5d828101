//! What was acknowledged is verified, and what Kafka lost of it is emitted again.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hooklog_log::committed::{self, Committed};
use hooklog_log::connection::Isolation;
use hooklog_log::ends;
use hooklog_log::hanging::open_after;
use hooklog_log::native::Failure;
use hooklog_log::reader::{Reader, Span};
use hooklog_schemas::{NextOffset, Offset, Partition, header};
use hooklog_store::{Emission, Verified};
use rdkafka::message::Message;

use super::Worker;
use super::transaction::{Failed, Work};
use crate::error::Error;
use crate::fold::Fold;
use crate::input::Input;
use crate::measure;
use crate::outcome::Stage;
use crate::transform::recovery::Debt;

/// How long a commit may take to be decided everywhere: a transaction of a dead process ends with its timeout and the
/// coordinator's own time, which is 20 s on a cluster with Kafka's defaults.
const HANGING: Duration = Duration::from_secs(30);
/// How long the last look at an orderly stop may take.
const LAST_LOOK: Duration = Duration::from_secs(1);

impl<F: Fold> Worker<F> {
    /// Takes what the cluster said since. Where an acknowledged commit is not decided for long, something hangs: a new
    /// producer looks after it.
    pub(super) fn verify(&mut self) -> Result<(), Error> {
        if let Some(snapshot) = self.observed.newer_than(self.last_seen) {
            self.last_seen = Some(snapshot.asked);
            self.verification.observed(&snapshot);
            if self.verification.hangs(Instant::now(), HANGING) {
                tracing::warn!("a commit was acknowledged {} s ago and is not visible everywhere", HANGING.as_secs());
                let mut work = self.locked();
                work.interrupt();
                work.needs_renewal();
                return Ok(());
            }
        }
        if self.locked().open_records() == 0 { self.settled() } else { Ok(()) }
    }

    /// Nothing is open: notes what is verified.
    pub(super) fn settled(&mut self) -> Result<(), Error> {
        let verified = self.verification.settled(Instant::now(), &self.applied());
        if self.verification.is_waiting() {
            self.observed.want();
        }
        for (partition, verified) in verified {
            let noted = self.locked().owned.get(&partition).map_or(Ok(()), |owned| owned.set_verified(&verified));
            measure::set(self.config.name, measure::VERIFIED_OFFSET, partition, verified.next.0);
            if let Err(error) = noted {
                drop(self.locked().owned.remove(&partition));
                self.halt(partition, 0, error.into())?;
            }
        }
        Ok(())
    }

    fn applied(&self) -> BTreeMap<Partition, NextOffset> {
        self.locked().owned.values().map(|owned| (owned.partition(), owned.applied())).collect()
    }

    /// At an orderly stop nothing is left to be looked at by the next start. Where the cluster does not say so in time, the
    /// next start looks.
    pub(super) fn verify_at_rest(&self) {
        match self.decided_at_rest() {
            Ok(Some(outputs)) => {
                for owned in self.locked().owned.values() {
                    let verified = Verified { next: owned.applied(), outputs: outputs.clone() };
                    if let Err(error) = owned.set_verified(&verified) {
                        tracing::warn!(%error, "what is verified could not be noted");
                    }
                }
            }
            Ok(None) => tracing::debug!("not all is verified yet: the next start looks"),
            Err(error) => tracing::debug!(%error, "not all is verified: the next start looks"),
        }
    }

    /// The ends of the output topic, where all before them and all offsets are decided.
    fn decided_at_rest(&self) -> Result<Option<Vec<NextOffset>>, Error> {
        let (config, applied) = (&self.config, self.applied());
        if applied.is_empty() {
            return Ok(None);
        }
        let (connection, output) = (&config.connection, &config.output);
        let ends = ends::all(connection, &output.name, output.partitions, Isolation::Uncommitted)?;
        if !open_after(connection, config.places(), LAST_LOOK, || true)?.is_empty() {
            return Ok(None);
        }
        let partitions: Vec<Partition> = applied.keys().copied().collect();
        let committed = committed::stable(connection, &config.group, &config.input.name, &partitions, LAST_LOOK)?;
        let is_there = |committed: &Committed| applied.get(&committed.partition) == Some(&committed.next);
        let all = committed.iter().filter(|committed| is_there(committed)).count() == applied.len();
        Ok(all.then(|| ends.into_iter().map(|ends| ends.end).collect()))
    }

    /// Commits what restored partitions owe: outputs that Kafka lost, and offsets that are not the group's. `false` where
    /// that failed: then all is looked at again.
    pub(super) fn pay(&mut self, debts: &[Debt]) -> Result<bool, Error> {
        if debts.iter().all(|debt| debt.next.is_none()) {
            return Ok(true);
        }
        match self.try_to_pay(debts)? {
            Ok(outputs) => {
                if outputs > 0 {
                    tracing::warn!(outputs, "outputs of acknowledged commits were lost, and are emitted again");
                    measure::reemitted(self.config.name, outputs);
                }
                Ok(true)
            }
            Err((stage, failure)) => {
                self.undo(stage, &failure)?;
                Ok(false)
            }
        }
    }

    fn try_to_pay(&self, debts: &[Debt]) -> Result<Result<u64, Failed>, Error> {
        let work = self.locked();
        if let Err(failure) = work.session.begin() {
            return Ok(Err((Stage::Before, failure)));
        }
        let mut outputs = 0;
        for debt in debts {
            for batch in &debt.owed {
                match self.emit_again(&work, debt, batch)? {
                    Ok(emitted) => outputs += emitted,
                    Err(failure) => return Ok(Err((Stage::Before, failure))),
                }
            }
        }
        let stamp = self.config.stamp(&*self.fold).to_string();
        let offset =
            |debt: &Debt| Some(Committed { partition: debt.partition, next: debt.next?, metadata: stamp.clone() });
        let offsets: Vec<Committed> = debts.iter().filter_map(offset).collect();
        Ok(self.try_commit_offsets(&work, &offsets)?.map(|()| outputs))
    }

    /// Reads the records of `batch` again, and sends the outputs that it lacks, as they were sent before. One that would stand
    /// behind an output of a later record is marked, so that nobody takes it for a fault (I9).
    fn emit_again(&self, work: &Work, debt: &Debt, batch: &Emission) -> Result<Result<u64, Failure>, Error> {
        let Some((last, _)) = batch.outputs.last() else { return Ok(Ok(0)) };
        let topic = self.config.input.name.clone();
        let span = Span { topic, partition: debt.partition, from: batch.from, to: last.next() };
        let mut reader = Reader::open(&self.config.connection, Isolation::Uncommitted, span)?;
        let (mut stream_time, mut outputs) = (batch.stream_time, 0);
        while let Some(message) = reader.next()? {
            let (input, offset) = (Input::read(&message, stream_time), Offset(message.offset()));
            stream_time = input.time;
            let lacks = |output| batch.outputs.contains(&(offset, output));
            for mut record in self.fold.outputs(&input).into_iter().filter(|record| lacks(record.partition)) {
                if debt.present.highest_in(record.partition).is_some_and(|highest| highest > offset) {
                    record.headers.push((header::REPAIRED, Cow::Borrowed(b"true")));
                }
                if let Err(failure) = work.session.send(&record) {
                    return Ok(Err(failure));
                }
                outputs += 1;
            }
        }
        Ok(Ok(outputs))
    }
}
