//! Restores partitions: facts are gathered, the plan is made of them ([`crate::resume`]), the store is rolled forward by the
//! same fold, its effects thrown away, and what is owed of the outputs is found ([`crate::owed`]).

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hooklog_log::committed::{self, Committed};
use hooklog_log::connection::{ASK, Isolation};
use hooklog_log::reader::{OffsetRange, Reader};
use hooklog_log::watermarks;
use hooklog_schemas::ids::Span as Window;
use hooklog_schemas::{Millis, NextOffset, Offset, Partition};
use hooklog_store::{Emission, TopicPartition, Verified};
use rdkafka::message::{Message, OwnedMessage};
use tokio_util::sync::CancellationToken;

use super::Config;
use super::partition_task::PartitionTask;
use super::present::{Found, Outputs, Wanted};
use crate::error::Error;
use crate::fold::{Fold, Record};
use crate::input::{self, BATCH_BYTES, Input};
use crate::owed::{Comparable, Present, owed};
use crate::progress::Progress;
use crate::resume::{self, Facts, Resume, Stop, Trust};
use crate::rewritten;

/// How long the committed offsets are asked for at first without a look at whether they are still wanted.
const SLICE: Duration = Duration::from_secs(2);
/// Between two lines about waiting for them.
const TELL: Duration = Duration::from_secs(10);
/// Records that are applied at once while rolling forward.
const BATCH: usize = 5_000;

/// What is known of a partition before it is restored.
pub(super) struct Known {
    facts: Facts,
    found: Found,
    /// Where the output topic ended for a reader of committed records.
    outputs: Vec<NextOffset>,
}

/// What a restored partition has to commit before anything new is folded.
#[derive(Debug)]
pub(super) struct Debt {
    pub(super) partition: Partition,
    /// Batches of the input with outputs that the output topic lacks.
    pub(super) owed: Vec<Emission>,
    /// What the output topic has.
    pub(super) present: Present,
    /// The offset to commit, where the group's is another one.
    pub(super) next: Option<NextOffset>,
}

/// What is left of a partition of the input whose beginning was deleted.
#[derive(Clone, Copy, Debug)]
enum Cut {
    NothingLeft,
    /// The first record that is left is of this time.
    Before(Millis),
}

impl Debt {
    /// Whether the output topic lacks `record`, which comes of `input`.
    pub(super) fn lacks(&self, input: &Input<'_>, record: &Record<'_>) -> bool {
        let is_lost = |batch: &Emission| batch.outputs.contains(&(input.offset, record.partition));
        self.owed.iter().any(is_lost)
    }
}

pub(super) struct Recovery<'r, F> {
    pub(super) fold: &'r F,
    pub(super) config: &'r Config,
    pub(super) progress: &'r Progress,
    pub(super) stop: &'r CancellationToken,
}

