//! Outputs and offsets commit in one Kafka transaction (I1): read from the bytes that the broker has written, in `events`, in

//! the group's offsets and in the transaction coordinator's own log.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::Result;
use hooklog_faults::logs::{Entry, Fields, KeyValue, Kind, Logs, State, Whole, partitions, segments, split};
use hooklog_test_support::{Record, Site};

const HOOKLOG: &str = env!("CARGO_BIN_EXE_hooklog");
const OFFSETS: &str = "__consumer_offsets";
const SENT: [&str; 10] =
    ["--events", "600", "--customers", "40", "--seed", "3", "--duplicates", "0.2", "--concurrency", "4"];

/// A producer's id and epoch.
type ProducerId = (i64, i16);

/// Offsets that one transaction has committed: which records of each partition of `raw` they cover.
#[derive(Debug)]
struct Commit {
    producer: ProducerId,
    /// From the one before, up to this one.
    covers: BTreeMap<i32, (i64, i64)>,
}

/// Every segment of a partition, in order.
fn written(partition: &Path) -> Vec<Vec<u8>> {
    segments(partition).unwrap().iter().map(|segment| std::fs::read(segment).unwrap()).collect()
}

fn batches(segments: &[Vec<u8>]) -> impl Iterator<Item = Whole<'_>> {
    segments.iter().flat_map(|segment| split(segment).unwrap())
}

fn producer(batch: &Whole<'_>) -> ProducerId {
    (batch.batch.producer, batch.batch.epoch)
}

/// What the group has committed, in order. Every batch with an offset of it must be part of a transaction.
fn commits(broker: &Path, group: &str) -> Vec<Commit> {
    let (mut done, mut all) = (BTreeMap::new(), Vec::new());
    for (_, partition) in partitions(broker, OFFSETS).unwrap() {
        let mut open: BTreeMap<ProducerId, BTreeMap<i32, i64>> = BTreeMap::new();
        for batch in batches(&written(&partition)) {
            let offsets = || batch.records().unwrap().into_iter().filter_map(|record| offset(record, group).unwrap());
            match batch.batch.kind {
                Kind::Plain => assert_eq!(offsets().next(), None, "offsets outside of a transaction: {batch:?}"),
                Kind::Transactional => open.entry(producer(&batch)).or_default().extend(offsets()),
                Kind::Abort => drop(open.remove(&producer(&batch))),
                Kind::Commit => {
                    let Some(offsets) = open.remove(&producer(&batch)) else { continue };
                    let cover = |(p, next): (i32, i64)| (p, (done.insert(p, next).unwrap_or(0), next));
                    let covers = offsets.into_iter().map(cover).collect();
                    all.push(Commit { producer: producer(&batch), covers });
                }
                Kind::Control => panic!("a control batch of another kind: {batch:?}"),
            }
        }
    }
    all
}

/// The partition and the offset, where the record is one of `group`.
/// <https://github.com/apache/kafka/blob/4.3.1/group-coordinator/src/main/resources/common/message/OffsetCommitKey.json>
fn offset((key, value): KeyValue<'_>, group: &str) -> Result<Option<(i32, i64)>> {
    let (Some(key), Some(value)) = (key, value) else { return Ok(None) };
    let (mut key, mut value) = (Fields(key), Fields(value));
    // Version 2 is the group itself.
    if key.i16()? > 1 || key.string()? != group {
        return Ok(None);
    }
    key.string()?; // the topic
    value.skip(2)?; // the version
    Ok(Some((key.i32()?, value.i64()?)))
}

/// The transactions that the coordinator has committed for ids that begin with `ids`, in order: who, and which partitions
/// took part.
fn coordinated(entries: &[Entry], ids: &str) -> Vec<(ProducerId, BTreeSet<String>)> {
    let is_committed = |entry: &&Entry| entry.transactional_id.starts_with(ids) && entry.state == State::PrepareCommit;
    let of = |entry: &Entry| ((entry.producer, entry.epoch), entry.partitions.iter().cloned().collect());
    entries.iter().filter(is_committed).map(of).collect()
}

/// The transactions of a partition of `events`: who, and the records of each, as offsets.
fn outputs(partition: &Path) -> Vec<(ProducerId, Vec<i64>)> {
    let mut open: BTreeMap<ProducerId, Vec<i64>> = BTreeMap::new();
    let mut all = Vec::new();
    for batch in batches(&written(partition)) {
        let producer = producer(&batch);
        match batch.batch.kind {
            Kind::Plain | Kind::Control => panic!("outputs outside of a transaction: {batch:?}"),
            Kind::Transactional => open.entry(producer).or_default().extend(batch.batch.offset..=batch.last),
            Kind::Abort => drop(open.remove(&producer)),
            Kind::Commit => all.extend(open.remove(&producer).map(|offsets| (producer, offsets))),
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
    let mut touched: Vec<BTreeSet<String>> = commits.iter().map(|_| BTreeSet::new()).collect();
    for (partition, path) in partitions(&broker, &topic).unwrap() {
        let at: BTreeMap<i64, &Record> =
            events.iter().filter(|event| event.partition == partition).map(|event| (event.offset, event)).collect();
        for (producer, offsets) in outputs(&path) {
            let of: BTreeSet<usize> = offsets.iter().map(|offset| covering(source(at[offset]))).collect();
            assert_eq!(of.len(), 1, "outputs of one transaction whose inputs several commits cover: {offsets:?}");
            let n = *of.first().unwrap();
            assert_eq!(producer, commits[n].producer, "{:?}", commits[n]);
            assert!(
                touched[n].insert(format!("{topic}-{partition}")),
                "two transactions have the outputs of {:?}",
                commits[n]
            );
        }
    }

    let coordinated = coordinated(&Logs::read(&site.data_dir()).unwrap().entries, &group);
    let producers: BTreeSet<ProducerId> = commits.iter().map(|commit| commit.producer).collect();
    for producer in producers {
        let of_it = coordinated.iter().filter(|(who, _)| *who == producer).map(|(_, parts)| parts);
        let mut outputs = Vec::new();
        for parts in of_it {
            let (offsets, of_events): (BTreeSet<_>, BTreeSet<_>) =
                parts.iter().cloned().partition(|name| name.starts_with(OFFSETS));
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
