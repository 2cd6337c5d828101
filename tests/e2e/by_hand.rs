//! A log that a test writes by hand, damage and all: `raw`, `events`, the group's offsets, against the real broker.

use std::process::{Command, Output};
use std::time::Duration;

use hooklog_log::committed::{self, Committed};
use hooklog_log::connection::Isolation;
use hooklog_log::reader::{OffsetRange, Reader};
use hooklog_log::{Connection, Topics, native, partition_for, watermarks};
use hooklog_processor::Dedup;
use hooklog_schemas::ids::Span;
use hooklog_schemas::{Millis, NextOffset, Offset, Partition, Stamp, header};
use hooklog_task::Input;
use hooklog_test_support::{Broker, truncate, unique_prefix, wait_until};
use rdkafka::admin::{AdminOptions, NewTopic, TopicReplication};
use rdkafka::message::{Header, OwnedHeaders, OwnedMessage};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use serde_json::Value;
use tempfile::TempDir;

pub(crate) const HOOKLOG: &str = env!("CARGO_BIN_EXE_hooklog");
pub(crate) const PARTITIONS: u32 = 2;
pub(crate) const ANSWER: Duration = Duration::from_secs(30);
pub(crate) const DAY: i64 = 86_400_000;
/// When the first record of each test came.
pub(crate) const T: i64 = 1_767_225_600_000;

/// Topics of its own on the broker that all tests share. `raw` takes the times that it is given, so that 35 days can pass.
pub(crate) struct World {
    pub(crate) connection: Connection,
    pub(crate) topics: Topics,
    pub(crate) log: String,
    pub(crate) data_dir: TempDir,
}

/// An event that is to be written, with what a test may spoil.
pub(crate) struct Event {
    pub(crate) partition: i32,
    pub(crate) key: String,
    pub(crate) value: Vec<u8>,
    pub(crate) time: i64,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
}

impl Event {
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        let header = self.headers.iter_mut().find(|(header, _)| header == name).expect("a header of the contract");
        header.1 = value.as_bytes().to_vec();
    }
}

pub(crate) type Untouched = fn(&mut Event);
pub(crate) const AS_IT_IS: Untouched = |_| {};

impl World {
    pub(crate) fn new() -> World {
        let connection = Connection::to(Broker::shared(HOOKLOG).address());
        let topics = Topics::with_prefix(unique_prefix());
        create(&connection, &topics);
        let admin = connection.admin().unwrap();
        let log = wait_until("raw has an id", || {
            native::topic_ids(admin.inner(), &[&topics.raw()], ANSWER).unwrap().remove(0).map(|id| id.0)
        });
        let world = World { connection, topics, log, data_dir: TempDir::new().unwrap() };
        for word in ["raw", "events"] {
            let (key, count) = (format!("pinned/{word}"), PARTITIONS.to_string());
            world.write(&world.plain(), &world.topics.control(), 0, &key, count.as_bytes(), T, &[]);
        }
        world
    }

    pub(crate) fn plain(&self) -> ThreadedProducer<DefaultProducerContext> {
        self.connection.client().set("enable.idempotence", "true").create().unwrap()
    }

    pub(crate) fn transactional(&self) -> ThreadedProducer<DefaultProducerContext> {
        let id = self.topics.group("by-hand");
        let mut config = self.connection.client();
        config.set("transactional.id", id).set("transaction.timeout.ms", "600000");
        let producer: ThreadedProducer<_> = config.create().unwrap();
        producer.init_transactions(ANSWER).unwrap();
        producer
    }

    #[expect(clippy::too_many_arguments, reason = "a record has that many parts")]
    pub(crate) fn write(
        &self,
        producer: &ThreadedProducer<DefaultProducerContext>,
        topic: &str,
        partition: i32,
        key: &str,
        value: &[u8],
        time: i64,
        headers: &[(String, Vec<u8>)],
    ) {
        let headers = headers
            .iter()
            .fold(OwnedHeaders::new(), |all, (key, value)| all.insert(Header { key, value: Some(value) }));
        let record =
            BaseRecord::to(topic).partition(partition).key(key).payload(value).timestamp(time).headers(headers);
        producer.send(record).map_err(|(error, _)| error).unwrap();
        producer.flush(ANSWER).unwrap();
    }

