//! How librdkafka is set up for `raw`.

use std::time::Duration;

use hooklog_log::Connection;
use rdkafka::ClientConfig;

use crate::config::Limits;

/// librdkafka gives a record up this long before the edge stops waiting, so that a sender mostly gets Kafka's own reason.
const BEFORE_DEADLINE: Duration = Duration::from_millis(800);

/// The producer's configuration. What is set here wins over the user's own properties: it is what makes a 200 true.
pub(super) fn of(connection: &Connection, limits: &Limits) -> ClientConfig {
    let timeout = limits.ack_timeout.saturating_sub(BEFORE_DEADLINE).max(Duration::from_millis(50));
    let kbytes = limits.bodies_bytes / 1024 + 1024;
    let mut config = connection.client();
    config
        .set("acks", "all")
        .set("enable.idempotence", "true")
        .set("message.timeout.ms", timeout.as_millis().to_string())
        .set("queue.buffering.max.messages", limits.queue_records.to_string())
        .set("queue.buffering.max.kbytes", kbytes.to_string())
        // Above the body cap plus key and headers; the topic allows as much.
        .set("message.max.bytes", "2097152")
        .set("linger.ms", "2")
        .set("compression.type", "lz4")
        // A broker that comes back is to be found within about a second, not after the default ten.
        .set("reconnect.backoff.ms", "50")
        .set("reconnect.backoff.max.ms", "1000")
        .set("socket.nagle.disable", "true");
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_property_of_the_user_weakens_an_acknowledgement() {
        let mut connection = Connection::to("127.0.0.1:1");
        connection.properties.insert("acks".into(), "0".into());
        connection.properties.insert("enable.idempotence".into(), "false".into());
        connection.properties.insert("client.rack".into(), "b".into());
        let config = of(&connection, &Limits::default());
        assert_eq!(config.get("acks"), Some("all"));
        assert_eq!(config.get("enable.idempotence"), Some("true"));
        assert_eq!(config.get("client.rack"), Some("b"));
    }

    #[test]
    fn kafka_gives_up_before_the_edge_does() {
        let config = of(&Connection::to("127.0.0.1:1"), &Limits::default());
        assert_eq!(config.get("message.timeout.ms"), Some("4200"));
    }

    #[test]
    fn librdkafka_takes_every_property() {
        let made: Result<rdkafka::producer::BaseProducer, _> =
            of(&Connection::to("127.0.0.1:1"), &Limits::default()).create();
        assert!(made.is_ok(), "{:?}", made.err());
    }
}
