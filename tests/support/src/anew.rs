//! A topic that is deleted and created again, as an operator's script does it: same name, same settings, another topic.

use std::collections::HashMap;
use std::time::Duration;

use hooklog_log::{Connection, native};
use rdkafka::admin::{AdminOptions, NewTopic, TopicReplication};

use crate::records::{partitions, reader};
use crate::settings::{block_on, dynamic};
use crate::wait::wait_until;

const ANSWER: Duration = Duration::from_secs(30);

/// Kafka's id of `topic`; none where there is no such topic.
///
/// # Panics
/// The broker does not answer.
#[track_caller]
pub fn topic_id(brokers: &str, topic: &str) -> Option<String> {
    let admin = Connection::to(brokers).admin().expect("an admin client");
    let ids = native::topic_ids(admin.inner(), &[topic], ANSWER).expect("the broker tells the topic's id");
    ids.into_iter().next().flatten().map(|id| id.0)
}

/// Deletes `topic`.
///
/// # Panics
/// The broker refuses.
#[track_caller]
pub fn delete(brokers: &str, topic: &str) {
    let admin = Connection::to(brokers).admin().expect("an admin client");
    let options = AdminOptions::new().operation_timeout(Some(ANSWER)).request_timeout(Some(ANSWER));
    let deleted = block_on(admin.delete_topics(&[topic], &options));
    deleted.expect("the broker answers").remove(0).expect("the broker deletes it");
    wait_until("the topic is gone", || topic_id(brokers, topic).is_none().then_some(()));
}

/// Deletes `topic` and creates it again with as many partitions and the same settings. Gives both ids, the old one first.
///
/// # Panics
/// The broker refuses.
#[track_caller]
pub fn make_anew(brokers: &str, topic: &str) -> (String, String) {
    let (settings, count) = (dynamic(brokers, topic), partitions(&reader(brokers, "nobody"), topic));
    let before = topic_id(brokers, topic).expect("it is there");
    delete(brokers, topic);
    let now = create(brokers, topic, count, &settings);
    assert_ne!(before, now, "Kafka gave it the same id");
    (before, now)
}

/// Creates `topic` and gives its id.
///
/// # Panics
/// The broker refuses.
#[track_caller]
pub fn create(brokers: &str, topic: &str, partitions: i32, settings: &HashMap<String, String>) -> String {
    let admin = Connection::to(brokers).admin().expect("an admin client");
    let options = AdminOptions::new().operation_timeout(Some(ANSWER)).request_timeout(Some(ANSWER));
    let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
    let new = settings.iter().fold(new, |new, (name, value)| new.set(name, value));
    let created = block_on(admin.create_topics(&[new], &options));
    created.expect("the broker answers").remove(0).expect("the broker creates it");
    wait_until("the topic is there", || topic_id(brokers, topic))
}
