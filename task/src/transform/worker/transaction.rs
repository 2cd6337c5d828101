//! The open transaction and what it covers. Every way out of it is here: commit, abort, renew.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use hooklog_log::committed::{Committed, listed};
use hooklog_log::native::Failure;
use hooklog_schemas::Partition;
use rdkafka::consumer::Consumer;
use rdkafka::error::RDKafkaErrorCode;

use super::{OwnedByPartition, Session, Worker};
use crate::error::Error;
use crate::fold::Fold;
use crate::input::Input;
use crate::outcome::{self, Next, Stage};

/// What a worker and its group callbacks share.
pub(super) struct Work {
    session: Session,
    pub(super) owned: OwnedByPartition,
    open: Option<Open>,
    rewind: bool,
    renew: bool,
}

struct Open {
    since: Instant,
    records: usize,
}

impl Work {
    pub(super) fn new(session: Session) -> Work {
        Work { session, owned: OwnedByPartition::new(), open: None, rewind: false, renew: false }
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

    pub(super) fn takes_renewal(&mut self) -> bool {
        std::mem::take(&mut self.renew)
    }

    /// Folds and queues the outputs, in a transaction that is begun where none is open. The outer error ends the task;
    /// the inner one is Kafka's, and the transaction has to be undone.
    pub(super) fn fold<F: Fold>(
        &mut self,
        fold: &F,
        partition: Partition,
        inputs: &[Input<'_>],
    ) -> Result<Result<(), Failure>, Error> {
        let owned = self.owned.get_mut(&partition).expect("asked for by the caller");
        if self.open.is_none() {
            if let Err(failure) = self.session.begin() {
                return Ok(Err(failure));
            }
            self.open = Some(Open { since: Instant::now(), records: 0 });
        }
        let effects = owned.fold(fold, inputs)?;
        self.open.iter_mut().for_each(|open| open.records += inputs.len());
        Ok(effects.produce.iter().try_for_each(|record| self.session.send(record)))
    }

    /// Gives up `partitions` with nothing open (I6): what the transaction held of others is folded again.
    pub(super) fn give_up(&mut self, partitions: &[Partition]) {
        if self.open.is_some() {
            self.abort();
        }
        self.owned.retain(|partition, _| !partitions.contains(partition));
    }

    /// Undoes the transaction in every partition that it covers. An abort that fails leaves it to the next producer.
    fn abort(&mut self) {
        if let Err(failure) = self.session.abort() {
            tracing::warn!(%failure, "the transaction could not be aborted; a new producer will end it");
            self.renew = true;
        }
        self.undone();
    }

    fn undone(&mut self) {
        self.open = None;
        self.rewind = true;
        self.owned.values_mut().for_each(super::super::owned::Owned::undo);
    }
}

/// The coordinator said no, so nothing is under way; a rebalance must not use up renewals.
fn is_refused(failure: &Failure) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(failure.code, Code::IllegalGeneration | Code::UnknownMemberId | Code::FencedInstanceId)
}

impl<F: Fold> Worker<F> {
    /// Commits the open transaction where `due` says so, then applies what it covered.
    pub(super) fn commit_if(&mut self, due: impl Fn(&Work) -> bool) -> Result<(), Error> {
        if !due(&self.locked()) {
            return Ok(());
        }
        match self.commit()? {
            Ok(()) => self.apply(),
            Err((stage, failure)) => self.undo(stage, &failure),
        }
    }

    /// Outputs are queued already; offsets go last, since the coordinator makes them wait right after a commit.
    fn commit(&self) -> Result<Result<(), (Stage, Failure)>, Error> {
        let work = self.locked();
        let stamp = self.config.stamp(&*self.fold).to_string();
        let next = |owned: &super::super::owned::Owned| {
            let next = owned.uncommitted()?;
            Some(Committed { partition: owned.partition(), next, metadata: stamp.clone() })
        };
        let offsets: Vec<Committed> = work.owned.values().filter_map(next).collect();
        let offsets = listed(&self.config.input.name, &offsets)?;
        let Some(group) = self.consumer.group_metadata() else {
            return Err(Error::Consumer(rdkafka::error::KafkaError::Canceled));
        };
        if let Err(failure) = work.session.send_offsets(&offsets, &group) {
            let stage = if is_refused(&failure) { Stage::Before } else { Stage::Offsets };
            return Ok(Err((stage, failure)));
        }
        Ok(work.session.commit().map_err(|failure| (Stage::End, failure)))
    }

    /// The commit is known: now, and only now, the stores follow (I2).
    fn apply(&mut self) -> Result<(), Error> {
        let work = std::sync::Arc::clone(&self.work);
        let mut work = work.lock().unwrap_or_else(PoisonError::into_inner);
        work.open = None;
        for (partition, owned) in &mut work.owned {
            if owned.uncommitted().is_none() {
                continue;
            }
            let (folded, emitted) = owned.apply()?;
            self.progress.reached(*partition, owned.applied(), folded, emitted);
            owned.drop_expired(Instant::now())?;
        }
        Ok(())
    }

    /// Undoes what is open after `failure`, by what it leaves behind.
    pub(super) fn undo(&mut self, stage: Stage, failure: &Failure) -> Result<(), Error> {
        tracing::warn!(%failure, ?stage, "the transaction failed");
        match outcome::after(stage, failure.class) {
            Next::Abort => self.locked().abort(),
            Next::Renew => {
                let mut work = self.locked();
                work.undone();
                work.renew = true;
            }
        }
        self.settle().map(drop)
    }

    /// A new producer under the same id: what the old one left open is ended by it, and N then tells whether that was
    /// committed. Every partition is brought up again from there (I7).
    pub(super) fn renew(&mut self) -> Result<(), Error> {
        let id = self.locked().session.id().to_owned();
        if !self.renewals.allow(Instant::now()) {
            return Err(Error::Contended { id });
        }
        tracing::warn!(id, "renewing the producer");
        let session = Session::start(&self.config.connection, &id, &self.config.output.name)?;
        let owned = {
            let mut work = self.locked();
            work.session = session;
            std::mem::take(&mut work.owned)
        };
        let partitions: Vec<Partition> = owned.into_keys().collect();
        partitions.into_iter().try_for_each(|partition| self.bring_up(partition))
    }
}
