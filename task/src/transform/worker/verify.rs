//! What was acknowledged is verified, and what Kafka lost of it is emitted again.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hooklog_log::committed::{self, Committed};
use hooklog_log::connection::Isolation;
use hooklog_log::hanging::open_after;
use hooklog_log::native::Failure;
use hooklog_log::reader::{OffsetRange, Reader};
use hooklog_log::watermarks;
use hooklog_schemas::{Millis, NextOffset, Offset, Partition, header};
use hooklog_store::{Emission, Verified};
use rdkafka::message::{Message, OwnedMessage};

use super::Worker;
use super::transaction::{Failed, Work};
use crate::error::Error;
use crate::fold::Fold;
use crate::input::Input;
use crate::metric_names;
use crate::outcome::Stage;
use crate::transform::recovery::Debt;
use crate::transform::refusals::is_for_good;

/// How long a commit may take to be decided everywhere: a transaction of a dead process ends with its timeout and the
/// coordinator's own time, which is 20 s on a cluster with Kafka's defaults.
const HANGING: Duration = Duration::from_secs(30);
/// Records whose outputs are emitted again in one transaction.
const AT_ONCE: usize = 2_000;
/// How long the last look at an orderly stop may take.
const LAST_LOOK: Duration = Duration::from_secs(1);

impl<F: Fold> Worker<F> {
    /// Takes what the cluster said since. Where an acknowledged commit is not decided for long, something hangs: a new
    /// producer looks after it.
    pub(super) fn verify(&mut self) -> Result<(), Error> {
        if self.locked().is_doubtful() {
            return Ok(());
        }
        if let Some(snapshot) = self.observed.newer_than(self.last_seen) {
            self.last_seen = Some(snapshot.asked);
            self.verification.observed(&snapshot);
            if self.verification.hangs(Instant::now(), HANGING) {
                tracing::warn!("a commit was acknowledged {} s ago and is not visible everywhere", HANGING.as_secs());
                let mut work = self.locked();
                work.interrupt();
                work.needs_renewal(None);
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
            metric_names::set(self.config.name, metric_names::VERIFIED_OFFSET, partition, verified.next.0);
            if let Err(error) = noted {
                drop(self.locked().owned.remove(&partition));
                self.stop_partition(partition, error.into())?;
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
                        tracing::warn!(%error, "the verified position could not be stored");
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
        let ends = watermarks::all(connection, &output.name, output.partitions, Isolation::Uncommitted)?;
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
    /// that failed: then all is looked at again. One whose outputs are refused for good stops.
    pub(super) fn pay(&mut self, debts: &[Debt]) -> Result<bool, Error> {
        for debt in debts {
            let Some(next) = debt.next else { continue };
            let (outputs, failed) = self.try_to_pay(debt, next)?;
            if outputs > 0 {
                tracing::warn!(outputs, "outputs of acknowledged commits were lost, and are emitted again");
                metric_names::reemitted(self.config.name, outputs);
            }
            if let Some((stage, failure)) = failed {
                let refused = self.locked().session.refused();
                self.undo(stage, &failure)?;
                if let Some((position, code)) = refused.into_iter().find(|(_, code)| is_for_good(*code)) {
                    drop(self.locked().owned.remove(&debt.partition));
                    let (partition, offset) = (debt.partition, position.offset);
                    self.stop_partition(partition, Error::Refused { partition, offset, code })?;
                }
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// How many outputs were committed again, and how a transaction failed, if one did.
    fn try_to_pay(&self, debt: &Debt, next: NextOffset) -> Result<(u64, Option<Failed>), Error> {
        let lost = self.lost(debt)?;
        let metadata = self.config.stamp(&*self.fold).to_string();
        let offset = Committed { partition: debt.partition, next, metadata };
        let mut outputs = 0;
        // Where nothing is lost the offset goes alone.
        let all = if lost.is_empty() { vec![&lost[..]] } else { lost.chunks(AT_ONCE).collect() };
        for some in all {
            match self.emit_again(debt, some, &offset)? {
                Ok(emitted) => outputs += emitted,
                Err(failed) => return Ok((outputs, Some(failed))),
            }
        }
        Ok((outputs, None))
    }

    /// The records of which outputs are owed, read again, each with its stream time. What is owed is at most what was committed
    /// within a few seconds.
    fn lost(&self, debt: &Debt) -> Result<Vec<(OwnedMessage, Millis)>, Error> {
        let ends = |batch: &Emission| batch.outputs.last().map(|(offset, _)| offset.next());
        let (Some(first), Some(to)) = (debt.owed.first(), debt.owed.last().and_then(ends)) else {
            return Ok(Vec::new());
        };
        let span =
            OffsetRange { topic: self.config.input.name.clone(), partition: debt.partition, from: first.from, to };
        let mut reader = Reader::open(&self.config.connection, Isolation::Uncommitted, span)?;
        let (mut batches, mut stream_time, mut lost) = (debt.owed.iter().peekable(), Millis::MIN, Vec::new());
        let mut owed: &[(Offset, Partition)] = &[];
        while let Some(message) = reader.next()? {
            let offset = Offset(message.offset());
            if let Some(batch) = batches.next_if(|batch| batch.from.offset() <= offset) {
                (stream_time, owed) = (batch.stream_time, &batch.outputs);
            }
            stream_time = Input::read(&message, stream_time).time;
            if owed.iter().any(|(lost, _)| *lost == offset) {
                lost.push((message.detach(), stream_time));
            }
        }
        Ok(lost)
    }

    /// Sends the outputs that are owed of `lost`, as they were sent before, in a transaction of their own, with `offset`: by that
    /// the group refuses a worker that has lost the partition since it looked, and whose successor emits the same. One that
    /// would stand behind an output of a later record is marked, so that nobody takes it for a fault (I9).
    fn emit_again(
        &self,
        debt: &Debt,
        lost: &[(OwnedMessage, Millis)],
        offset: &Committed,
    ) -> Result<Result<u64, Failed>, Error> {
        let work = self.locked();
        let outputs = match self.send_again(&work, debt, lost) {
            Ok(outputs) => outputs,
            Err(failure) => return Ok(Err((Stage::Before, failure))),
        };
        Ok(self.try_commit_offsets(&work, std::slice::from_ref(offset))?.map(|()| outputs))
    }

    fn send_again(&self, work: &Work, debt: &Debt, lost: &[(OwnedMessage, Millis)]) -> Result<u64, Failure> {
        work.session.begin()?;
        let mut outputs = 0;
        for (message, stream_time) in lost {
            let input = Input::read(message, *stream_time);
            for mut record in self.fold.outputs(&input).into_iter().filter(|record| debt.lacks(&input, record)) {
                if debt.present.highest_in(record.partition).is_some_and(|highest| highest > input.offset) {
                    record.headers.push((header::REPAIRED, Cow::Borrowed(b"true")));
                }
                work.session.send(&record)?;
                outputs += 1;
            }
        }
        Ok(outputs)
    }
}
