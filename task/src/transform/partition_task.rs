//! One partition that this worker owns: its store, what is folded over it, and how far.

use std::time::Instant;

use hooklog_schemas::{Millis, NextOffset, Offset, Partition};
use hooklog_store::{Applied, Emission, Error as StoreError, LastRecord, Store, TopicPartition, Verified, Writes};

use super::contiguous::Cursor;
use crate::error::Error;
use crate::fold::{Effects, Fold, Suspect, step};
use crate::input::Input;
use crate::overlay::Overlay;

pub(super) struct PartitionTask {
    source: TopicPartition,
    store: Store,
    applied: Applied,
    /// Up to where records are folded, applied or not.
    folded: Applied,
    overlay: Overlay,
    /// What is folded and not applied emitted: the input's offset, the output's partition.
    outputs: Vec<(Offset, Partition)>,
    /// Of what is folded and not applied.
    suspects: Vec<Suspect>,
    /// Why nothing more may be folded; it leaves once nothing of it is open.
    fault: Option<Error>,
    dropped_at: Option<Instant>,
    is_compared: bool,
}

impl PartitionTask {
    pub(super) fn new(source: TopicPartition, store: Store) -> Result<PartitionTask, StoreError> {
        let applied = store.applied(&source)?;
        let (overlay, outputs, suspects) = (Overlay::default(), Vec::new(), Vec::new());
        let (folded, fault, dropped_at, is_compared) = (applied, None, None, false);
        Ok(PartitionTask { source, store, applied, folded, overlay, outputs, suspects, fault, dropped_at, is_compared })
    }

    pub(super) fn partition(&self) -> Partition {
        self.source.partition
    }

    pub(super) fn applied(&self) -> NextOffset {
        self.applied.next
    }

    /// The last record that is in the store, if it knows it.
    pub(super) fn last(&self) -> Option<LastRecord> {
        self.applied.last
    }

    /// Whether the input has been compared with what the store and the outputs say of it, since the store was opened.
    pub(super) fn is_compared(&self) -> bool {
        self.is_compared
    }

    /// It has been, and is what they were made of.
    pub(super) fn compared(&mut self) {
        self.is_compared = true;
    }

    /// The next offset to commit, where there is something to commit.
    pub(super) fn uncommitted(&self) -> Option<NextOffset> {
        (self.folded.next > self.applied.next).then_some(self.folded.next)
    }

    /// Time as this partition tells it.
    pub(super) fn stream_time(&self) -> Millis {
        self.folded.stream_time
    }

    /// What the next record has to follow on; nothing where none may follow.
    pub(super) fn place(&self) -> Option<Cursor> {
        let place =
            Cursor { partition: self.partition(), next: self.folded.next, stream_time: self.folded.stream_time };
        self.fault.is_none().then_some(place)
    }

    /// Nothing more is folded, for `why`.
    pub(super) fn fail(&mut self, why: Error) {
        self.fault = Some(why);
    }

    /// Why it has to leave, once nothing of it is open.
    pub(super) fn take_fault(&mut self) -> Option<Error> {
        if self.uncommitted().is_some() { None } else { self.fault.take() }
    }

    /// Folds records that follow what is folded already, in order and without a hole.
    pub(super) fn fold<'a, F: Fold>(&mut self, fold: &F, batch: &[Input<'a>]) -> Result<Effects<'a>, StoreError> {
        let mut effects = step(fold, &self.store, &mut self.overlay, batch)?;
        self.suspects.append(&mut effects.suspects);
        if let Some(last) = batch.last() {
            self.folded = last.reached();
        }
        let outputs = effects.origins.iter().zip(&effects.produce);
        self.outputs.extend(outputs.map(|(origin, record)| (*origin, record.partition)));
        Ok(effects)
    }

    /// The suspects of a transaction that is committed. Those of one that is rolled forward are dropped by [`PartitionTask::apply`].
    pub(super) fn take_suspects(&mut self) -> Vec<Suspect> {
        std::mem::take(&mut self.suspects)
    }

    /// Writes what is folded into the store, with its position and what it emitted; how many records that were, and how
    /// many they emitted.
    pub(super) fn apply(&mut self) -> Result<(u64, u64), StoreError> {
        let outputs = std::mem::take(&mut self.outputs);
        let emission = Emission { from: self.applied.next, stream_time: self.applied.stream_time, outputs };
        self.store.apply_emitting(self.overlay.writes(), (&self.source, self.folded), Some(&emission))?;
        let records = (self.folded.next.0 - self.applied.next.0).unsigned_abs();
        self.applied = self.folded;
        self.overlay.clear();
        self.suspects.clear();
        Ok((records, emission.outputs.len() as u64))
    }

    /// Forgets the outputs of records before `from`: they are known to be there, or nothing is known of them.
    pub(super) fn forget_outputs_before(&mut self, from: NextOffset) {
        self.outputs.retain(|(origin, _)| *origin >= from.offset());
    }

    /// Up to where its outputs are verified.
    pub(super) fn verified(&self) -> Result<Option<Verified>, StoreError> {
        self.store.verified(&self.source)
    }

    /// Its outputs are verified up to there.
    pub(super) fn set_verified(&self, verified: &Verified) -> Result<(), StoreError> {
        self.store.set_verified(&self.source, verified)
    }

    /// What the store remembers of its outputs from `from` on.
    pub(super) fn emissions(&self, from: NextOffset) -> Result<Vec<Emission>, StoreError> {
        self.store.emissions(&self.source, from)
    }

    /// Forgets what is folded and not applied: its transaction was undone, and what was wrong behind it comes again.
    pub(super) fn undo(&mut self) {
        self.folded = self.applied;
        self.overlay.clear();
        self.outputs.clear();
        self.suspects.clear();
        self.fault = None;
    }

    /// Starts at `next` where the log begins later than the store ends: what lies between has expired. Written down at once:
    /// a store that is lost later must not look like one that never was.
    pub(super) fn skip_expired(&mut self, next: NextOffset) -> Result<(), StoreError> {
        if next > self.applied.next {
            self.applied.next = next;
            self.store.apply(&Writes::default(), &[(self.source.clone(), self.applied)])?;
        }
        self.folded = self.applied;
        Ok(())
    }

    /// Frees the space of buckets that are over, once a minute.
    pub(super) fn drop_expired(&mut self, now: Instant) -> Result<(), StoreError> {
        if self.dropped_at.is_some_and(|then| now.duration_since(then).as_secs() < 60) {
            return Ok(());
        }
        self.dropped_at = Some(now);
        let dropped = self.store.drop_expired(self.applied.stream_time)?;
        if dropped > 0 {
            tracing::info!(partition = self.partition().0, dropped, "buckets past the window were dropped");
        }
        Ok(())
    }
}
