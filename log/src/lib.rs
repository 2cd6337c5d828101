//! Kafka, as every service here uses it. No store, no HTTP, nothing of Stripe.
//!
//! | room | what is there |
//! |---|---|
//! | [`connection`] | brokers and client properties; the clients that are made of them |
//! | [`topics`] | the topics' names |
//! | [`provision`] | what each topic must be like; created, checked, and partition counts pinned |
//! | [`partitioner`] | which partition a key goes to |
//! | [`producer`] | a transactional producer: queue, headers, classes of errors |
//! | [`reach`] | waits until the cluster answers |
//! | [`reader`] | one partition from one offset to another |
//! | [`identity`] | whether a topic is still the one that it was when this process started |
//! | [`simple`] | the consumer that it reads with, which is in no group |
//! | [`watermarks`] | where a partition begins and ends, with and without open transactions |
//! | [`insync`] | how many replicas must have a record before it is acknowledged |
//! | [`committed`] | a group's committed offsets and what is stamped on them |
//! | [`hanging`] | transactions that stay open although they count as complete: found, and ended |
//! | [`control`] | what all instances agree on beside partition counts: windows, and logs of before |
//! | [`native`] | the calls of librdkafka that its Rust binding lacks: the only unsafe code of the workspace |

pub mod committed;
pub mod connection;
pub mod control;
mod error;
pub mod hanging;
pub mod identity;
pub mod insync;
pub mod native;
pub mod partitioner;
pub mod producer;
pub mod provision;
pub mod reach;
pub mod reader;
pub mod simple;
pub mod topics;
pub mod watermarks;

pub use connection::Connection;
pub use error::Error;
pub use native::TopicId;
pub use partitioner::partition_for;
pub use simple::SimpleConsumer;
pub use topics::Topics;
