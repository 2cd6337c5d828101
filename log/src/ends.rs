//! Where a partition begins and ends.

use std::time::{Duration, Instant};

use hooklog_schemas::{NextOffset, Partition};
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::connection::{ASK, Connection, Isolation, ReaderClient};
use crate::error::Error;

/// Between two questions to a cluster that refuses at once.
const PAUSE: Duration = Duration::from_millis(50);

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

/// A partition whose topic was just made, or whose leader just moved, has none for a moment: it is asked for again.
fn ask(connection: &Connection, reader: &ReaderClient, topic: &str, partition: Partition) -> Result<Ends, Error> {
    let deadline = Instant::now() + ASK;
    loop {
        match reader.fetch_watermarks(topic, partition.0, ASK) {
            Ok((low, high)) => return Ok(Ends { earliest: NextOffset(low), end: NextOffset(high) }),
            Err(error) if is_passing(&error) && Instant::now() < deadline => {
                reader.poll(PAUSE);
            }
            Err(error) => return Err(connection.unreachable("for the ends of a partition")(error)),
        }
    }
}

fn is_passing(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    let passing = [Code::NotLeaderForPartition, Code::LeaderNotAvailable, Code::UnknownTopicOrPartition];
    error.rdkafka_error_code().is_some_and(|code| passing.contains(&code))
}
