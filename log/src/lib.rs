//! Kafka, as every service here uses it. No store, no HTTP, nothing of Stripe.
//!
//! | room | what is there |
//! |---|---|
//! | [`connection`] | brokers and client properties; the clients that are made of them |
//! | [`topics`] | the topics' names |
//! | [`provision`] | what each topic must be like; created, checked, and partition counts pinned |
//! | [`partitioner`] | which partition a key goes to |
//! | [`producer`] | a transactional producer: queue, headers, classes of errors |
//! | [`reader`] | one partition from one offset to another |
//! | [`simple`] | the consumer that it reads with, which is in no group |
//! | [`ends`] | where a partition begins and ends, with and without open transactions |
//! | [`committed`] | a group's committed offsets and what is stamped on them |
//! | [`native`] | the calls of librdkafka that its Rust binding lacks: the only unsafe code of the workspace |

pub mod committed;
pub mod connection;
pub mod ends;
mod error;
pub mod native;
pub mod partitioner;
pub mod producer;
pub mod provision;
pub mod reader;
pub mod simple;
pub mod topics;

pub use connection::Connection;
pub use error::Error;
pub use native::TopicId;
pub use partitioner::partition_for;
pub use simple::SimpleConsumer;
pub use topics::Topics;
