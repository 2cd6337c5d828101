//! Brings one partition to where it stood: facts are gathered, the plan is made of them ([`crate::resume`]), and then the
//! store is rolled forward by the same fold, its effects thrown away.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use hooklog_log::committed::Committed;
use hooklog_log::connection::{ASK, Isolation};
use hooklog_log::reader::{Reader, Span};
use hooklog_log::{committed, ends};
use hooklog_schemas::{NextOffset, Offset, Partition};
use hooklog_store::Source;
use rdkafka::message::Message;
use tokio_util::sync::CancellationToken;

use super::owned::Owned;
use super::{Config, outputs};
use crate::error::Error;
use crate::fold::Fold;
use crate::input::{BATCH_BYTES, Input};
use crate::progress::Progress;
use crate::resume::{self, Facts, Resume, Stop, Trust};

/// How long another owner's open transaction may hold up N: its timeout, the broker's clean-up, and room to spare.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long N is asked for at first without a look at whether it is still wanted.
const SLICE: Duration = Duration::from_secs(2);
/// How long an N that lies before S may take to show that it was an earlier one.
pub(super) const SETTLING: Duration = Duration::from_secs(5);
pub(super) const PAUSE: Duration = Duration::from_millis(200);
/// Records that are applied at once while rolling forward.
const BATCH: usize = 5_000;

/// Opens the store of `partition` and rolls it forward to N (I5). The partition then goes on at its `applied` offset.
pub(super) fn recover<F: Fold>(
    fold: &F,
    config: &Config,
    partition: Partition,
    progress: &Progress,
    stop: &CancellationToken,
) -> Result<Owned, Error> {
    let source = Source { topic: config.input.name.clone(), partition };
    let store = config.registry.open(&config.store(partition), fold.layout(), &config.kind)?;
    let mut owned = Owned::new(source, store)?;
    progress.restoring(partition, owned.applied(), owned.applied());
    let plan = plan(fold, config, &owned, stop)?;
    tracing::info!(
        partition = partition.0,
        store = owned.applied().0,
        from = plan.from.0,
        until = plan.until.0,
        "resuming"
    );
    owned.skip_expired(plan.from);
    progress.restoring(partition, owned.applied(), plan.until);
    roll_forward(fold, config, &mut owned, plan.until, progress, stop)?;
    progress.reached(partition, owned.applied(), 0, 0);
    progress.live(partition);
    Ok(owned)
}

/// The plan. An N before S is asked for again for a while: it only grows where nobody resets it and Kafka takes nothing back,
/// and it costs nothing to be sure.
fn plan<F: Fold>(fold: &F, config: &Config, owned: &Owned, stop: &CancellationToken) -> Result<Resume, Error> {
    let deadline = Instant::now() + SETTLING;
    loop {
        match planned(fold, config, owned, stop) {
            Err(Error::Stop(why @ Stop::Behind { .. })) if Instant::now() < deadline && !stop.is_cancelled() => {
                tracing::warn!(%why, "asking for the committed offset again");
                std::thread::sleep(PAUSE);
            }
            planned => return planned,
        }
    }
}

fn planned<F: Fold>(fold: &F, config: &Config, owned: &Owned, stop: &CancellationToken) -> Result<Resume, Error> {
    let partition = owned.partition();
    let name = &config.input.name;
    // N before the ends: an end that is asked for first could lie before an N that was committed in between.
    let committed = stable(config, &[partition], stop)?.pop();
    let facts = Facts {
        partition,
        applied: owned.applied(),
        committed,
        stamp: config.stamp(fold),
        input: ends::of(&config.connection, name, partition, Isolation::Uncommitted)?,
    };
    let next = match resume::trust(&facts) {
        Trust::Stamped(next) => next,
        Trust::Unknown => resume::rebuilt(&facts, highest_output(config, partition, stop)?),
    };
    Ok(resume::plan(&facts, next)?)
}

/// N of each of `partitions` that has one, once no transaction holds it back. Asked for in slices, so that a task that is
/// told to stop need not wait for it.
pub(super) fn stable(
    config: &Config,
    partitions: &[Partition],
    stop: &CancellationToken,
) -> Result<Vec<Committed>, Error> {
    let (deadline, mut slice) = (Instant::now() + PATIENCE, SLICE);
    loop {
        match committed::stable(&config.connection, &config.group, &config.input.name, partitions, slice) {
            Ok(stable) => return Ok(stable),
            Err(_) if stop.is_cancelled() => return Err(Error::ToldToStop),
            Err(error) if Instant::now() >= deadline => return Err(Error::HeldBack { error }),
            // A cluster that is slow to answer is given longer.
            Err(_) => slice = (slice * 2).min(ASK),
        }
    }
}

fn highest_output(config: &Config, partition: Partition, stop: &CancellationToken) -> Result<Option<Offset>, Error> {
    let (log, wanted) = (&config.input.id.0, BTreeSet::from([partition]));
    let found = outputs::highest_positions_unless(&config.connection, &config.output, log, &wanted, stop)?;
    match (found.highest.get(&partition), found.other_log) {
        (None, Some(other)) => Err(Error::OtherLog { found: other, expected: log.clone() }),
        (highest, _) => Ok(highest.copied()),
    }
}

fn roll_forward<F: Fold>(
    fold: &F,
    config: &Config,
    owned: &mut Owned,
    until: NextOffset,
    progress: &Progress,
    stop: &CancellationToken,
) -> Result<(), Error> {
    let (partition, from) = (owned.partition(), owned.applied());
    let span = Span { topic: config.input.name.clone(), partition, from, to: until };
    let mut reader = Reader::open(&config.connection, Isolation::Uncommitted, span)?;
    while owned.applied() < until {
        if stop.is_cancelled() {
            return Err(Error::ToldToStop);
        }
        let (mut batch, mut bytes) = (Vec::with_capacity(BATCH), 0);
        while batch.len() < BATCH && bytes < BATCH_BYTES {
            let Some(message) = reader.next()? else { break };
            bytes += message.payload_len();
            batch.push(message.detach());
        }
        roll_batch(fold, owned, &batch, until)?;
        progress.restoring(partition, owned.applied(), until);
    }
    Ok(())
}

fn roll_batch<F: Fold>(
    fold: &F,
    owned: &mut Owned,
    batch: &[rdkafka::message::OwnedMessage],
    until: NextOffset,
) -> Result<(), Error> {
    let mut clock = owned.clock();
    let mut inputs = Vec::with_capacity(batch.len());
    for (message, expected) in batch.iter().zip(owned.applied().0..) {
        let found = Offset(message.offset());
        if found != Offset(expected) {
            return Err(Error::Gap { partition: owned.partition(), expected: NextOffset(expected), found });
        }
        let input = Input::read(message, clock);
        clock = input.time;
        inputs.push(input);
    }
    if inputs.is_empty() {
        let (partition, expected) = (owned.partition(), owned.applied());
        return Err(Error::Gap { partition, expected, found: until.offset() });
    }
    // The records were committed with N: what the fold would produce stands in the output already.
    drop(owned.fold(fold, &inputs)?);
    owned.apply()?;
    Ok(())
}
