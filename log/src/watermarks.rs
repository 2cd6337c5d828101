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
pub struct Watermarks {
    /// The first offset that retention has left.
    pub earliest: NextOffset,
    /// One past the last record: up to the first open transaction ([`Isolation::Committed`]) or to the high watermark.
    pub end: NextOffset,
}

/// Asks the cluster for the ends of one partition; committed ends are what a `read_committed` reader can reach now.
///
/// # Errors
/// [`Error::Unreachable`] after [`ASK`], also where the partition does not exist.
pub fn of(
    connection: &Connection,
    topic: &str,
    partition: Partition,
    isolation: Isolation,
) -> Result<Watermarks, Error> {
    Asker::new(connection, isolation)?.ask(topic, partition)
}

/// [`of`] for the partitions 0 to `count`, over one connection.
///
/// # Errors
/// As [`of`].
pub fn all(connection: &Connection, topic: &str, count: u32, isolation: Isolation) -> Result<Vec<Watermarks>, Error> {
    let mut asker = Asker::new(connection, isolation)?;
    (0..count.cast_signed()).map(|p| asker.ask(topic, Partition(p))).collect()
}

struct Asker<'c> {
    connection: &'c Connection,
    isolation: Isolation,
    reader: ReaderClient,
}

impl<'c> Asker<'c> {
    fn new(connection: &'c Connection, isolation: Isolation) -> Result<Asker<'c>, Error> {
        Ok(Asker { connection, isolation, reader: connection.reader(isolation)? })
    }

    /// A partition whose topic was just made, or whose leader just moved, has none for a moment: it is asked for again, by
    /// a new client, since one that knew the old leader may go on asking it.
    fn ask(&mut self, topic: &str, partition: Partition) -> Result<Watermarks, Error> {
        let deadline = Instant::now() + ASK;
        loop {
            match self.reader.fetch_watermarks(topic, partition.0, ASK) {
                Ok((low, high)) => return Ok(Watermarks { earliest: NextOffset(low), end: NextOffset(high) }),
                Err(error) if is_passing(&error) && Instant::now() < deadline => {
                    self.reader.poll(PAUSE);
                    self.reader = self.connection.reader(self.isolation)?;
                }
                Err(error) => return Err(self.connection.unreachable("for the ends of a partition")(error)),
            }
        }
    }
}

fn is_passing(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    let passing = [
        Code::NotLeaderForPartition,
        Code::LeaderNotAvailable,
        Code::OffsetNotAvailable,
        Code::UnknownTopicOrPartition,
    ];
    error.rdkafka_error_code().is_some_and(|code| passing.contains(&code))
}
