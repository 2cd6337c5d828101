//! The transaction coordinator's log beside the partitions' own, read from the files of a broker that does not run: a
//! transaction that it calls complete must have ended in each partition that it was in.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const HEADER: usize = 61;

/// What the logs of one broker hold.
#[derive(Debug, Default)]
pub struct Transactions {
    /// How many the coordinator calls complete.
    pub completed: usize,
    /// Those without an end in a partition: id, outcome and partition.
    pub unmarked: Vec<String>,
}

/// One batch of <https://kafka.apache.org/documentation/#recordbatch>.
struct Batch {
    bytes: Vec<u8>,
}

/// The end of a transaction in a partition.
#[derive(Clone, Copy)]
struct Marker {
    producer: i64,
    is_commit: bool,
    at: i64,
}

/// One state of a transaction.
struct State {
    id: String,
    producer: i64,
    status: u8,
    partitions: Vec<String>,
    at: i64,
}

const PREPARE_COMMIT: u8 = 2;
const PREPARE_ABORT: u8 = 3;
const COMPLETE: [u8; 2] = [4, 5];

impl Transactions {
    /// Of the broker whose `log.dirs` this is.
    ///
    /// # Panics
    /// The files cannot be read, or are not as Kafka writes them.
    pub fn read(log_dirs: &Path) -> Self {
        let mut markers = BTreeMap::new();
        let mut found = Self::default();
        for partition in partitions(log_dirs).filter(|name| name.starts_with("__transaction_state-")) {
            let states = batches(&log_dirs.join(partition)).iter().flat_map(states).collect::<Vec<_>>();
            found.compare(&states, &mut |name| {
                let read = || batches(&log_dirs.join(name)).iter().filter_map(marker).collect::<Vec<Marker>>();
                markers.entry(name.to_owned()).or_insert_with(read).clone()
            });
        }
        found
    }

    /// Between a decision and its completion, each partition must have got the marker of that outcome.
    fn compare(&mut self, states: &[State], markers: &mut dyn FnMut(&str) -> Vec<Marker>) {
        let mut decided: BTreeMap<&str, &State> = BTreeMap::new();
        for state in states {
            if [PREPARE_COMMIT, PREPARE_ABORT].contains(&state.status) {
                decided.insert(&state.id, state);
            }
            if !COMPLETE.contains(&state.status) {
                continue;
            }
            let Some(begin) = decided.remove(state.id.as_str()) else { continue };
            self.completed += 1;
            let is_commit = begin.status == PREPARE_COMMIT;
            let is_end = |marker: &Marker| {
                marker.producer == begin.producer
                    && marker.is_commit == is_commit
                    && (begin.at..=state.at).contains(&marker.at)
            };
            let open = begin.partitions.iter().filter(|name| !markers(name).iter().any(is_end));
            let (id, outcome) = (&state.id, if is_commit { "commit" } else { "abort" });
            self.unmarked.extend(open.map(|name| format!("{id}: {outcome} at {} has no marker in {name}", begin.at)));
        }
    }
}

fn partitions(log_dirs: &Path) -> impl Iterator<Item = String> {
    let entries = fs::read_dir(log_dirs).expect("the broker's log directory");
    entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok())
}

fn batches(partition: &Path) -> Vec<Batch> {
    let Ok(entries) = fs::read_dir(partition) else { return Vec::new() };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut segments: Vec<PathBuf> = paths.filter(|path| path.extension().is_some_and(|kind| kind == "log")).collect();
    segments.sort();
    segments.iter().flat_map(|path| split(&fs::read(path).expect("a segment"))).collect()
}

fn split(bytes: &[u8]) -> Vec<Batch> {
    let (mut at, mut batches) = (0, Vec::new());
    while let Some(prefix) = bytes.get(at..at + HEADER) {
        let length = 12 + number(&prefix[8..12]) as usize;
        let Some(batch) = bytes.get(at..at + length).filter(|batch| batch.len() >= HEADER) else { break };
        batches.push(Batch { bytes: batch.to_vec() });
        at += length;
    }
    batches
}

/// Big-endian.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

impl Batch {
    fn attributes(&self) -> u64 {
        number(&self.bytes[21..23])
    }

    fn latest(&self) -> i64 {
        number(&self.bytes[35..43]).cast_signed()
    }

