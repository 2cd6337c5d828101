//! The open transaction and what it covers. Every way out of it is here: commit, abort, renew.

use std::time::{Duration, Instant};

use hooklog_log::committed::{Committed, listed};
use hooklog_log::native::{Class, Failure};
use hooklog_schemas::Partition;
use hooklog_store::Error as StoreError;
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::{BatchState, OwnedByPartition, Session, Worker};
use crate::error::Error;
use crate::fault;
use crate::fold::Fold;
use crate::input::Input;
use crate::metric_names;
use crate::outcome::{self, Next, Stage};
use crate::progress::Progress;
use crate::transform::partition_task::PartitionTask;

/// How often in a row a transaction may fail before that is more than bad luck.
const OFTEN: u32 = 5;

/// What a worker and its group callbacks share.
pub(super) struct Work {
    task: &'static str,
    pub(super) session: Session,
    pub(super) owned: OwnedByPartition,
    open: Option<Open>,
    rewind: bool,
    renew: Option<Renewal>,
    /// Whether what was acknowledged before may have been taken back, by an abort or by whoever ended what was open; at first,
    /// whether something hangs that an earlier life of this worker left.
    verify: bool,
}

/// Why a producer is renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Renewal {
    /// It is of no more use: another owner of its id makes it so, too.
    Fatal,
    /// What became of its transaction is not known.
    Unknown,
}

struct Open {
    since: Instant,
    records: usize,
}

/// Why a batch was not taken.
pub(super) enum Trouble {
    /// Kafka's: the transaction has to be undone.
    Kafka(Failure),
    /// The partition's own: nothing of the batch was folded.
    Store(StoreError),
}

impl Work {
    pub(super) fn new(task: &'static str, session: Session) -> Work {
        Work { task, session, owned: OwnedByPartition::new(), open: None, rewind: false, renew: None, verify: true }
    }

    pub(super) fn open_records(&self) -> usize {
        self.open.as_ref().map_or(0, |open| open.records)
    }

    /// How long the open transaction's first record has waited.
    pub(super) fn waited(&self) -> Duration {
        self.open.as_ref().map_or(Duration::ZERO, |open| open.since.elapsed())
    }

    pub(super) fn takes_rewind(&mut self) -> bool {
        std::mem::take(&mut self.rewind)
    }

    /// Whether nothing that was acknowledged counts as verified until it was looked at.
    pub(super) fn is_doubtful(&self) -> bool {
        self.verify
    }

    pub(super) fn takes_verification(&mut self) -> bool {
        std::mem::take(&mut self.verify)
    }

    /// Has the producer renewed, and everything looked at again.
    pub(super) fn needs_renewal(&mut self, failure: Option<&Failure>) {
        let is_fatal = failure.is_some_and(|failure| failure.class == Class::Fatal);
        self.renew = Some(if is_fatal { Renewal::Fatal } else { Renewal::Unknown });
        self.verify = true;
    }

    pub(super) fn takes_renewal(&mut self) -> Option<Renewal> {
        self.renew.take()
    }