    /// One webhook at `time`, as ingest writes it; returns where it stands.
    pub(crate) fn webhook(&self, id: &str, time: i64) -> (Partition, Offset) {
        let body = format!(
            r#"{{"id":"{id}","type":"customer.updated","created":1767225600,"livemode":true,"data":{{"object":{{"object":"customer","id":"cus_{id}"}}}}}}"#
        );
        let partition = partition_for(id.as_bytes(), PARTITIONS);
        let headers = [
            (header::NAMESPACE, "stripe"),
            (header::SOURCE, "shop"),
            (header::RECEIVED_AT, "1767225600000"),
            (header::SIGNATURE_TIME, "1767225600"),
            (header::ENCRYPTION, header::ENCRYPTION_NONE),
        ];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()));
        self.write(&self.plain(), &self.topics.raw(), partition.0, id, body.as_bytes(), time, &headers);
        let end = watermarks::of(&self.connection, &self.topics.raw(), partition, Isolation::Uncommitted).unwrap().end;
        (partition, Offset(end.0 - 1))
    }

    /// Takes the records of a partition of `raw` before this one away, as retention does.
    pub(crate) fn expire_before(&self, (partition, offset): (Partition, Offset)) {
        self.delete_before(&self.topics.raw(), partition.0, offset.0);
    }

    pub(crate) fn delete_before(&self, topic: &str, partition: i32, offset: i64) {
        truncate::delete_before(&self.connection.brokers, topic, &[(partition, offset)].into());
    }

    /// What instances tell each other.
    pub(crate) fn control(&self, key: &str, value: &str) {
        self.write(&self.plain(), &self.topics.control(), 0, key, value.as_bytes(), T, &[]);
    }

    /// What the processor would emit for the record at `place`.
    pub(crate) fn event_of(&self, (partition, offset): (Partition, Offset)) -> Event {
        let (from, to) = (NextOffset(offset.0), offset.next());
        let span = OffsetRange { topic: self.topics.raw(), partition, from, to };
        let mut reader = Reader::open(&self.connection, Isolation::Uncommitted, span).unwrap();
        let record: OwnedMessage = reader.next().unwrap().expect("it was written").detach();
        let fold = Dedup { window: Span::days(35), partitions: PARTITIONS, log: self.log.clone() };
        let input = Input::read(&record, Millis::MIN);
        let out = fold.outgoing(&input);
        let headers = out.headers.iter().map(|(name, value)| ((*name).to_owned(), value.to_vec())).collect();
        Event { partition: out.partition.0, key: out.key, value: out.value.to_vec(), time: out.time.0, headers }
    }

    /// Emits the event of `place` in a transaction of its own, spoilt by `spoil`.
    pub(crate) fn emit(&self, place: (Partition, Offset), spoil: impl FnOnce(&mut Event)) {
        let producer = self.transactional();
        self.emit_within(&producer, place, spoil);
        producer.commit_transaction(ANSWER).unwrap();
    }

    pub(crate) fn emit_within(
        &self,
        producer: &ThreadedProducer<DefaultProducerContext>,
        place: (Partition, Offset),
        spoil: impl FnOnce(&mut Event),
    ) {
        let mut event = self.event_of(place);
        spoil(&mut event);
        producer.begin_transaction().unwrap();
        let Event { partition, key, value, time, headers } = &event;
        self.write(producer, &self.topics.events(), *partition, key, value, *time, headers);
    }

    pub(crate) fn ends(&self) -> Vec<i64> {
        let ends = watermarks::all(&self.connection, &self.topics.raw(), PARTITIONS, Isolation::Uncommitted).unwrap();
        ends.iter().map(|ends| ends.end.0).collect()
    }

    pub(crate) fn group(&self) -> String {
        self.topics.group(hooklog_processor::service::NAME)
    }

    /// Commits these offsets for the processor's group, with its stamp.
    pub(crate) fn commit(&self, next: &[i64]) {
        self.commit_with(next, &Stamp { log: self.log.clone(), fold: 2 }.to_string());
    }

    pub(crate) fn commit_with(&self, next: &[i64], metadata: &str) {
        let offset = |(partition, next): (i32, &i64)| Committed {
            partition: Partition(partition),
            next: NextOffset(*next),
            metadata: metadata.to_owned(),
        };
        let offsets: Vec<Committed> = (0..).zip(next).map(offset).collect();
        // The first to ask a broker for a group's coordinator makes it create the topic of the offsets.
        wait_until("the group's coordinator is there", || {
            committed::overwrite(&self.connection, &self.group(), &self.topics.raw(), &offsets).ok()
        });
    }

    pub(crate) fn committed(&self) -> Vec<(i64, String)> {
        let partitions = [Partition(0), Partition(1)];
        let all = committed::stable(&self.connection, &self.group(), &self.topics.raw(), &partitions, ANSWER).unwrap();
        all.into_iter().map(|committed| (committed.next.0, committed.metadata)).collect()
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(HOOKLOG);
        command.args(arguments).args(self.place()).env("HOOKLOG_REPLICATION", "1").output().unwrap()
    }

    /// Where it is, as flags.
    pub(crate) fn place(&self) -> [&str; 6] {
        let data_dir = self.data_dir.path().to_str().unwrap();
        ["--brokers", &self.connection.brokers, "--prefix", self.topics.prefix(), "--data-dir", data_dir]
    }

    /// The exit code and the one line of JSON.
    pub(crate) fn json(&self, arguments: &[&str]) -> (Option<i32>, Value) {
        let output = self.run(&[arguments, &["--json"]].concat());
        let line = String::from_utf8(output.stdout).unwrap();
        let parsed = serde_json::from_str(&line);
        let errors = String::from_utf8_lossy(&output.stderr);
        (output.status.code(), parsed.unwrap_or_else(|error| panic!("{error}: {line:?} {errors}")))
    }

    #[track_caller]
    pub(crate) fn audit_finds(&self, expected: &Value) {
        let (code, found) = self.json(&["audit"]);
        for (name, count) in expected.as_object().unwrap() {
            assert_eq!(&found[name], count, "{name} of {found}");
        }
        let ok = found["ok"] == true;
        assert_eq!(code, Some(if ok { 0 } else { 1 }), "{found}");
        let damage: u64 = ["missing", "doubled", "foreign", "altered", "torn", "open"]
            .iter()
            .map(|name| found[*name].as_u64().unwrap())
            .sum();
        assert_eq!(ok, damage == 0, "{found}");
    }

    /// Three webhooks with their events, all taken in.
    pub(crate) fn whole() -> (World, Vec<(Partition, Offset)>) {
        let world = World::new();
        let places: Vec<_> = ["evt_1", "evt_2", "evt_3"].iter().map(|id| world.webhook(id, T)).collect();
        places.iter().for_each(|place| world.emit(*place, AS_IT_IS));
        world.commit(&world.ends());
        (world, places)
    }
}

fn new_topic(name: &str, partitions: i32) -> NewTopic<'_> {
    NewTopic::new(name, partitions, TopicReplication::Fixed(1))
}

fn create(connection: &Connection, topics: &Topics) {
    let admin = connection.admin().unwrap();
    let names = [(topics.raw(), PARTITIONS), (topics.events(), PARTITIONS), (topics.control(), 1)];
    let topic = |(name, partitions): (String, u32)| (name, partitions.cast_signed());
    let names = names.map(topic);
    let settings = [("message.timestamp.type", "CreateTime"), ("retention.ms", "-1")];
    let new = names.iter().map(|(name, partitions)| {
        settings.iter().fold(new_topic(name, *partitions), |topic, (name, value)| topic.set(name, value))
    });
    let new: Vec<NewTopic<'_>> = new.collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let options = AdminOptions::new().operation_timeout(Some(ANSWER));
    let made = runtime.block_on(admin.create_topics(&new, &options)).unwrap();
    made.into_iter().for_each(|made| _ = made.unwrap());
}
