//! Settings of a topic, altered while everything runs: how a test makes a broker refuse.

use std::collections::HashMap;
use std::time::Duration;

use hooklog_log::Connection;
use rdkafka::admin::{AdminOptions, AlterConfig, ConfigSource, ResourceSpecifier};

use crate::wait::wait_until;

const ANSWER: Duration = Duration::from_secs(30);
/// Settings of `events` under which it refuses every event: the limit is larger than the markers that end a transaction.
pub const TOO_SMALL: [(&str, &str); 1] = [("max.message.bytes", "150")];
/// The same as `events` is made with.
pub const AS_MADE: [(&str, &str); 1] = [("max.message.bytes", "2097152")];

/// Sets `changes` of `topic`, leaves its other settings as they are, and waits until the broker says so itself.
///
/// # Panics
/// The broker refuses.
#[track_caller]
pub fn alter(brokers: &str, topic: &str, changes: &[(&str, &str)]) {
    let mut settings = dynamic(brokers, topic);
    settings.extend(changes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    let admin = Connection::to(brokers).admin().expect("an admin client");
    let mut altered = AlterConfig::new(ResourceSpecifier::Topic(topic));
    altered.entries = settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let answer = block_on(admin.alter_configs([&altered], &AdminOptions::new().request_timeout(Some(ANSWER))));
    answer.expect("the broker answers").remove(0).expect("the broker accepts the settings");
    wait_until("the settings are altered", || (dynamic(brokers, topic) == settings).then_some(()));
}

/// What is set for this topic alone. The protocol's older way to alter replaces all of it.
pub(crate) fn dynamic(brokers: &str, topic: &str) -> HashMap<String, String> {
    let admin = Connection::to(brokers).admin().expect("an admin client");
    let options = AdminOptions::new().request_timeout(Some(ANSWER));
    let described = block_on(admin.describe_configs([&ResourceSpecifier::Topic(topic)], &options));
    let entries = described.expect("the broker answers").remove(0).expect("the topic is there").entries;
    let own = entries.into_iter().filter(|entry| entry.source == ConfigSource::DynamicTopic);
    own.filter_map(|entry| Some((entry.name, entry.value?))).collect()
}

pub(crate) fn block_on<T>(answer: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(answer)
}