    /// Folds and queues the outputs, in a transaction that is begun where none is open.
    pub(super) fn fold<F: Fold>(
        &mut self,
        fold: &F,
        partition: Partition,
        inputs: &[Input<'_>],
    ) -> Result<(), Trouble> {
        let owned = self.owned.get_mut(&partition).expect("asked for by the caller");
        if self.open.is_none() {
            self.session.begin().map_err(Trouble::Kafka)?;
            self.open = Some(Open { since: Instant::now(), records: 0 });
        }
        let effects = owned.fold(fold, inputs).map_err(Trouble::Store)?;
        self.open.iter_mut().for_each(|open| open.records += inputs.len());
        effects.produce.iter().try_for_each(|record| self.session.send(record)).map_err(Trouble::Kafka)
    }

    /// Gives up `partitions` with nothing open (I6): what the transaction held of others is folded again.
    pub(super) fn give_up(&mut self, partitions: &[Partition]) {
        if self.open.is_some() {
            tracing::info!(records = self.open_records(), "partitions are given up: what is open is undone");
            self.abort();
        }
        self.owned.retain(|partition, _| !partitions.contains(partition));
        // The last commit of what is given up may hang, and only this producer can end that.
        self.verify = true;
    }

    /// Leaves nothing open and has everything read again. Bringing a partition up takes longer than a transaction may stay
    /// open; and what was polled since it came in does not follow on anything.
    pub(super) fn interrupt(&mut self) {
        if self.open.is_some() {
            self.abort();
        }
        self.undone();
    }

    /// What is open is nobody's business any more: the process ends, and the next one finds out.
    pub(super) fn abandon(&mut self) {
        self.open = None;
    }

    /// Undoes the transaction in every partition that it covers. An abort that fails leaves it to the next producer.
    fn abort(&mut self) {
        if let Err(failure) = self.session.abort() {
            tracing::warn!(%failure, "the transaction could not be aborted; a new producer will end it");
            self.needs_renewal(Some(&failure));
        }
        metric_names::ended(self.task, metric_names::ABORTED);
        self.verify = true;
        self.undone();
    }

    fn undone(&mut self) {
        self.open = None;
        self.rewind = true;
        self.owned.values_mut().for_each(PartitionTask::undo);
    }

    /// Takes out what has a fault and nothing open.
    pub(super) fn take_faulty(&mut self) -> Vec<(Partition, Error)> {
        let fault = |(partition, owned): (&Partition, &mut PartitionTask)| Some((*partition, owned.take_fault()?));
        let faulty: Vec<_> = self.owned.iter_mut().filter_map(fault).collect();
        // Their stores are closed by this.
        faulty.iter().for_each(|(partition, _)| drop(self.owned.remove(partition)));
        faulty
    }

    /// The commit is known: now, and only now, the stores follow (I2). One that cannot is behind what is committed, and
    /// nothing may be folded over it: it is taken out, which closes it, and given back with its reason.
    fn apply(&mut self, progress: &Progress) -> Vec<(Partition, Error)> {
        self.open = None;
        let mut failed = Vec::new();
        for (partition, owned) in self.owned.iter_mut().filter(|(_, owned)| owned.uncommitted().is_some()) {
            progress.suspected(*partition, &owned.take_suspects());
            let applied = owned.apply();
            if let Ok((folded, emitted)) = applied {
                progress.reached(*partition, owned.applied(), folded, emitted);
            }
            if let Err(error) = applied.map(drop).and_then(|()| owned.drop_expired(Instant::now())) {
                failed.push((*partition, error.into()));
            }
        }
        failed.iter().for_each(|(partition, _)| drop(self.owned.remove(partition)));
        failed
    }
}

/// The coordinator said no, so nothing is under way; a rebalance must not use up renewals.
fn is_refused(failure: &Failure) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(failure.code, Code::IllegalGeneration | Code::UnknownMemberId | Code::FencedInstanceId)
}

/// What ended a transaction otherwise than by a commit.
pub(super) type Failed = (Stage, Failure);

impl<F: Fold> Worker<F> {
    /// Commits the open transaction, then applies what it covered; or undoes it.
    pub(super) fn commit(&mut self) -> Result<BatchState, Error> {
        let began = Instant::now();
        match self.try_commit()? {
            Ok(()) => {
                metric_names::committed(self.config.name, began.elapsed());
                self.failed_in_a_row = 0;
                self.note_committed();
                let failed = self.locked().apply(&self.progress);
                failed.into_iter().try_for_each(|(partition, why)| self.stop_partition(partition, why))?;
                self.settled()?;
                Ok(BatchState::AsPolled)
            }
            Err((stage, failure)) => {
                self.undo(stage, &failure)?;
                Ok(BatchState::Undone)
            }
        }
    }

    fn note_committed(&mut self) {
        let next = |owned: &PartitionTask| Some((owned.partition(), owned.uncommitted()?));
        let committed: Vec<_> = self.locked().owned.values().filter_map(next).collect();
        for (partition, next) in committed {
            self.refusals.committed(partition, next);
            self.failures.remove(&partition);
        }
    }

    /// Commits what is open when the task is told to stop, and says whether everything that was ever folded is committed and
    /// applied. Where it is not, the next start finds out.
    pub(super) fn commit_last(&mut self) -> Result<bool, Error> {
        if self.locked().open_records() == 0 {
            return Ok(!self.locked().takes_verification() && self.arriving.is_empty());
        }
        match self.try_commit()? {
            Ok(()) => match self.locked().apply(&self.progress).into_iter().next() {
                Some((_, why)) => Err(why),
                None => Ok(true),
            },
            Err((stage, failure)) => {
                tracing::warn!(%failure, ?stage, "the last transaction failed; the next start finds out what became of it");
                self.locked().abandon();
                Ok(false)
            }
        }
    }