impl<F: Fold> Recovery<'_, F> {
    /// Opens the store of `partition`.
    pub(super) fn open(&self, partition: Partition) -> Result<PartitionTask, Error> {
        let source = TopicPartition { topic: self.config.input.name.clone(), partition };
        let store = self.config.registry.open(&self.config.store(partition), self.fold.layout(), &self.config.kind)?;
        Ok(PartitionTask::new(source, store)?)
    }

    /// What is known of each of `stores`: S, and up to where its outputs are verified. Nothing of their outputs and offsets
    /// may be open any more.
    pub(super) fn look(
        &self,
        stores: BTreeMap<Partition, (NextOffset, Option<Verified>)>,
    ) -> Result<BTreeMap<Partition, Known>, Error> {
        let Config { connection, input, output, .. } = self.config;
        let partitions: Vec<Partition> = stores.keys().copied().collect();
        // N before the ends: an end that is asked for first could lie before an N that was committed in between.
        let stable = stable(self.config, &partitions, self.stop)?;
        let inputs = watermarks::all(connection, &input.name, input.partitions, Isolation::Uncommitted)?;
        let outputs = watermarks::all(connection, &output.name, output.partitions, Isolation::Committed)?;
        let ends_of = |partition: Partition| inputs[usize::try_from(partition.0).expect("partitions count from 0")];
        let wanted = |(partition, (_, verified)): (&Partition, &(NextOffset, Option<Verified>))| {
            (*partition, Wanted { verified: verified.clone(), earliest: ends_of(*partition).earliest })
        };
        let wanted = stores.iter().map(wanted).collect();
        let outputs = Outputs { connection, topic: output, ends: &outputs, log: &input.id.0, stop: self.stop };
        let mut found = outputs.find(&wanted)?;
        let ends: Vec<NextOffset> = outputs.ends.iter().map(|ends| ends.end).collect();
        let known = |(partition, (applied, _))| {
            let committed = stable.iter().find(|committed| committed.partition == partition).cloned();
            let (stamp, input) = (self.config.stamp(self.fold), ends_of(partition));
            let facts = Facts { partition, applied, committed, stamp, input };
            let found = found.remove(&partition).unwrap_or_default();
            (partition, Known { facts, found, outputs: ends.clone() })
        };
        Ok(stores.into_iter().map(known).collect())
    }

    /// Rolls the store forward (I5). The partition then goes on at its `applied` offset, once its debt is committed.
    pub(super) fn restore(&self, owned: &mut PartitionTask, known: Known) -> Result<Debt, Error> {
        let Known { facts, found, outputs } = known;
        if !owned.is_compared() {
            self.compare(&facts, &found, owned)?;
        }
        let (plan, cut) = self.plan(&facts, &found, owned)?;
        let (partition, from, until) = (facts.partition, plan.from, plan.until);
        tracing::info!(partition = partition.0, store = facts.applied.0, from = from.0, until = until.0, "resuming");
        owned.skip_expired(from)?;
        self.progress.restoring(partition, owned.applied(), until);
        let comparable = self.comparable(partition, cut, found.complete_before);
        self.roll_forward(owned, until, comparable)?;
        self.progress.reached(partition, owned.applied(), 0, 0);
        let remembered = owned.verified()?.map_or(NextOffset::ZERO, |verified| verified.next);
        let owed = owed(owned.emissions(remembered)?, &found.present);
        if let Some((first, _)) = owed.first().and_then(|batch| batch.outputs.first())
            && owed[0].from < facts.input.earliest
        {
            let (partition, next, earliest) = (facts.partition, first.next(), facts.input.earliest);
            return Err(Stop::Deleted { partition, next, earliest }.into());
        }
        let next = (plan.commits || !owed.is_empty()).then_some(until);
        if next.is_none() {
            // All there is was looked at, and what comes from here on will lie behind it.
            owned.set_verified(&Verified { next: until, outputs })?;
        }
        Ok(Debt { partition, owed, present: found.present, next })
    }

    /// Compares the input with what the store and the outputs say of it.
    fn compare(&self, facts: &Facts, found: &Found, owned: &mut PartitionTask) -> Result<(), Error> {
        let Facts { partition, input, .. } = *facts;
        let (name, known) =
            (self.config.input.name.as_str(), rewritten::Known { last: owned.last(), latest: found.latest });
        let of = (name, partition);
        match rewritten::rewritten(&self.config.connection, of, Isolation::Uncommitted, input, known)? {
            Some(offset) => Err(Stop::Rewritten { partition, offset }.into()),
            None => {
                owned.compared();
                Ok(())
            }
        }
    }

    fn plan(&self, facts: &Facts, found: &Found, owned: &PartitionTask) -> Result<(Resume, Option<Cut>), Error> {
        if let (Trust::Unknown, Some(other)) = (resume::trust(facts), &found.other_log) {
            return Err(Error::OtherLog { found: other.clone(), expected: self.config.input.id.0.clone() });
        }
        if resume::is_unknowable(facts, found.present.highest(), found.present.is_blind()) {
            return Err(Stop::Unknowable { partition: facts.partition }.into());
        }
        let verified = owned.verified()?.map(|verified| verified.next);
        let plan = resume::plan(facts, found.present.highest(), verified)?;
        let cut = self.cut(facts)?;
        if let Some(cut) = cut
            && self.passes_over_window(facts, cut, &plan)?
        {
            let (partition, applied, earliest) = (facts.partition, facts.applied, facts.input.earliest);
            return Err(Stop::Truncated { partition, applied, earliest }.into());
        }
        Ok((plan, cut))
    }

    /// Where records were deleted that the store does not hold: what is left behind them.
    fn cut(&self, facts: &Facts) -> Result<Option<Cut>, Error> {
        let Facts { partition, applied, input, .. } = *facts;
        if applied >= input.earliest {
            return Ok(None);
        }
        if input.earliest >= input.end {
            return Ok(Some(Cut::NothingLeft));
        }
        Ok(Some(Cut::Before(self.time_at(partition, input.earliest.offset())?)))
    }

    fn passes_over_window(&self, facts: &Facts, cut: Cut, plan: &Resume) -> Result<bool, Error> {
        let Cut::Before(first) = cut else {
            // Nothing is left that could tell the time: what is gone may be of today.
            return Ok(resume::passes_over_window(facts, plan, Window(0), Millis(i64::MAX), Millis(0)));
        };
        let next = plan.until.offset().min(Offset(facts.input.end.0 - 1));
        let next = self.time_at(facts.partition, next)?;
        Ok(resume::passes_over_window(facts, plan, self.window(), first, next))
    }

    /// From where on the fold decides as it did the first time, where it is rolled on from S.
    fn comparable(&self, partition: Partition, cut: Option<Cut>, complete_before: NextOffset) -> Comparable {
        let decided_from = self.config.decided_from.get(&partition).copied().unwrap_or(NextOffset::ZERO);
        let since = match cut {
            Some(Cut::Before(first)) => Millis(first.0.saturating_add(self.window().0)),
            Some(Cut::NothingLeft) | None => Millis::MIN,
        };
        Comparable { from: complete_before.max(decided_from), since }
    }

    fn window(&self) -> Window {
        self.fold.window().unwrap_or(Window(i64::MAX))
    }

    fn time_at(&self, partition: Partition, offset: Offset) -> Result<Millis, Error> {
        let (from, to) = (NextOffset(offset.0), offset.next());
        let span = OffsetRange { topic: self.config.input.name.clone(), partition, from, to };
        let mut reader = Reader::open(&self.config.connection, Isolation::Uncommitted, span)?;
        Ok(reader.next()?.map_or(Millis::MIN, |message| input::time(&message)))
    }

    /// Folds up to `until` without effects. What is not `comparable` is not remembered.
    fn roll_forward(&self, owned: &mut PartitionTask, until: NextOffset, comparable: Comparable) -> Result<(), Error> {
        let (partition, from) = (owned.partition(), owned.applied());
        if from >= until {
            return Ok(());
        }
        let span = OffsetRange { topic: self.config.input.name.clone(), partition, from, to: until };
        let mut reader = Reader::open(&self.config.connection, Isolation::Uncommitted, span)?;
        while owned.applied() < until {
            if self.stop.is_cancelled() {
                return Err(Error::Cancelled);
            }
            let (mut batch, mut bytes) = (Vec::with_capacity(BATCH), 0);
            while batch.len() < BATCH && bytes < BATCH_BYTES {
                let Some(message) = reader.next()? else { break };
                bytes += message.payload_len();
                batch.push(message.detach());
            }
            self.roll_batch(owned, &batch, until, comparable)?;
            self.progress.restoring(partition, owned.applied(), until);
        }
        Ok(())
    }

    fn roll_batch(
        &self,
        owned: &mut PartitionTask,
        batch: &[OwnedMessage],
        until: NextOffset,
        comparable: Comparable,
    ) -> Result<(), Error> {
        let mut stream_time = owned.stream_time();
        let mut inputs = Vec::with_capacity(batch.len());
        for (message, expected) in batch.iter().zip(owned.applied().0..) {
            let found = Offset(message.offset());
            if found != Offset(expected) {
                return Err(Error::Gap { partition: owned.partition(), expected: NextOffset(expected), found });
            }
            let input = Input::read(message, stream_time);
            stream_time = input.time;
            inputs.push(input);
        }
        let Some(last) = inputs.last() else {
            let (partition, expected) = (owned.partition(), owned.applied());
            return Err(Error::Gap { partition, expected, found: until.offset() });
        };
        // Offsets and stream time only grow.
        let first = inputs.iter().find(|input| comparable.holds(input.offset, input.time));
        let from = first.map_or(last.offset.next(), |input| NextOffset(input.offset.0));
        drop(owned.fold(self.fold, &inputs)?);
        owned.forget_outputs_before(from);
        owned.apply()?;
        Ok(())
    }
}

/// N of each of `partitions` that has one, once no transaction holds it back. Waits for that as long as it takes.
pub(super) fn stable(
    config: &Config,
    partitions: &[Partition],
    stop: &CancellationToken,
) -> Result<Vec<Committed>, Error> {
    let (mut told, mut slice) = (Instant::now(), SLICE);
    loop {
        match committed::stable(&config.connection, &config.group, &config.input.name, partitions, slice) {
            Ok(stable) => return Ok(stable),
            Err(_) if stop.is_cancelled() => return Err(Error::Cancelled),
            Err(error) => {
                // A cluster that is slow to answer is given longer.
                slice = (slice * 2).min(ASK);
                if told.elapsed() >= TELL {
                    told = Instant::now();
                    tracing::warn!(%error, "still waiting for the committed offsets");
                }
            }
        }
    }
}
