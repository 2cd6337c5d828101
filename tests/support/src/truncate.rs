//! Records deleted from the beginning of partitions, as retention by size or `kafka-delete-records.sh` does it.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

const ANSWER: Duration = Duration::from_secs(30);

/// Deletes what stands before these offsets of a topic's partitions.
///
/// # Panics
/// The broker refuses.
#[track_caller]
pub fn delete_before(brokers: &str, topic: &str, offsets: &BTreeMap<i32, i64>) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", brokers).create().expect("an admin client");
    let mut list = TopicPartitionList::new();
    for (partition, offset) in offsets {
        list.add_partition_offset(topic, *partition, Offset::Offset(*offset)).expect("an offset");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let options = AdminOptions::new().operation_timeout(Some(ANSWER));
    let deleted = runtime.block_on(admin.delete_records(&list, &options)).expect("the broker answers");
    for element in deleted.elements() {
        element.error().expect("the records are deleted");
    }
}
