//! The names of the Kafka headers. Written for ever: a name here is never changed, only joined by new ones.

/// Trust domain of the source; event ids are unique within it. On `raw` and `events`.
pub const NAMESPACE: &str = "hooklog_namespace";
/// Name of the configured endpoint that took the event in. On `raw` and `events`.
pub const SOURCE: &str = "hooklog_source";
/// When ingest had the whole body, epoch milliseconds. On `raw` and `events`.
pub const RECEIVED_AT: &str = "hooklog_received_at";
/// The `t` of the signature that verified, epoch seconds. On `raw` and `events`.
pub const SIGNATURE_TIME: &str = "hooklog_signature_time";
/// How the value is encrypted; `none` so far. On `raw` and `events`.
pub const ENCRYPTION: &str = "hooklog_enc";
/// The only value of [`ENCRYPTION`] that exists.
pub const ENCRYPTION_NONE: &str = "none";
/// W3C trace context of the request. On `raw` and `events`.
pub const TRACEPARENT: &str = "traceparent";

/// CloudEvents `specversion`, always [`CE_SPECVERSION_VALUE`]. On `events`, as all that follow.
pub const CE_SPECVERSION: &str = "ce_specversion";
/// The version of CloudEvents that the `ce_` headers follow.
pub const CE_SPECVERSION_VALUE: &str = "1.0";
/// The event's id.
pub const CE_ID: &str = "ce_id";
/// The event's type; [`CE_TYPE_UNKNOWN`] where the body names none.
pub const CE_TYPE: &str = "ce_type";
/// What [`CE_TYPE`] says of a body without a type: CloudEvents demands a non-empty one.
pub const CE_TYPE_UNKNOWN: &str = "unknown";
/// `/sources/<name>`.
pub const CE_SOURCE: &str = "ce_source";
/// The event's `created`, RFC 3339; absent where the body has none.
pub const CE_TIME: &str = "ce_time";
/// The id of the object that the event carries; absent where it has none.
pub const CE_SUBJECT: &str = "ce_subject";
/// Media type of the value, [`APPLICATION_JSON`].
pub const CONTENT_TYPE: &str = "content-type";
/// What [`CONTENT_TYPE`] says.
pub const APPLICATION_JSON: &str = "application/json";
/// Where the event's first record stands in `raw`: see [`crate::RawPosition`].
pub const POSITION: &str = "hooklog_position";
/// Kafka's topic id of the `raw` that [`POSITION`] is about.
pub const LOG: &str = "hooklog_log";
/// `true` on an event that `hooklog repair` emitted later: it stands behind events of later records.
pub const REPAIRED: &str = "hooklog_repaired";
/// The Connect account of the event; absent where it has none.
pub const ACCOUNT: &str = "hooklog_account";
/// `true` or `false`.
pub const LIVEMODE: &str = "hooklog_livemode";
