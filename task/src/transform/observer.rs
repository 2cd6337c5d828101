//! A thread that asks the cluster how far outputs and offsets are decided, so that no worker has to wait for the answers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hooklog_log::connection::{Isolation, ReaderClient};
use hooklog_log::hanging::nobody;
use hooklog_schemas::{NextOffset, Partition};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaResult;
use rdkafka::{Offset, TopicPartitionList};
use tokio_util::sync::CancellationToken;

use super::Config;
use crate::error::Error;
use crate::verification::Snapshot;

/// Between two rounds of questions.
const ROUND: Duration = Duration::from_millis(500);
const BLINK: Duration = Duration::from_millis(50);
/// How long one question may take.
const ASK: Duration = Duration::from_secs(5);
/// How long offsets that a transaction holds are waited for.
const OFFSETS: Duration = Duration::from_secs(2);

/// What the thread and the workers share.
#[derive(Clone, Default)]
pub(super) struct Observed(Arc<Shared>);

#[derive(Default)]
struct Shared {
    latest: Mutex<Option<Arc<Snapshot>>>,
    is_wanted: AtomicBool,
}

impl Observed {
    /// Somebody waits for a snapshot that is newer than the latest one.
    pub(super) fn want(&self) {
        self.0.is_wanted.store(true, Ordering::Relaxed);
    }

    /// The latest snapshot, if it was asked for after `known`.
    pub(super) fn newer_than(&self, known: Option<Instant>) -> Option<Arc<Snapshot>> {
        let latest = self.0.latest.lock().unwrap_or_else(PoisonError::into_inner).clone();
        latest.filter(|snapshot| known.is_none_or(|known| snapshot.asked > known))
    }

    /// Starts the thread. It ends with `stop`.
    pub(super) fn start(&self, config: Arc<Config>, stop: CancellationToken) -> Result<JoinHandle<()>, Error> {
        let (shared, name) = (self.clone(), format!("{}-observer", config.group));
        let watch = move || {
            // On a panic, too: without it nothing is ever verified.
            let _ends_the_workers = stop.clone().drop_guard();
            let mut clients = None;
            while !stop.is_cancelled() {
                let next = Instant::now() + ROUND;
                if shared.0.is_wanted.swap(false, Ordering::Relaxed) {
                    shared.round(&config, &mut clients);
                }
                while !stop.is_cancelled() && Instant::now() < next {
                    std::thread::sleep(BLINK);
                }
            }
        };
        std::thread::Builder::new().name(name).spawn(watch).map_err(Error::Thread)
    }

    fn round(&self, config: &Config, clients: &mut Option<Clients>) {
        let asked = match clients.take().map_or_else(|| Clients::new(config), Ok) {
            Ok(ready) => ready.ask(config).map(|snapshot| (snapshot, ready)).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match asked {
            Ok((snapshot, ready)) => {
                *self.0.latest.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(snapshot));
                *clients = Some(ready);
            }
            // New clients ask again: these may go on asking a broker that is gone.
            Err(error) => {
                tracing::debug!(error, "the ends of the outputs are not known now");
                self.want();
            }
        }
    }
}

struct Clients {
    written: ReaderClient,
    /// Reads committed records and stable offsets.
    committed: BaseConsumer,
}

impl Clients {
    fn new(config: &Config) -> Result<Clients, Error> {
        let written = config.connection.reader(Isolation::Uncommitted)?;
        Ok(Clients { written, committed: nobody(&config.connection, &config.group)? })
    }

    fn ask(&self, config: &Config) -> KafkaResult<Snapshot> {
        let asked = Instant::now();
        let written = ends(&self.written, config)?;
        let stable = ends(&self.committed, config)?;
        let mut inputs = TopicPartitionList::new();
        for partition in 0..config.input.partitions.cast_signed() {
            inputs.add_partition(&config.input.name, partition);
        }
        // A transaction that hangs holds them back for ever: the ends alone tell then that it does.
        let answer = self.committed.committed_offsets(inputs, OFFSETS).unwrap_or_default();
        let offset = |element: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>| match element.offset() {
            Offset::Offset(next) if element.error().is_ok() => Some((Partition(element.partition()), NextOffset(next))),
            _ => None,
        };
        let committed = answer.elements().iter().filter_map(offset).collect();
        Ok(Snapshot { asked, ends: written, stable, committed })
    }
}

fn ends<C: ConsumerContext>(client: &BaseConsumer<C>, config: &Config) -> KafkaResult<Vec<NextOffset>> {
    let end = |partition| Ok(NextOffset(client.fetch_watermarks(&config.output.name, partition, ASK)?.1));
    (0..config.output.partitions.cast_signed()).map(end).collect()
}
