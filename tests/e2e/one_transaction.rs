//! Outputs and offsets commit in one Kafka transaction (I1): read from the bytes that the broker has written, in `events`, in

//! the group's offsets and in the transaction coordinator's own log.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use hooklog_test_support::segments::{Cursor, Kind, ProducerId, batches, partitions};
use hooklog_test_support::{Record, Site};

const HOOKLOG: &str = env!("CARGO_BIN_EXE_hooklog");
const OFFSETS: &str = "__consumer_offsets";
const COORDINATOR: &str = "__transaction_state";
const SENT: [&str; 10] =
    ["--events", "600", "--customers", "40", "--seed", "3", "--duplicates", "0.2", "--concurrency", "4"];

/// Offsets that one transaction has committed: which records of each partition of `raw` they cover.
#[derive(Debug)]
struct Commit {
    producer: ProducerId,
    /// From the one before, up to this one.
    covers: BTreeMap<i32, (i64, i64)>,
}

/// What the group has committed, in order. Every batch with an offset of it must be part of a transaction.
fn commits(broker: &Path, group: &str) -> Vec<Commit> {
    let (mut done, mut all) = (BTreeMap::new(), Vec::new());
    for (_, partition) in partitions(broker, OFFSETS) {
        let mut open: BTreeMap<ProducerId, BTreeMap<i32, i64>> = BTreeMap::new();
        for batch in batches(&partition) {
            let offsets = || batch.records.iter().filter_map(|(key, value)| offset(key, value.as_deref(), group));
            match batch.kind {
                Kind::Plain => assert_eq!(offsets().next(), None, "offsets outside of a transaction: {batch:?}"),
                Kind::Records => open.entry(batch.producer).or_default().extend(offsets()),
                Kind::Abort => drop(open.remove(&batch.producer)),
                Kind::Commit => {
                    let Some(offsets) = open.remove(&batch.producer) else { continue };
                    let cover = |(p, next): (i32, i64)| (p, (done.insert(p, next).unwrap_or(0), next));
                    let covers = offsets.into_iter().map(cover).collect();
                    all.push(Commit { producer: batch.producer, covers });
                }
            }
        }
    }
    all
}

/// The partition and the offset, where the record is one of `group`.
fn offset(key: &[u8], value: Option<&[u8]>, group: &str) -> Option<(i32, i64)> {
    let (mut key, mut value) = (Cursor(key), Cursor(value?));
    // Version 2 is the group itself.
    if key.i16() > 1 || key.string() != group {
        return None;
    }
    key.string();
    value.take(2);
    Some((key.i32(), value.i64()))
}

/// The transactions that the coordinator has committed for ids that begin with `ids`, in order: who, and which topics'
/// partitions took part.
fn coordinated(broker: &Path, ids: &str) -> Vec<(ProducerId, BTreeSet<(String, i32)>)> {
    const PREPARE_COMMIT: i8 = 2;
    let logs: Vec<PathBuf> = partitions(broker, COORDINATOR).into_iter().map(|(_, path)| path).collect();
    let written = logs.iter().flat_map(|log| batches(log)).filter(|batch| batch.kind == Kind::Plain);
    let records = written.flat_map(|batch| batch.records);
    let read = |(key, value): (Vec<u8>, Option<Vec<u8>>)| {
        let (mut key, value) = (Cursor(&key), value?);
        key.take(2);
        let (producer, status, parts) = state(Cursor(&value));
        (key.string().starts_with(ids) && status == PREPARE_COMMIT).then_some((producer, parts))
    };
    records.filter_map(read).collect()
}

/// <https://github.com/apache/kafka/blob/4.3.1/transaction-coordinator/src/main/resources/common/message/TransactionLogValue.json>
fn state(mut value: Cursor<'_>) -> (ProducerId, i8, BTreeSet<(String, i32)>) {
    let is_flexible = value.i16() > 0;
    let producer = (value.i64(), value.i16());
    value.take(4);
    let status = value.i8();
    let mut parts = BTreeSet::new();
    for _ in 0..count(&mut value, is_flexible) {
        let topic = if is_flexible {
            let length = usize::try_from(value.uvarint() - 1).unwrap();
            String::from_utf8(value.take(length).0.to_vec()).unwrap()
        } else {
            value.string()
        };
        for _ in 0..count(&mut value, is_flexible) {
            parts.insert((topic.clone(), value.i32()));
        }
        if is_flexible {
            assert_eq!(value.uvarint(), 0, "tagged fields that this test does not know");
        }
    }
    (producer, status, parts)
}

