//! Where a partition begins and ends.

use hooklog_schemas::{NextOffset, Partition};
use rdkafka::consumer::Consumer;

use crate::connection::{ASK, Connection, Isolation, ReaderClient};
use crate::error::Error;

/// The first offset that is still there, and one past the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// The first offset that retention has left.
    pub earliest: NextOffset,
    /// One past the last record: up to the first open transaction ([`Isolation::Committed`]) or to the high watermark.
    pub end: NextOffset,
}

/// Asks the cluster for the ends of one partition; committed ends are what a `read_committed` reader can reach now.
///
/// # Errors
/// [`Error::Unreachable`] after [`ASK`], also where the partition does not exist.
pub fn of(connection: &Connection, topic: &str, partition: Partition, isolation: Isolation) -> Result<Ends, Error> {
    ask(connection, &connection.reader(isolation)?, topic, partition)
}

/// [`of`] for the partitions 0 to `count`, over one connection.
///
/// # Errors
/// As [`of`].
pub fn all(connection: &Connection, topic: &str, count: u32, isolation: Isolation) -> Result<Vec<Ends>, Error> {
    let reader = connection.reader(isolation)?;
    (0..count.cast_signed()).map(|p| ask(connection, &reader, topic, Partition(p))).collect()
}

fn ask(connection: &Connection, reader: &ReaderClient, topic: &str, partition: Partition) -> Result<Ends, Error> {
    let (low, high) = reader
        .fetch_watermarks(topic, partition.0, ASK)
        .map_err(connection.unreachable("for the ends of a partition"))?;
    Ok(Ends { earliest: NextOffset(low), end: NextOffset(high) })
}
