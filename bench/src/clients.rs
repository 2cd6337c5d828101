//! The settings of every client of the bench: those that the pipeline's own clients have.

use rdkafka::ClientConfig;

/// A client with nothing but an address.
pub(crate) fn plain(brokers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("client.id", "hooklog-bench");
    config
}

/// A consumer that names its own positions and commits nothing by itself.
pub(crate) fn consumer(brokers: &str, group: &str) -> ClientConfig {
    let mut config = plain(brokers);
    config
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("isolation.level", "read_committed")
        .set("auto.offset.reset", "error")
        .set("fetch.queue.backoff.ms", "5")
        .set("queued.min.messages", "20000")
        .set("fetch.wait.max.ms", "20");
    config
}

/// Looks at positions only; reads uncommitted, because asking for stable offsets waits while a transaction is open.
pub(crate) fn observer(brokers: &str, group: &str) -> ClientConfig {
    let mut config = plain(brokers);
    config.set("group.id", group).set("enable.auto.commit", "false").set("isolation.level", "read_uncommitted");
    config
}

/// An idempotent producer.
pub(crate) fn producer(brokers: &str) -> ClientConfig {
    let mut config = plain(brokers);
    config
        .set("enable.idempotence", "true")
        .set("linger.ms", "5")
        .set("batch.num.messages", "10000")
        .set("batch.size", "1000000")
        .set("compression.type", "lz4")
        .set("retry.backoff.ms", "100")
        .set("message.timeout.ms", "10000")
        .set("queue.buffering.max.messages", "200000")
        .set("queue.buffering.max.kbytes", "1048576")
        .set("delivery.report.only.error", "true");
    config
}

/// An idempotent producer for as much as goes: what waits in its queue has time to.
pub(crate) fn loader(brokers: &str) -> ClientConfig {
    let mut config = producer(brokers);
    config.set("message.timeout.ms", "120000").set("queue.buffering.max.messages", "50000");
    config
}

/// A transactional producer.
pub(crate) fn transactional(brokers: &str, id: &str) -> ClientConfig {
    let mut config = producer(brokers);
    config.set("transactional.id", id).set("transaction.timeout.ms", "10000");
    config
}
