//! Brings one partition to where it stood: facts are gathered, the plan is made of them ([`crate::resume`]), and then the
//! store is rolled forward by the same fold, its effects thrown away.

use std::collections::BTreeSet;
use std::time::Duration;

use hooklog_log::connection::Isolation;
use hooklog_log::reader::{Reader, Span};
use hooklog_log::{committed, ends};
use hooklog_schemas::{NextOffset, Offset, Partition};
use hooklog_store::{Source, Store};
use rdkafka::message::Message;

use super::owned::Owned;
use super::{Config, outputs};
use crate::error::Error;
use crate::fold::Fold;
use crate::input::Input;
use crate::progress::Progress;
use crate::resume::{self, Facts, Resume, Trust};

/// How long another owner's open transaction may hold up N: its timeout, the broker's clean-up, and room to spare.
const PATIENCE: Duration = Duration::from_secs(60);
/// Records that are applied at once while rolling forward.
const BATCH: usize = 5_000;

/// Opens the store of `partition` and rolls it forward to N (I5). The partition then goes on at its `applied` offset.
pub(super) fn recover<F: Fold>(
    fold: &F,
    config: &Config,
    partition: Partition,
    progress: &Progress,
) -> Result<Owned, Error> {
    let source = Source { topic: config.input.name.clone(), partition };
    let mut owned = Owned::new(source, open(fold, config, partition)?)?;
    progress.restoring(partition, owned.applied(), owned.applied());
    let plan = plan(fold, config, &owned)?;
    tracing::info!(
        partition = partition.0,
        store = owned.applied().0,
        from = plan.from.0,
        until = plan.until.0,
        "resuming"
    );
    owned.skip_expired(plan.from);
    roll_forward(fold, config, &mut owned, plan.until, progress)?;
    progress.reached(partition, owned.applied(), 0, 0);
    progress.live(partition);
    Ok(owned)
}

/// A damaged store is a lost cache: it is discarded and built again from the log.
fn open<F: Fold>(fold: &F, config: &Config, partition: Partition) -> Result<Store, Error> {
    let path = config.stores.join(format!("p{partition}"));
    match config.registry.open(&path, fold.layout(), &config.kind) {
        Err(error) if error.is_damage() => {
            tracing::error!(partition = partition.0, %error, "the store is damaged; building it again from the log");
            config.registry.discard(&path)?;
            Ok(config.registry.open(&path, fold.layout(), &config.kind)?)
        }
        opened => Ok(opened?),
    }
}

fn plan<F: Fold>(fold: &F, config: &Config, owned: &Owned) -> Result<Resume, Error> {
    let partition = owned.partition();
    let name = &config.input.name;
    // N before the ends: an end that is asked for first could lie before an N that was committed in between.
    let stable = committed::stable(&config.connection, &config.group, name, &[partition], PATIENCE)?;
    let facts = Facts {
        partition,
        applied: owned.applied(),
        committed: stable.into_iter().next(),
        stamp: config.stamp(fold),
        input: ends::of(&config.connection, name, partition, Isolation::Uncommitted)?,
    };
    let next = match resume::trust(&facts) {
        Trust::Stamped(next) => next,
        Trust::Unknown => resume::rebuilt(&facts, highest_output(config, partition)?),
    };
    Ok(resume::plan(&facts, next)?)
}

fn highest_output(config: &Config, partition: Partition) -> Result<Option<Offset>, Error> {
    let log = &config.input.id.0;
    let found = outputs::highest_positions(&config.connection, &config.output, log, &BTreeSet::from([partition]))?;
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
) -> Result<(), Error> {
    let (partition, from) = (owned.partition(), owned.applied());
    let span = Span { topic: config.input.name.clone(), partition, from, to: until };
    let mut reader = Reader::open(&config.connection, Isolation::Uncommitted, span)?;
    while owned.applied() < until {
        let mut batch = Vec::with_capacity(BATCH);
        while batch.len() < BATCH {
            let Some(message) = reader.next()? else { break };
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
