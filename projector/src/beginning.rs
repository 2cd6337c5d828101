//! Views of a log whose beginning was deleted: where they begin instead, what they lack, and from when they are true.
//!
//! A partition that the views hold nothing of begins at the first record that is left. That is written into the store with the
//! position, so that it is still known after the next start. Views that hold a part and miss the next one never go on: between
//! the two an answer would be wrong and nobody could see it.

use hooklog_log::connection::Isolation;
use hooklog_log::reader::{OffsetRange, Reader};
use hooklog_log::watermarks::{self, Watermarks};
use hooklog_schemas::{Millis, NextOffset, Partition, time};
use hooklog_store::{Applied, Writes};
use hooklog_task::rewritten::{Known, rewritten};
use hooklog_task::{Input, materialise};
use serde::Serialize;

use crate::error::Error;
use crate::generations::Generation;
use crate::views::family::{RULES, beginning};

/// What views lack of one partition of `events`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Incomplete {
    /// The partition.
    pub partition: Partition,
    /// What was before this offset was deleted before the views read it.
    pub missing_before: NextOffset,
    /// The time of the first event that they hold: of whatever happened before it they may know nothing. None where no event
    /// was left.
    pub true_from: Option<String>,
}

/// Where views begin in a partition, and the time of the record there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Beginning {
    from: NextOffset,
    time: Millis,
}

impl Beginning {
    fn to_bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.from.0.to_be_bytes());
        bytes[8..].copy_from_slice(&self.time.0.to_be_bytes());
        bytes
    }

    fn of_bytes(bytes: &[u8]) -> Option<Beginning> {
        let (from, time) = bytes.split_first_chunk::<8>()?;
        let time: &[u8; 8] = time.try_into().ok()?;
        Some(Beginning { from: NextOffset(i64::from_be_bytes(*from)), time: Millis(i64::from_be_bytes(*time)) })
    }
}

/// What is to be done about one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// It is read on from where the views stand.
    GoOn,
    /// The views hold nothing of it: they begin at the first record that is left.
    BeginLate,
    /// The views hold a part, and what follows it was deleted.
    Behind,
    /// The views hold what the log does not have.
    Ahead,
}

/// Pure. `began` is where the views began, `next` where they stand.
fn step(began: NextOffset, next: NextOffset, ends: Watermarks) -> Step {
    match () {
        () if next > ends.end => Step::Ahead,
        () if next >= ends.earliest => Step::GoOn,
        () if next <= began => Step::BeginLate,
        () => Step::Behind,
    }
}

/// Before `generation` is read into: lets it begin where the log begins.
///
/// # Errors
/// [`Error::Behind`], [`Error::Ahead`], [`Error::Rewritten`] where the views and the log do not fit; where Kafka or the store does not answer.
pub(crate) fn settle(input: &materialise::Config, generation: &Generation) -> Result<(), Error> {
    let (connection, topic) = (&input.connection, &input.input);
    let all = watermarks::all(connection, &topic.name, topic.partitions, Isolation::Committed)?;
    for (partition, ends) in (0..).map(Partition).zip(all) {
        let began = generation.beginning(partition)?.map_or(NextOffset::ZERO, |began| began.from);
        let applied = generation.applied(partition)?;
        let next = applied.next;
        let path = || generation.store.path().parent().unwrap_or(generation.store.path()).to_owned();
        match step(began, next, ends) {
            Step::GoOn => {
                let known = Known { last: applied.last, latest: None };
                let of = (topic.name.as_str(), partition);
                if let Some(offset) = rewritten(connection, of, Isolation::Committed, ends, known)? {
                    return Err(Error::Rewritten { dir: path(), partition, offset });
                }
            }
            Step::BeginLate => generation.begin_late(input, partition, ends)?,
            Step::Behind => {
                return Err(Error::Behind { dir: path(), partition, next, earliest: ends.earliest });
            }
            Step::Ahead => return Err(Error::Ahead { dir: path(), partition, next, end: ends.end }),
        }
    }
    for lacking in generation.incomplete((0..topic.partitions.cast_signed()).map(Partition))? {
        tracing::warn!(
            generation = generation.number,
            partition = lacking.partition.0,
            missing_before = lacking.missing_before.0,
            true_from = lacking.true_from.as_deref().unwrap_or("no event was left"),
            "the beginning of this partition of events was deleted before the views read it: they lack what it said"
        );
    }
    Ok(())
}

impl Generation {
    /// What it lacks of the log.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub(crate) fn incomplete(&self, partitions: impl Iterator<Item = Partition>) -> Result<Vec<Incomplete>, Error> {
        let mut all = Vec::new();
        for partition in partitions {
            all.extend(self.incomplete_in(partition)?);
        }
        Ok(all)
    }

    /// What it lacks of one partition.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub(crate) fn incomplete_in(&self, partition: Partition) -> Result<Option<Incomplete>, Error> {
        let lacking = |Beginning { from, time }| {
            let true_from = Some(time).filter(|time| *time > Millis::MIN).and_then(time::rfc3339);
            Incomplete { partition, missing_before: from, true_from }
        };
        Ok(self.beginning(partition)?.map(lacking))
    }

    fn beginning(&self, partition: Partition) -> Result<Option<Beginning>, Error> {
        let bytes = self.store.get(RULES, &beginning(partition))?;
        Ok(bytes.and_then(|bytes| Beginning::of_bytes(&bytes)))
    }

    /// Writes down that it begins at the first record that is left.
    fn begin_late(&self, input: &materialise::Config, partition: Partition, ends: Watermarks) -> Result<(), Error> {
        let (topic, from) = (input.input.name.clone(), ends.earliest);
        let span = OffsetRange { topic, partition, from, to: ends.end };
        let mut reader = Reader::open(&input.connection, Isolation::Committed, span)?;
        let time = reader.next()?.map_or(Millis::MIN, |first| Input::read(&first, Millis::MIN).time);
        let mut writes = Writes::default();
        writes.put(RULES, Millis::MIN, &beginning(partition), &Beginning { from, time }.to_bytes());
        let at = Applied { next: from, ..Applied::NOTHING };
        Ok(self.store.apply(&writes, &[(self.source(partition), at)])?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beginning_is_written_as_in_this_release() {
        let beginning = Beginning { from: NextOffset(258), time: Millis(-2) };
        assert_eq!(hex::encode(beginning.to_bytes()), "0000000000000102fffffffffffffffe");
        assert_eq!(Beginning::of_bytes(&beginning.to_bytes()), Some(beginning));
        assert_eq!(Beginning::of_bytes(&[0; 15]), None);
    }

    #[test]
    fn only_views_that_hold_nothing_of_a_partition_begin_where_that_begins() {
        let step = |began, next, earliest, end| {
            step(
                NextOffset(began),
                NextOffset(next),
                Watermarks { earliest: NextOffset(earliest), end: NextOffset(end) },
            )
        };
        assert_eq!(step(0, 0, 0, 9), Step::GoOn);
        assert_eq!(step(0, 9, 9, 9), Step::GoOn, "what was deleted is in the views");
        assert_eq!(step(0, 0, 4, 9), Step::BeginLate);
        assert_eq!(step(4, 4, 6, 9), Step::BeginLate, "nothing was read since they began late");
        assert_eq!(step(0, 3, 4, 9), Step::Behind);
        assert_eq!(step(4, 5, 6, 9), Step::Behind);
        assert_eq!(step(0, 10, 4, 9), Step::Ahead);
    }
}
