//! Topics as a plain client sees them, which shares nothing with ours: librdkafka, read committed, from the first record to
//! the last stable one.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hooklog_oracle::RawRecord;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::producer::{BaseProducer, Producer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::wait::{DEADLINE, wait_until};

const ANSWER: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(100);

/// A record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Where it stands.
    pub partition: i32,
    /// Where it stands.
    pub offset: i64,
    /// Epoch milliseconds.
    pub timestamp: i64,
    /// As text.
    pub key: String,
    /// Untouched.
    pub value: Vec<u8>,
    /// In their order, as text.
    pub headers: Vec<(String, String)>,
}

impl Record {
    /// The value of a header that is there once.
    ///
    /// # Panics
    /// It is there twice.
    #[track_caller]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let first = found.next();
        assert_eq!(found.next(), None, "{name} is there twice: {self:?}");
        first
    }

    /// A record of `raw` as the oracle wants it.
    pub fn as_raw(&self) -> RawRecord {
        RawRecord {
            partition: self.partition,
            offset: self.offset,
            namespace: self.header("hooklog_namespace").unwrap_or_default().to_owned(),
            id: self.key.clone(),
            value: self.value.clone(),
            timestamp_ms: self.timestamp,
        }
    }

    fn read(message: &BorrowedMessage<'_>) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let headers = message.headers().map(|headers| {
            let pair = |header: rdkafka::message::Header<'_, &[u8]>| {
                (header.key.to_owned(), text(header.value.unwrap_or_default()))
            };
            headers.iter().map(pair).collect()
        });
        Self {
            partition: message.partition(),
            offset: message.offset(),
            timestamp: message.timestamp().to_millis().unwrap_or(-1),
            key: text(message.key().unwrap_or_default()),
            value: message.payload().unwrap_or_default().to_vec(),
            headers: headers.unwrap_or_default(),
        }
    }
}

/// All committed records of a topic, by partition and offset.
///
/// # Panics
/// It cannot be read to its end before [`DEADLINE`].
#[track_caller]
pub fn records(brokers: &str, topic: &str) -> Vec<Record> {
    let consumer = reader(brokers, "nobody");
    let mut waiting: Vec<i32> = (0..partitions(&consumer, topic)).collect();
    consumer.assign(&from_the_beginning(topic, &waiting)).expect("an assignment");
    let (mut all, deadline) = (Vec::new(), Instant::now() + DEADLINE);
    while !waiting.is_empty() {
        assert!(Instant::now() < deadline, "{topic} could not be read to its end: {waiting:?}");
        match consumer.poll(POLL) {
            Some(Ok(message)) => all.push(Record::read(&message)),
            Some(Err(KafkaError::PartitionEOF(partition))) => waiting.retain(|other| *other != partition),
            _ => {}
        }
    }
    all.sort_by_key(|record| (record.partition, record.offset));
    all
}

/// An open transaction under `id` with these offsets of `group`, each with its metadata, by partition of `topic`. Only in a
/// transaction can somebody who is no member of the group write any.
///
/// # Panics
/// The broker refuses.
#[track_caller]
pub fn offsets_in_transaction(
    brokers: &str,
    id: &str,
    group: &str,
    topic: &str,
    offsets: &BTreeMap<i32, (i64, String)>,
) -> BaseProducer {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("transactional.id", id).set("transaction.timeout.ms", "600000");
    let producer: BaseProducer = config.create().expect("a producer");
    let mut list = TopicPartitionList::new();
    for (partition, (offset, metadata)) in offsets {
        let mut element = list.add_partition(topic, *partition);
        element.set_offset(Offset::Offset(*offset)).expect("an offset");
        element.set_metadata(metadata);
    }
    let group = reader(brokers, group).group_metadata().expect("a group");
    producer.init_transactions(ANSWER).expect("the id is free");
    producer.begin_transaction().expect("a transaction");
    producer.send_offsets_to_transaction(&list, &group, ANSWER).expect("the offsets are taken");
    producer
}

/// Deletes everything that `group` has committed, once it is empty.
///
/// # Panics
/// It does not become empty in time.
#[track_caller]
pub fn delete_group(brokers: &str, group: &str) {
    let mut config = ClientConfig::new();
    let admin: AdminClient<DefaultClientContext> =
        config.set("bootstrap.servers", brokers).create().expect("an admin client");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let options = AdminOptions::new().request_timeout(Some(ANSWER));
    wait_until("the group is empty and deleted", || {
        let deleted = runtime.block_on(admin.delete_groups(&[group], &options)).ok()?;
        deleted.into_iter().all(|group| group.is_ok()).then_some(())
    });
}

/// For each partition of a topic that has one: what `group` has committed, and with which metadata.
///
/// # Panics
/// The broker does not answer.
#[track_caller]
pub fn committed(brokers: &str, group: &str, topic: &str) -> BTreeMap<i32, (i64, String)> {
    // Where an owner was killed, its open transaction holds the offsets up until it times out.
    let answer = wait_until("the group's offsets are stable", || {
        let consumer = reader(brokers, group);
        let mut asked = TopicPartitionList::new();
        for partition in 0..partitions(&consumer, topic) {
            asked.add_partition(topic, partition);
        }
        consumer.committed_offsets(asked, ANSWER).ok()
    });
    let committed = |element: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>| match element.offset() {
        Offset::Offset(offset) => Some((element.partition(), (offset, element.metadata().to_owned()))),
        _ => None,
    };
    answer.elements().iter().filter_map(committed).collect()
}

/// Where each partition of a topic ends, whoever wrote there.
///
/// # Panics
/// The broker does not answer.
#[track_caller]
pub fn ends(brokers: &str, topic: &str) -> BTreeMap<i32, i64> {
    // A broker that has only just come back may not lead it yet, and a client may remember that.
    let end = |partition| {
        let told = || reader(brokers, "nobody").fetch_watermarks(topic, partition, ANSWER).ok();
        wait_until("the partition's ends are told", told).1
    };
    (0..partitions(&reader(brokers, "nobody"), topic)).map(|partition| (partition, end(partition))).collect()
}

/// A consumer that reads committed records and commits nothing by itself.
pub(crate) fn reader(brokers: &str, group: &str) -> BaseConsumer {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("group.id", group).set("isolation.level", "read_committed");
    config.set("enable.auto.commit", "false").set("enable.partition.eof", "true");
    config.create().expect("a consumer")
}

#[track_caller]
pub(crate) fn partitions(consumer: &BaseConsumer, topic: &str) -> i32 {
    let metadata = consumer.fetch_metadata(Some(topic), ANSWER).expect("the broker answers");
    let count = metadata.topics().first().map_or(0, |topic| topic.partitions().len());
    assert!(count > 0, "{topic} is not there");
    i32::try_from(count).expect("a small number")
}

fn from_the_beginning(topic: &str, partitions: &[i32]) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for partition in partitions {
        list.add_partition_offset(topic, *partition, Offset::Beginning).expect("a place to begin");
    }
    list
}
