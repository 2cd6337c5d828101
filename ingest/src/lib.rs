//! HTTP to `raw`: takes Stripe's webhooks in, believes only what is signed, and says 200 only after Kafka has said so.
//!
//! | room | what is there |
//! |---|---|
//! | [`signature`] | what a genuine request is; pure |
//! | [`source`] | the configured endpoints and their secrets |
//! | [`config`] | everything that ingest is told, and its limits |
//! | `edge` | HTTP: connections, bodies, answers |
//! | `record`, `traceparent` | what is written, before it is; pure |
//! | `writer` | the queue to Kafka, the producer and its renewal |
//! | [`metric_names`] | the metrics' names |
//!
//! The body is kept byte for byte: it is verified, looked into once for its id, and written as it came.

pub mod config;
mod edge;
mod error;
pub mod metric_names;
mod record;
mod serve;
pub mod signature;
pub mod source;
mod traceparent;
mod writer;

pub use config::{Config, Limits};
pub use error::Error;
pub use serve::{refuse, serve};
pub use signature::Secret;
pub use source::Source;
pub use writer::Status;
