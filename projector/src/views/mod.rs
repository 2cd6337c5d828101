//! The views as a materialising task: which keys a batch of records needs, and what it writes. No Kafka, no clock.
//!
//! - [`family`]: the families of a store of views, and their keys
//! - [`record`]: a record of `events`, heard
//! - [`fold`]: the two phases over a batch
//! - [`find`]: what queries read from a snapshot
//! - [`task`]: the fold as the task engine drives it
//! - [`content`]: a snapshot and its answers as one hash
//!
//! Views store states, not answers: a state owes nothing to rules or to time. Answers are evaluated when they are asked for,
//! with the rules of the generation, whose text lies in the store beside the states.

pub mod content;
pub mod family;
pub mod find;
pub mod fold;
pub mod record;
pub mod task;
