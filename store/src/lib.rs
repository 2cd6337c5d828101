//! RocksDB stores that know which prefix of the log they hold. No Kafka.
//!
//! A store is a fold of a log prefix and carries the offset of that prefix inside: one batch writes both, so that they can
//! never disagree. What belongs to whom:
//!
//! | room | what is there |
//! |---|---|
//! | [`layout`] | a store's families of keys: plain, or in buckets of log time that are dropped whole |
//! | [`writes`] | what a fold asks a store to keep, and the keys that it asks for, without an allocation for each |
//! | [`applied`] | the position inside a store: next offset, the running maximum of log time, and which record was the last one |
//! | [`emission`] | what applied batches emitted, remembered until their outputs are verified |
//! | [`registry`] | opens stores; one cache, one memory budget and one lock a path for the whole process |
//! | [`store`] | reading, applying, hashing |

pub mod applied;
mod buckets;
pub mod emission;
mod error;
pub mod layout;
mod meta;
pub mod registry;
pub mod store;
pub mod writes;

pub use applied::{Applied, LastRecord, TopicPartition};
pub use emission::{Emission, Verified};
pub use error::Error;
pub use layout::{Family, Layout};
pub use registry::Registry;
pub use store::Store;
pub use writes::{Keys, Writes};
