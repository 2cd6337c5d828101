//! The metrics of ingest: names and labels that dashboards and alarms rest on. The binary says where they go.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

/// Counter, labels [`SOURCE`] and [`OUTCOME`]: every answered request to a webhook path.
pub const REQUESTS: &str = "hooklog_ingest_requests_total";
/// Counter, labels [`SOURCE`] and [`REASON`]: every request that was not taken in, by the exact reason.
pub const REFUSALS: &str = "hooklog_ingest_refusals_total";
/// Histogram in seconds, label [`SOURCE`]: from the verified request to Kafka's acknowledgement.
pub const ACK_SECONDS: &str = "hooklog_ingest_ack_seconds";
/// Histogram in bytes, label [`SOURCE`]: bodies that were read whole.
pub const BODY_BYTES: &str = "hooklog_ingest_body_bytes";
/// Gauge: open connections.
pub const CONNECTIONS: &str = "hooklog_ingest_connections";
/// Counter: producers that turned fatal and were renewed.
pub const RENEWALS: &str = "hooklog_ingest_producer_renewals_total";

/// Label: the source's name, or [`UNKNOWN_SOURCE`].
pub const SOURCE: &str = "source";
/// Label: `acked`, `refused`, `unusable`, `too_large`, `body_timeout`, `body_broken`, `overloaded`, `unavailable`.
pub const OUTCOME: &str = "outcome";
/// Label: why.
pub const REASON: &str = "reason";
/// The source of a request to a path that is not configured. Clients choose paths, so they must not choose labels.
pub const UNKNOWN_SOURCE: &str = "(unknown)";

/// Tells the installed recorder what each metric is. Harmless to repeat.
pub fn describe() {
    describe_counter!(REQUESTS, Unit::Count, "Webhook requests, by source and outcome");
    describe_counter!(REFUSALS, Unit::Count, "Webhook requests that were not taken in, by source and exact reason");
    describe_histogram!(ACK_SECONDS, Unit::Seconds, "From the verified request to Kafka's acknowledgement");
    describe_histogram!(BODY_BYTES, Unit::Bytes, "Size of webhook bodies");
    describe_gauge!(CONNECTIONS, Unit::Count, "Open connections of ingest");
    describe_counter!(RENEWALS, Unit::Count, "Producers that turned fatal and were renewed");
}
