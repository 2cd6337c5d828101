//! Topics that begin empty: what is left of an earlier run goes first, so that no figure rests on old records.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use hooklog_log::native;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaResult, RDKafkaErrorCode};

use crate::clients;

/// Partitions of every topic of the bench, as `up`'s own broker pins them.
pub(crate) const PARTITIONS: i32 = 4;
/// Longer than a session: the member that a stopped program was is in its group until then.
const DEADLINE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(50);

/// Whose clock gives a record its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Clock {
    /// `LogAppendTime`, as on raw.
    Broker,
    /// `CreateTime`, as on events.
    Producer,
}

/// Deletes `topic` if it is there and creates it empty.
pub(crate) fn fresh(brokers: &str, topic: &str, clock: Clock) -> Result<()> {
    let admin: AdminClient<DefaultClientContext> = clients::plain(brokers).create()?;
    delete(brokers, &[topic])?;
    let deadline = Instant::now() + DEADLINE;
    while !create(brokers, &admin, topic, clock)? {
        ensure!(Instant::now() < deadline, "topic {topic} is still being deleted after {DEADLINE:?}: try again later");
        std::thread::sleep(PAUSE);
    }
    Ok(())
}

/// Asks the broker to delete `topics`; those that are not there are not missed.
pub(crate) fn delete(brokers: &str, topics: &[&str]) -> Result<()> {
    let admin: AdminClient<DefaultClientContext> = clients::plain(brokers).create()?;
    for outcome in ask(brokers, admin.delete_topics(topics, &options()))? {
        match outcome {
            Ok(_) | Err((_, RDKafkaErrorCode::UnknownTopicOrPartition)) => {}
            Err((topic, code)) => bail!("cannot delete topic {topic}: {code}"),
        }
    }
    Ok(())
}

/// Forgets a group's offsets. A group that is still occupied is waited for: its last member may be leaving.
pub(crate) fn forget_group(brokers: &str, group: &str) -> Result<()> {
    let admin: AdminClient<DefaultClientContext> = clients::plain(brokers).create()?;
    let deadline = Instant::now() + DEADLINE;
    loop {
        match ask(brokers, admin.delete_groups(&[group], &options()))?.pop().context("no answer about the group")? {
            Ok(_) | Err((_, RDKafkaErrorCode::GroupIdNotFound)) => return Ok(()),
            Err((_, RDKafkaErrorCode::NonEmptyGroup)) if Instant::now() < deadline => std::thread::sleep(PAUSE),
            Err((_, code)) => bail!("cannot delete group {group}: {code}"),
        }
    }
}

/// The names of all topics that begin with `prefix`.
pub(crate) fn starting_with(brokers: &str, prefix: &str) -> Result<Vec<String>> {
    let consumer: BaseConsumer = clients::plain(brokers).create()?;
    let metadata = consumer.fetch_metadata(None, DEADLINE).context("the broker does not answer")?;
    Ok(metadata.topics().iter().map(|topic| topic.name().to_owned()).filter(|name| name.starts_with(prefix)).collect())
}

/// The end of each partition as `consumer` may read it: the last stable offset where it reads committed.
pub(crate) fn ends(consumer: &BaseConsumer, topic: &str) -> Result<Vec<i64>> {
    (0..PARTITIONS)
        .map(|partition| {
            let (_, high) = consumer
                .fetch_watermarks(topic, partition, DEADLINE)
                .with_context(|| format!("cannot read the end of {topic}/{partition}: is it filled?"))?;
            Ok(high)
        })
        .collect()
}

/// The topic's id, which every record of events names.
pub(crate) fn id(brokers: &str, topic: &str) -> Result<String> {
    let admin: AdminClient<DefaultClientContext> = clients::plain(brokers).create()?;
    let ids = native::topic_ids(admin.inner(), &[topic], DEADLINE)?;
    Ok(ids.into_iter().next().flatten().with_context(|| format!("topic {topic} is not there"))?.0)
}

fn create(brokers: &str, admin: &AdminClient<DefaultClientContext>, topic: &str, clock: Clock) -> Result<bool> {
    let kind = match clock {
        Clock::Broker => "LogAppendTime",
        Clock::Producer => "CreateTime",
    };
    let wanted = NewTopic::new(topic, PARTITIONS, TopicReplication::Fixed(1))
        .set("message.timestamp.type", kind)
        .set("compression.type", "producer")
        .set("cleanup.policy", "delete")
        .set("retention.ms", "-1")
        .set("max.message.bytes", "2097152");
    match ask(brokers, admin.create_topics([&wanted], &options()))?.pop().context("no answer about the topic")? {
        Ok(_) => Ok(true),
        Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => Ok(false),
        Err((_, code)) => bail!("cannot create topic {topic}: {code}"),
    }
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(DEADLINE)).operation_timeout(Some(DEADLINE))
}

fn ask<T>(brokers: &str, question: impl Future<Output = KafkaResult<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(question).with_context(|| format!("no answer from the Kafka brokers at {brokers}: are they up?"))
}