    /// Outputs are queued already; offsets go last, since the coordinator makes them wait right after a commit.
    fn try_commit(&self) -> Result<Result<(), Failed>, Error> {
        let work = self.locked();
        let stamp = self.config.stamp(&*self.fold).to_string();
        let next = |owned: &PartitionTask| {
            let next = owned.uncommitted()?;
            Some(Committed { partition: owned.partition(), next, metadata: stamp.clone() })
        };
        let offsets: Vec<Committed> = work.owned.values().filter_map(next).collect();
        self.try_commit_offsets(&work, &offsets)
    }

    /// Sends the offsets and ends the transaction that `work` has open.
    pub(super) fn try_commit_offsets(&self, work: &Work, offsets: &[Committed]) -> Result<Result<(), Failed>, Error> {
        let offsets = listed(&self.config.input.name, offsets)?;
        let Some(group) = self.consumer.group_metadata() else { return Err(Error::Consumer(KafkaError::Canceled)) };
        if let Some(failure) = self.cannot_commit(work) {
            return Ok(Err((Stage::Before, failure)));
        }
        if let Err(failure) = work.session.send_offsets(&offsets, &group) {
            let stage = if is_refused(&failure) { Stage::Before } else { Stage::Offsets };
            return Ok(Err((stage, failure)));
        }
        let stage = || if work.session.delivery_failed() { Stage::Before } else { Stage::End };
        Ok(work.session.commit().map_err(|failure| (stage(), failure)))
    }

    /// What is known before anything is asked of the coordinator: offsets that are not sent cannot be late.
    fn cannot_commit(&self, work: &Work) -> Option<Failure> {
        let because = |code, text: &str| Some(Failure { class: Class::Abortable, code, text: text.to_owned() });
        if self.consumer.assignment_lost() {
            return because(RDKafkaErrorCode::AssignmentLost, "the group took the partitions away");
        }
        if work.session.delivery_failed() {
            return because(RDKafkaErrorCode::Inconsistent, "a record was not delivered");
        }
        None
    }

    /// Undoes what is open after `failure`, by what it leaves behind.
    pub(super) fn undo(&mut self, stage: Stage, failure: &Failure) -> Result<(), Error> {
        self.verification.undone();
        self.failed_in_a_row = self.failed_in_a_row.saturating_add(1);
        let in_a_row = self.failed_in_a_row;
        {
            let work = self.locked();
            let (records, refused) = (work.open_records(), work.session.refused());
            drop(work);
            self.refusals.failed(records, &refused);
        }
        tracing::warn!(%failure, ?stage, in_a_row, "the transaction failed; its records are folded again");
        if in_a_row >= OFTEN {
            tracing::error!(%failure, in_a_row, "transactions fail one after the other, so nothing is committed: check that the transaction coordinator is available, and that `events` accepts the records (max.message.bytes, ACLs)");
        }
        if failure.code == RDKafkaErrorCode::FencedInstanceId {
            // The consumer learns of it only at its next heartbeat, and until then nothing that is tried can succeed.
            return Err(Error::fenced());
        }
        match outcome::after(stage, failure.class) {
            Next::Abort => self.locked().abort(),
            Next::Renew => {
                metric_names::ended(self.config.name, metric_names::UNKNOWN);
                let mut work = self.locked();
                work.undone();
                work.needs_renewal(Some(failure));
            }
        }
        // What was refused once is likely to be refused again at once.
        fault::rest(fault::pause(self.failed_in_a_row), &self.stop);
        Ok(())
    }

    /// A new producer under the same id: what the old one left open is ended by it. Every partition is then restored from
    /// what is committed (I7).
    pub(super) fn renew(&mut self, why: Renewal) -> Result<(), Error> {
        let id = &self.id;
        if why == Renewal::Fatal && !self.renewals.allow(Instant::now()) {
            return Err(Error::Contended { id: id.clone() });
        }
        tracing::warn!(id, "renewing the producer");
        self.progress.worker_waits(id, "it waits for a new producer from the transaction coordinator".to_owned());
        let session = Session::start(&self.config.connection, id, &self.config.output.name, &self.stop)?;
        metric_names::renewed(self.config.name);
        let mut work = self.locked();
        work.session = session;
        work.verify = true;
        Ok(())
    }
}
