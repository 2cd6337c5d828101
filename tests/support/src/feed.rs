//! Load without HTTP: records of `raw` as ingest writes them, one after the other until told to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use hooklog_log::partition_for;
use hooklog_schemas::header;
use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};

/// Longer than any broker of a test is away.
const ANSWER: Duration = Duration::from_secs(60);
/// Records between two waits for acknowledgements, which are what paces it.
const AT_ONCE: usize = 50;
/// Of a paced one, between two rounds: some hundred events a second for each partition.
const PAUSE: Duration = Duration::from_millis(40);
/// Every so many records, one that was there before comes again.
const REPEATED: usize = 5;

/// A thread that writes. Ended with the test, however that ends.
#[derive(Debug)]
pub struct Feed {
    stop: Arc<AtomicBool>,
    acked: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

impl Feed {
    /// Writes events called `evt_<name>_<n>` to the first `partitions` partitions of `raw`, as fast as they are acknowledged: at
    /// any moment a processor has a transaction open.
    pub fn start(brokers: &str, raw: &str, partitions: u32, name: &str) -> Self {
        Self::with_pauses(Duration::ZERO, brokers, raw, partitions, name)
    }

    /// The same at a rate that leaves the processors to other tests: for whoever needs many transactions, and none open at a
    /// certain moment.
    pub fn paced(brokers: &str, raw: &str, partitions: u32, name: &str) -> Self {
        Self::with_pauses(PAUSE, brokers, raw, partitions, name)
    }

    fn with_pauses(pause: Duration, brokers: &str, raw: &str, partitions: u32, name: &str) -> Self {
        let (stop, acked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let writer = Writer::new(brokers, raw, partitions, name);
        let (stopped, count) = (Arc::clone(&stop), Arc::clone(&acked));
        let thread = thread::spawn(move || {
            let mut next = 0;
            while !stopped.load(Ordering::Relaxed) {
                next = writer.write(next);
                count.store(next, Ordering::Relaxed);
                thread::sleep(pause);
            }
        });
        Self { stop, acked, thread: Some(thread) }
    }

    /// How many different events are acknowledged by now.
    pub fn events(&self) -> usize {
        self.acked.load(Ordering::Relaxed)
    }

    /// Ends it, and says how many different events there were.
    ///
    /// # Panics
    /// A record was not acknowledged.
    #[track_caller]
    pub fn stop(mut self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().expect("it is stopped once").join().expect("every record was acknowledged");
        self.events()
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Writer {
    producer: ThreadedProducer<DefaultProducerContext>,
    raw: String,
    partitions: u32,
    name: String,
}

impl Writer {
    fn new(brokers: &str, raw: &str, partitions: u32, name: &str) -> Self {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", brokers).set("enable.idempotence", "true");
        let producer = config.create().expect("a producer");
        Self { producer, raw: raw.to_owned(), partitions, name: name.to_owned() }
    }

    /// Writes some events from number `next` on, some of them again, and waits until they are acknowledged.
    fn write(&self, next: usize) -> usize {
        for n in next..next + AT_ONCE {
            self.send(n);
            if n % REPEATED == 0 {
                self.send(n / 2);
            }
        }
        self.producer.flush(ANSWER).expect("the broker acknowledges");
        next + AT_ONCE
    }

    fn send(&self, n: usize) {
        let id = format!("evt_{}_{n}", self.name);
        let body = format!(
            r#"{{"id":"{id}","object":"event","type":"customer.updated","created":1767225600,"livemode":true,"data":{{"object":{{"object":"customer","id":"cus_{}"}}}}}}"#,
            n % 50
        );
        let headers = [
            (header::NAMESPACE, "stripe"),
            (header::SOURCE, "stripe"),
            (header::RECEIVED_AT, "1767225600000"),
            (header::SIGNATURE_TIME, "1767225600"),
            (header::ENCRYPTION, header::ENCRYPTION_NONE),
        ];
        let headers = headers
            .iter()
            .fold(OwnedHeaders::new(), |all, (key, value)| all.insert(Header { key, value: Some(*value) }));
        let partition = partition_for(id.as_bytes(), self.partitions).0;
        let record = BaseRecord::to(&self.raw).partition(partition).key(&id).payload(&body).headers(headers);
        self.producer.send(record).map_err(|(error, _)| error).expect("the queue has room");
    }
}