/// How many there are; none where the list is null.
fn count(value: &mut Cursor<'_>, is_flexible: bool) -> u64 {
    if is_flexible { value.uvarint().saturating_sub(1) } else { u64::try_from(value.i32()).unwrap_or(0) }
}

/// The transactions of a partition of `events`: who, and the records of each, as offsets.
fn outputs(partition: &Path) -> Vec<(ProducerId, Vec<i64>)> {
    let mut open: BTreeMap<ProducerId, Vec<i64>> = BTreeMap::new();
    let mut all = Vec::new();
    for batch in batches(partition) {
        match batch.kind {
            Kind::Plain => panic!("outputs outside of a transaction: {batch:?}"),
            Kind::Records => open.entry(batch.producer).or_default().extend(batch.base..=batch.last),
            Kind::Abort => drop(open.remove(&batch.producer)),
            Kind::Commit => all.extend(open.remove(&batch.producer).map(|offsets| (batch.producer, offsets))),
        }
    }
    all
}

/// Which record of `raw` an event is of.
fn source(event: &Record) -> (i32, i64) {
    let position = event.header("hooklog_position").unwrap();
    let mut words = position.strip_prefix("raw/").unwrap().split('/');
    (words.next().unwrap().parse().unwrap(), words.next().unwrap().parse().unwrap())
}

#[test]
fn every_output_and_the_offset_behind_its_input_are_of_one_transaction() {
    let site = Site::alone(HOOKLOG);
    let up = site.up();
    site.send(&SENT);
    let (_, events) = site.processed(up.brokers());
    assert!(up.program.stop().success());
    let (broker, topic, group) = (site.data_dir().join("broker/kafka"), site.topics().events(), site.group());

    let commits = commits(&broker, &group);
    let covering = |(partition, offset): (i32, i64)| {
        let covers =
            |commit: &Commit| commit.covers.get(&partition).is_some_and(|(from, to)| (*from..*to).contains(&offset));
        let mut found = (0..commits.len()).filter(|n| covers(&commits[*n]));
        let first = found.next().unwrap_or_else(|| panic!("no commit covers raw/{partition}/{offset}"));
        assert_eq!(found.next(), None, "two commits cover raw/{partition}/{offset}");
        first
    };
    // By the commit that covers their inputs: the partitions of `events` that hold its outputs.
    let mut touched: Vec<BTreeSet<(String, i32)>> = commits.iter().map(|_| BTreeSet::new()).collect();
    for (partition, path) in partitions(&broker, &topic) {
        let at: BTreeMap<i64, &Record> =
            events.iter().filter(|event| event.partition == partition).map(|event| (event.offset, event)).collect();
        for (producer, offsets) in outputs(&path) {
            let of: BTreeSet<usize> = offsets.iter().map(|offset| covering(source(at[offset]))).collect();
            assert_eq!(of.len(), 1, "outputs of one transaction whose inputs several commits cover: {offsets:?}");
            let n = *of.first().unwrap();
            assert_eq!(producer, commits[n].producer, "{:?}", commits[n]);
            assert!(
                touched[n].insert((topic.clone(), partition)),
                "two transactions have the outputs of {:?}",
                commits[n]
            );
        }
    }

    let coordinated = coordinated(&broker, &group);
    let producers: BTreeSet<ProducerId> = commits.iter().map(|commit| commit.producer).collect();
    for producer in producers {
        let of_it = coordinated.iter().filter(|(who, _)| *who == producer).map(|(_, parts)| parts);
        let mut outputs = Vec::new();
        for parts in of_it {
            let (offsets, of_events): (BTreeSet<_>, BTreeSet<_>) =
                parts.iter().cloned().partition(|(t, _)| t == OFFSETS);
            assert_eq!(offsets.len(), 1, "a transaction that was committed without offsets: {parts:?}");
            outputs.push(of_events);
        }
        let expected: Vec<_> =
            (0..commits.len()).filter(|n| commits[*n].producer == producer).map(|n| &touched[n]).collect();
        assert_eq!(outputs.iter().collect::<Vec<_>>(), expected, "{producer:?}");
    }
    let with_outputs = touched.iter().filter(|touched| !touched.is_empty()).count();
    assert!(with_outputs > 5, "too few transactions to show anything: {commits:?}");
}
