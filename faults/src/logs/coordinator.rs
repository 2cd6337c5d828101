//! The transaction coordinator's log, as `kafka.tools.DumpLogSegments --transaction-log-decoder` prints it: pure.

use anyhow::{Context, Result};
use serde::Serialize;

/// What the coordinator wrote of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
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
    /// Epoch ms.
    pub time: i64,
}

/// The states of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
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
    /// Another one.
    Other,
}

/// The entries of a dump, in their order. Lines about batches and files are passed over.
pub fn parse(dump: &str) -> Result<Vec<Entry>> {
    let lines = dump.lines().filter(|line| line.contains("transactionalId=") && !line.ends_with("payload: <DELETE>"));
    lines.map(|line| entry(line).with_context(|| format!("cannot read {line:?}"))).collect()
}

fn entry(line: &str) -> Result<Entry> {
    let (key, payload) = line.split_once(" payload: ").context("no payload")?;
    let (_, transactional_id) = key.split_once("transactionalId=").context("no transactional id")?;
    let (before, rest) = payload.split_once("partitions=[").context("no partitions")?;
    let (partitions, after) = rest.split_once(']').context("partitions without an end")?;
    Ok(Entry {
        transactional_id: transactional_id.to_owned(),
        producer: field(before, "producerId").and_then(|text| text.parse().ok()).context("no producer")?,
        epoch: field(before, "producerEpoch").and_then(|text| text.parse().ok()).context("no epoch")?,
        state: state(field(before, "state").context("no state")?),
        partitions: partitions.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect(),
        time: field(after, "txnLastUpdateTimestamp").and_then(|text| text.parse().ok()).context("no time")?,
    })
}

/// `name:value` or `name=value` among others, with commas between them.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.split(',').find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix([':', '=']))
}

fn state(name: &str) -> State {
    match name {
        "Empty" => State::Empty,
        "Ongoing" => State::Ongoing,
        "PrepareCommit" => State::PrepareCommit,
        "PrepareAbort" => State::PrepareAbort,
        "CompleteCommit" => State::CompleteCommit,
        "CompleteAbort" => State::CompleteAbort,
        _ => State::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DUMP: &str = "\
Dumping kafka/__transaction_state-3/00000000000000000000.log
Log starting offset: 0
baseOffset: 1 lastOffset: 1 count: 1 baseSequence: -1 lastSequence: -1 producerId: -1 producerEpoch: -1 partitionLeaderEpoch: 0 isTransactional: false isControl: false deleteHorizonMs: OptionalLong.empty position: 122 CreateTime: 1680383687954 size: 145 magic: 2 compresscodec: none crc: 3735151334 isvalid: true
| offset: 1 CreateTime: 1680383687954 keySize: 17 valueSize: 59 sequence: -1 headerKeys: [] key: transaction_metadata::transactionalId=a-b-0 payload: producerId:7,producerEpoch:2,state=Ongoing,partitions=[x.events-0,__consumer_offsets-3],txnLastUpdateTimestamp=1680383687952,txnTimeoutMs=60000
| offset: 2 CreateTime: 1680383687954 keySize: 17 valueSize: 59 sequence: -1 headerKeys: [] key: transaction_metadata::transactionalId=a-b-0 payload: producerId:7,producerEpoch:2,state=CompleteAbort,partitions=[],txnLastUpdateTimestamp=1680383687959,txnTimeoutMs=60000
| offset: 3 CreateTime: 1680383687954 keySize: 17 valueSize: -1 sequence: -1 headerKeys: [] key: transaction_metadata::transactionalId=a-b-0 payload: <DELETE>
";

    #[test]
    fn entries_are_read_from_a_dump_and_deletions_are_none() {
        let entries = parse(DUMP).unwrap();
        let first = Entry {
            transactional_id: "a-b-0".to_owned(),
            producer: 7,
            epoch: 2,
            state: State::Ongoing,
            partitions: vec!["x.events-0".to_owned(), "__consumer_offsets-3".to_owned()],
            time: 1_680_383_687_952,
        };
        let last = Entry { state: State::CompleteAbort, partitions: Vec::new(), time: first.time + 7, ..first.clone() };
        assert_eq!(entries, [first, last]);
    }

    #[test]
    fn an_entry_that_cannot_be_read_is_an_error_and_is_not_passed_over() {
        assert!(parse("key: transaction_metadata::transactionalId=a payload: producerId:x").is_err());
        assert!(parse("key: transaction_metadata::transactionalId=a").is_err());
    }
}
