//! Partition counts, pinned in `control`: a key's partition must not move when somebody adds partitions.

use std::collections::BTreeMap;
use std::time::Duration;

use hooklog_schemas::Partition;
use rdkafka::message::Message;
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::util::Timeout;

use crate::connection::{ASK, Connection, Isolation};
use crate::ends;
use crate::error::Error;
use crate::reader::{Reader, Span};
use crate::topics::Topics;

const CONTROL: Partition = Partition(0);

/// The pinned count of every topic of `counted` (its name and the partitions that it has). What is not pinned yet is
/// pinned now; where two instances do so at once, the first record counts for both.
pub(super) async fn agree(
    connection: &Connection,
    topics: &Topics,
    counted: &BTreeMap<String, u32>,
) -> Result<BTreeMap<String, u32>, Error> {
    let mut pinned = read(connection, topics)?;
    let missing: Vec<_> = counted.iter().filter(|(name, _)| !pinned.contains_key(*name)).collect();
    if !missing.is_empty() {
        write(connection, topics, &missing).await?;
        pinned = read(connection, topics)?;
    }
    Ok(pinned)
}

fn key(topics: &Topics, name: &str) -> String {
    format!("pinned/{}", name.strip_prefix(topics.prefix()).unwrap_or(name))
}

fn read(connection: &Connection, topics: &Topics) -> Result<BTreeMap<String, u32>, Error> {
    let ends = ends::of(connection, &topics.control(), CONTROL, Isolation::Committed)?;
    let span = Span { topic: topics.control(), partition: CONTROL, from: ends.earliest, to: ends.end };
    let mut reader = Reader::open(connection, Isolation::Committed, span)?;
    let mut pinned = BTreeMap::new();
    while let Some(record) = reader.next()? {
        let name = record.key().and_then(|key| std::str::from_utf8(key).ok()?.strip_prefix("pinned/"));
        let count = record.payload().and_then(|value| std::str::from_utf8(value).ok()?.parse().ok());
        if let (Some(name), Some(count)) = (name, count) {
            pinned.entry(format!("{}{name}", topics.prefix())).or_insert(count);
        }
    }
    Ok(pinned)
}

async fn write(connection: &Connection, topics: &Topics, counts: &[(&String, &u32)]) -> Result<(), Error> {
    let mut config = connection.client();
    config.set("enable.idempotence", "true").set("message.timeout.ms", ASK.as_millis().to_string());
    let producer: FutureProducer = config.create().map_err(Error::Client)?;
    for (name, count) in counts {
        let (key, value, control) = (key(topics, name), count.to_string(), topics.control());
        let record = FutureRecord::to(&control).partition(CONTROL.0).key(&key).payload(&value);
        let sent = producer.send(record, Timeout::After(Duration::from_secs(1))).await;
        sent.map_err(|(error, _)| connection.unreachable("to pin a partition count")(error))?;
    }
    Ok(())
}
