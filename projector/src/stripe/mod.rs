//! The part of Stripe's payloads that the views need, read leniently. No Kafka, no store, no clock.
//!
//! - [`json`]: a body as a borrowed tree; of a key that is given twice the first one counts, as at ingest
//! - [`repair_json`]: JSON that is good and that no value can hold, made readable
//! - [`subscription`]: the facts of a subscription object, in the shapes before and after Basil
//! - [`fingerprint`]: an object reduced to hashes of its leaves, enough to ask whether `previous_attributes` match it

pub mod fingerprint;
pub mod json;
pub mod repair_json;
pub mod subscription;
