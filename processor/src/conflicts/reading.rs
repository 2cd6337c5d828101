//! Reads single records of `raw`, here and there.

use std::time::{Duration, Instant};

use hooklog_log::connection::{AtEnds, Isolation};
use hooklog_log::{Connection, SimpleConsumer};
use hooklog_schemas::RawPosition;
use rdkafka::message::Message;
use rdkafka::{Offset as At, TopicPartitionList};
use tokio_util::sync::CancellationToken;

/// How long one record may take; a broker that is away is waited for so long and no longer.
const PATIENCE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(100);

type Client = SimpleConsumer<AtEnds>;

/// One client for all of them, made when the first one is asked for.
pub(super) struct Bodies {
    connection: Connection,
    raw: String,
    client: Option<Client>,
}

impl Bodies {
    pub(super) fn of(connection: &Connection, raw: &str) -> Bodies {
        Bodies { connection: connection.clone(), raw: raw.to_owned(), client: None }
    }

    /// The body at `place`; nothing where it is gone or cannot be read.
    pub(super) fn read(&mut self, place: RawPosition, stop: &CancellationToken) -> Option<Vec<u8>> {
        let client =
            self.at(place).inspect_err(|error| tracing::debug!(%error, %place, "a body cannot be read")).ok()?;
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline && !stop.is_cancelled() {
            match client.poll(POLL) {
                Some(Ok(record)) if record.offset() == place.offset.0 => {
                    return Some(record.payload().unwrap_or_default().to_vec());
                }
                // The log begins later, or the record was never there.
                Some(Ok(_)) => return None,
                Some(Err(error)) => tracing::debug!(%error, %place, "a body cannot be read yet"),
                None => {}
            }
        }
        None
    }

    /// Fetches nothing while there is nothing to compare.
    pub(super) fn rest(&mut self) {
        self.client.iter().for_each(SimpleConsumer::unassign);
    }

    fn at(&mut self, place: RawPosition) -> Result<&Client, hooklog_log::Error> {
        let client = match self.client.take() {
            Some(client) => client,
            None => self.new_client()?,
        };
        let mut assigned = TopicPartitionList::with_capacity(1);
        assigned
            .add_partition_offset(&self.raw, place.partition.0, At::Offset(place.offset.0))
            .and_then(|()| client.assign(&assigned))
            .map_err(hooklog_log::Error::Client)?;
        Ok(self.client.insert(client))
    }

    fn new_client(&self) -> Result<Client, hooklog_log::Error> {
        let mut config = self.connection.reader_config(Isolation::Uncommitted);
        // One record is wanted, not what lies behind it.
        config.set("fetch.message.max.bytes", "65536");
        config.set("queued.min.messages", "1").set("queued.max.messages.kbytes", "1024");
        SimpleConsumer::of(&config, AtEnds).map_err(hooklog_log::Error::Client)
    }
}