    /// Key and value of each record; they are not compressed.
    fn records(&self) -> Vec<(&[u8], &[u8])> {
        assert_eq!(self.attributes() & 7, 0, "compressed");
        let (count, mut rest) = (number(&self.bytes[57..61]), &self.bytes[HEADER..]);
        let record = |_| {
            let mut record = take_signed(&mut rest);
            record = &record[1..];
            signed(&mut record);
            signed(&mut record);
            let key = take_signed(&mut record);
            (key, take_signed(&mut record))
        };
        (0..count).map(record).collect()
    }
}

fn marker(batch: &Batch) -> Option<Marker> {
    let is_control = batch.attributes() & 0x20 != 0;
    let key = is_control.then(|| batch.records()).and_then(|records| Some(records.first()?.0.to_vec()))?;
    let producer = number(&batch.bytes[43..51]).cast_signed();
    Some(Marker { producer, is_commit: number(key.get(2..4)?) == 1, at: batch.latest() })
}

/// `TransactionLogKey` and `TransactionLogValue` of Apache Kafka.
fn states(batch: &Batch) -> Vec<State> {
    if batch.attributes() & 0x20 != 0 {
        return Vec::new();
    }
    batch.records().into_iter().filter_map(|(key, value)| state(key, value, batch.latest())).collect()
}

fn state(key: &[u8], value: &[u8], at: i64) -> Option<State> {
    // A tombstone ends an id that nobody used for a week.
    let is_flexible = number(value.get(..2)?) > 0;
    let id = String::from_utf8_lossy(&key[4..]).into_owned();
    let (producer, status, mut rest) = (number(&value[2..10]).cast_signed(), value[16], &value[17..]);
    let count = array(&mut rest, is_flexible);
    let mut partitions = Vec::new();
    for _ in 0..count {
        let length = if is_flexible { unsigned(&mut rest) - 1 } else { number(take(&mut rest, 2)) };
        let topic = String::from_utf8_lossy(take(&mut rest, length as usize)).into_owned();
        for _ in 0..array(&mut rest, is_flexible) {
            partitions.push(format!("{topic}-{}", number(take(&mut rest, 4))));
        }
        if is_flexible {
            assert_eq!(unsigned(&mut rest), 0, "a tag of a later version");
        }
    }
    Some(State { id, producer, status, partitions, at })
}

fn array(rest: &mut &[u8], is_flexible: bool) -> u64 {
    match is_flexible {
        true => unsigned(rest).saturating_sub(1),
        false => u64::from((number(take(rest, 4)) as u32).cast_signed().max(0).unsigned_abs()),
    }
}

fn take<'b>(rest: &mut &'b [u8], count: usize) -> &'b [u8] {
    let (taken, left) = rest.split_at(count);
    *rest = left;
    taken
}

fn take_signed<'b>(rest: &mut &'b [u8]) -> &'b [u8] {
    let length = signed(rest).max(0);
    take(rest, usize::try_from(length).expect("a length"))
}

fn unsigned(rest: &mut &[u8]) -> u64 {
    let (mut number, mut shift) = (0, 0);
    loop {
        let byte = take(rest, 1)[0];
        number |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte < 0x80 {
            return number;
        }
    }
}

fn signed(rest: &mut &[u8]) -> i64 {
    let number = unsigned(rest);
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(status: u8, partitions: &[&str], at: i64) -> State {
        let partitions = partitions.iter().map(|name| (*name).to_owned()).collect();
        State { id: "worker".into(), producer: 7, status, partitions, at }
    }

    fn unmarked(markers: &[(&str, Marker)]) -> usize {
        let states = [state(1, &["e-0"], 5), state(PREPARE_COMMIT, &["e-0", "o-1"], 10), state(4, &[], 20)];
        let mut found = Transactions::default();
        found.compare(&states, &mut |name| {
            markers.iter().filter(|(of, _)| *of == name).map(|(_, marker)| *marker).collect()
        });
        assert_eq!(found.completed, 1);
        found.unmarked.len()
    }

    #[test]
    fn a_complete_transaction_has_a_marker_of_its_outcome_in_each_partition() {
        let marker = |at| Marker { producer: 7, is_commit: true, at };
        assert_eq!(unmarked(&[("e-0", marker(12)), ("o-1", marker(20))]), 0);
        assert_eq!(unmarked(&[("e-0", marker(12))]), 1);
        assert_eq!(unmarked(&[("e-0", marker(12)), ("o-1", marker(21))]), 1, "it came with the next one");
        let aborted = Marker { is_commit: false, ..marker(12) };
        let strange = Marker { producer: 8, ..marker(12) };
        assert_eq!(unmarked(&[("e-0", aborted), ("o-1", strange)]), 2);
    }
}
