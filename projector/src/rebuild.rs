//! A rebuild: the views anew from the log, beside those that answer; then a switch.
//!
//! The new generation reads until it holds what was committed when it began and is close behind the live one. Then the
//! reader of the live one is held, whichever is behind is brought exactly to where the other one is, both are looked at in
//! that moment, the new one takes over, and the reader goes on with it. Queries are answered all the while.

use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use hooklog_schemas::{NextOffset, Partition};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::advance;
use crate::beginning::Incomplete;
use crate::error::Error;
use crate::generations::Generation;
use crate::projector::{Parts, is_passing, read};
use crate::views::content;

/// How often progress is reported.
const TICK: Duration = Duration::from_millis(100);

/// In the place of the hash of views that cannot be read.
const UNREADABLE: &str = "unreadable";

/// How many records a build may be behind the live views when it takes over; they are read while those hold.
const CLOSE: i64 = 5_000;

/// How far a build is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Building {
    /// The generation that is being built.
    pub generation: u64,
    /// Each partition.
    pub partitions: Vec<Reading>,
}

/// How far a build is with one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Reading {
    /// The partition.
    pub partition: Partition,
    /// Up to where it is read.
    pub done: NextOffset,
    /// Up to where it was committed when the build began; a build that is there goes on with what came since.
    pub total: NextOffset,
}

/// What a rebuild came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rebuilt {
    /// The generation that answers now.
    pub generation: u64,
    /// The one that answered before; it is kept.
    pub previous: u64,
    /// The version of the rules that are answered by now.
    pub rules: String,
    /// The version of the rules before.
    pub previous_rules: String,
    /// Hash of states and answers now.
    pub content: String,
    /// Hash of states and answers before, at the same positions.
    pub previous_content: String,
    /// Whether both are the same: the views hold and answer exactly what they did.
    pub same: bool,
    /// What the views lack now, since the beginning of `events` was deleted; empty where they hold all.
    pub incomplete: Vec<Incomplete>,
}

/// Builds, switches, compares. On an error nothing has changed.
pub(crate) fn run(parts: &Parts, shutdown: &CancellationToken) -> Result<Rebuilt, Error> {
    let built = parts.generations.begin()?;
    let number = built.number;
    tracing::info!(generation = number, rules = built.rules.hash(), "building the views anew");
    let outcome = read_close(parts, &built, shutdown).and_then(|()| take_over(parts, built, shutdown));
    if outcome.is_err() {
        parts.generations.give_up(number);
    }
    outcome
}

/// Reads until the build is close to the live views.
fn read_close(parts: &Parts, built: &Arc<Generation>, shutdown: &CancellationToken) -> Result<(), Error> {
    let turn = shutdown.child_token();
    let (done, ended) = mpsc::channel();
    let reader = || {
        // Nobody listens any more once the build is close.
        let _ = done.send(read_on(parts, built, &turn));
    };
    std::thread::scope(|scope| {
        let reader = scope.spawn(reader);
        let outcome = watch(parts, built, &ended, shutdown);
        turn.cancel();
        reader.join().map_err(|_| Error::Panicked)?;
        outcome
    })
}

fn read_on(parts: &Parts, built: &Generation, turn: &CancellationToken) -> Result<(), Error> {
    while !turn.is_cancelled() {
        match read(&parts.input, built, turn) {
            Err(error) if is_passing(&error) => tracing::warn!(%error, "the rebuild waits for Kafka"),
            outcome => outcome?,
        }
    }
    Ok(())
}

fn watch(
    parts: &Parts,
    built: &Generation,
    ended: &mpsc::Receiver<Result<(), Error>>,
    shutdown: &CancellationToken,
) -> Result<(), Error> {
    loop {
        parts.building.send_replace(Some(standing(built)));
        match ended.recv_timeout(TICK) {
            Ok(Err(error)) => return Err(error),
            Ok(Ok(())) => return Err(Error::Stopped),
            Err(RecvTimeoutError::Disconnected) => return Err(Error::Panicked),
            Err(RecvTimeoutError::Timeout) if shutdown.is_cancelled() => return Err(Error::Stopped),
            Err(RecvTimeoutError::Timeout) if is_close(parts, built)? => return Ok(()),
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

fn standing(built: &Generation) -> Building {
    let read = |(partition, at): (_, hooklog_task::progress::PartitionProgress)| Reading {
        partition,
        done: at.next,
        total: at.until,
    };
    Building { generation: built.number, partitions: built.progress.all().into_iter().map(read).collect() }
}

fn is_close(parts: &Parts, built: &Generation) -> Result<bool, Error> {
    if !built.progress.is_ready() {
        return Ok(false);
    }
    let (live, mut behind) = (parts.generations.live(), 0);
    for partition in parts.partitions() {
        behind += (live.applied(partition)?.next.0 - built.applied(partition)?.next.0).max(0);
    }
    Ok(behind <= CLOSE)
}

fn take_over(parts: &Parts, built: Arc<Generation>, shutdown: &CancellationToken) -> Result<Rebuilt, Error> {
    let held = parts.gate.hold(shutdown).ok_or(Error::NotHeld)?;
    let before = parts.generations.live();
    for partition in parts.partitions() {
        let goal = before.applied(partition)?.next.max(built.applied(partition)?.next);
        for generation in [&before, &built] {
            advance::to(generation, &parts.input.connection, partition, goal)?;
        }
        // All that was committed when it began is in it: it need not be waited for after the switch.
        built.note_restored(partition);
    }
    let (now, then) = (built.store.snapshot(), before.store.snapshot());
    parts.generations.switch(&built)?;
    drop(held);
    let content = content::hash(&now, &built.rules)?;
    // It does not answer any more: that it is damaged may be why it was replaced.
    let previous_content = content::hash(&then, &before.rules).unwrap_or_else(|error| {
        tracing::warn!(%error, "the views before cannot be compared with");
        UNREADABLE.to_owned()
    });
    let same = content == previous_content;
    tracing::info!(generation = built.number, same, "the views that were built anew have taken over");
    Ok(Rebuilt {
        generation: built.number,
        previous: before.number,
        rules: built.rules.hash(),
        previous_rules: before.rules.hash(),
        content,
        previous_content,
        same,
        incomplete: built.incomplete(parts.partitions())?,
    })
}
