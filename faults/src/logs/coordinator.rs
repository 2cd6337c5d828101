//! The transaction coordinator's log: what it wrote of each transaction, decoded from the segments of `__transaction_state`.
//!
//! Kafka never compresses this topic. Its schemas are `TransactionLogKey` (version 0) and `TransactionLogValue` (0 and, flexible,
//! 1) of Apache Kafka; another version is an error.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::batches::Kind;
use super::fields::Fields;
use super::whole::split;

/// What the coordinator wrote of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The producer's name for itself.
    pub transactional_id: String,
    /// The producer's.
    pub producer: i64,
    /// The producer's.
    pub epoch: i16,
    /// What has become of the transaction.
    pub state: State,
    /// `<topic>-<partition>`
    pub partitions: Vec<String>,
    /// When the coordinator came to that state, epoch ms.
    pub time: i64,
}

/// The states of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// No transaction yet.
    Empty,
    /// It has partitions.
    Ongoing,
    /// Decided; markers are being written.
    PrepareCommit,
    /// Decided; markers are being written.
    PrepareAbort,
    /// The coordinator says that all markers are written.
    CompleteCommit,
    /// The coordinator says that all markers are written.
    CompleteAbort,
    /// The coordinator forgets the id.
    Dead,
    /// Another producer takes the id.
    PrepareEpochFence,
}

/// The entries of a segment, in their order, until its end or a batch that a crash has left half written.
pub(super) fn read_segment(path: &Path) -> Result<Vec<Entry>> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    entries(&bytes).with_context(|| format!("cannot decode {}", path.display()))
}

fn entries(segment: &[u8]) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for batch in split(segment)?.iter().filter(|batch| batch.batch.kind == Kind::Plain) {
        for (key, value) in batch.records()? {
            let key = key.context("a record without a key")?;
            // Without a value the id is forgotten: nothing of a transaction.
            let entry = value.map(|value| entry(Fields(key), Fields(value))).transpose()?;
            entries.extend(entry.flatten());
        }
    }
    Ok(entries)
}

fn entry(mut key: Fields<'_>, mut value: Fields<'_>) -> Result<Option<Entry>> {
    if key.i16()? != 0 {
        // A later Kafka's records of another kind; each kind has a key version of its own.
        return Ok(None);
    }
    let transactional_id = key.string()?;
    let is_flexible = match value.i16()? {
        0 => false,
        1 => true,
        other => bail!("a value of version {other}: only 0 and 1 are known"),
    };
    let (producer, epoch) = (value.i64()?, value.i16()?);
    value.skip(4)?; // the timeout
    let state = state(value.i8()?)?;
    let partitions = if is_flexible { flexible_partitions(&mut value)? } else { partitions(&mut value)? };
    let time = value.i64()?;
    Ok(Some(Entry { transactional_id, producer, epoch, state, partitions, time }))
}

fn partitions(value: &mut Fields<'_>) -> Result<Vec<String>> {
    let mut all = Vec::new();
    for _ in 0..value.i32()? {
        let topic = value.string()?;
        for _ in 0..value.i32()? {
            all.push(format!("{topic}-{}", value.i32()?));
        }
    }
    Ok(all)
}

/// Lengths are one more than they are, so that 0 is none; tagged fields end each structure.
fn flexible_partitions(value: &mut Fields<'_>) -> Result<Vec<String>> {
    let mut all = Vec::new();
    for _ in 1..value.unsigned_varint()? {
        let length = value.unsigned_varint()?.checked_sub(1).context("a topic without a name")?;
        let topic = String::from_utf8(value.bytes(usize::try_from(length)?)?.to_vec())?;
        for _ in 1..value.unsigned_varint()? {
            all.push(format!("{topic}-{}", value.i32()?));
        }
        value.skip_tagged()?;
    }
    Ok(all)
}

fn state(number: i8) -> Result<State> {
    Ok(match number {
        0 => State::Empty,
        1 => State::Ongoing,
        2 => State::PrepareCommit,
        3 => State::PrepareAbort,
        4 => State::CompleteCommit,
        5 => State::CompleteAbort,
        6 => State::Dead,
        7 => State::PrepareEpochFence,
        other => bail!("state {other} is not known"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first batches of a real `__transaction_state` partition of Apache Kafka 4.3.1, as a transactional producer of
    /// hooklog left them.
    const REAL: &[u8] = include_bytes!("../../fixtures/transaction-state.log");

    #[test]
    fn a_real_log_is_decoded() {
        let entries = entries(REAL).unwrap();
        let states: Vec<_> = entries.iter().map(|entry| entry.state).collect();
        assert_eq!(states[0], State::Empty);
        assert!(states.windows(2).any(|two| two == [State::PrepareCommit, State::CompleteCommit]), "{states:?}");
        let prepared = entries.iter().find(|entry| entry.state == State::PrepareCommit).unwrap();
        let named = |prefix: &str| prepared.partitions.iter().any(|name| name.starts_with(prefix));
        assert!(named("hooklog.events-") && named("__consumer_offsets-"), "{prepared:?}");
        assert!(prepared.transactional_id.starts_with("hooklog.processor-"), "{prepared:?}");
        assert!(entries.windows(2).all(|two| two[0].time <= two[1].time));
    }

    #[test]
    fn a_log_that_breaks_off_is_read_to_its_last_whole_batch() {
        let all = entries(REAL).unwrap();
        for cut in [1, 30, 200] {
            let some = entries(&REAL[..REAL.len() - cut]).unwrap();
            assert!(some.len() < all.len() && some[..] == all[..some.len()]);
        }
    }

    #[test]
    fn what_is_not_known_is_an_error_and_is_not_passed_over() {
        let key = [&[0, 0, 0, 1][..], b"t"].concat();
        assert!(entry(Fields(&key), Fields(&[0, 9])).is_err());
        let mut value = vec![0, 1];
        value.extend(7_i64.to_be_bytes());
        value.extend([0, 0, 0, 0, 0, 1, 99]);
        assert!(entry(Fields(&key), Fields(&value)).is_err());
    }

    #[test]
    fn both_versions_of_a_value_are_read() {
        let key = [&[0, 0, 0, 1][..], b"t"].concat();
        let head = |version: u8| [&[0, version][..], &7_i64.to_be_bytes(), &[0, 2, 0, 0, 0, 1, 1]].concat();
        let time = 99_i64.to_be_bytes();
        let rigid =
            [&head(0)[..], &[0, 0, 0, 1, 0, 1], b"x", &[0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4], &time, &time].concat();
        let flexible = [&head(1)[..], &[2, 2], b"x", &[3, 0, 0, 0, 3, 0, 0, 0, 4, 0], &time, &time, &[0]].concat();
        let expected = Entry {
            transactional_id: "t".to_owned(),
            producer: 7,
            epoch: 2,
            state: State::Ongoing,
            partitions: vec!["x-3".to_owned(), "x-4".to_owned()],
            time: 99,
        };
        assert_eq!(entry(Fields(&key), Fields(&rigid)).unwrap(), Some(expected.clone()));
        assert_eq!(entry(Fields(&key), Fields(&flexible)).unwrap(), Some(expected));
    }
}
