//! The engine of exactly-once: drives a pure fold over a partitioned log and keeps its store, its outputs and its offsets
//! in step, whatever dies when.
//!
//! | room | what is there |
//! |---|---|
//! | [`fold`] | the pure step: what a record asks for, what comes of it |
//! | [`input`] | a record as a fold sees it |
//! | [`resume`] | where to go on after a start, as a plan that is decided before anything is done |
//! | [`rewritten`] | whether a log is still the one that a store and outputs were made of |
//! | [`owed`] | which outputs the output topic lacks |
//! | [`verification`] | when outputs are in the output topic for good |
//! | [`commit_policy`] | when a transaction has waited long enough |
//! | [`outcome`] | what an error leaves behind, and so what must follow |
//! | [`metric_names`] | metrics: names and labels |
//! | [`transform`] | folds with outputs: outputs and offsets in one Kafka transaction, the store after it |
//! | [`materialise`] | folds without outputs: the store's own position is the only one |
//! | [`progress`] | how far each partition is, for people and machines who ask |

pub mod commit_policy;
mod error;
mod fault;
pub mod fold;
pub mod input;
pub mod materialise;
pub mod metric_names;
pub mod outcome;
mod overlay;
pub mod owed;
pub mod progress;
pub mod resume;
pub mod rewritten;
#[cfg(test)]
mod skipped_markers;
pub mod transform;
pub mod verification;

pub use error::Error;
pub use fold::{Effects, Fold, Record, Suspect, View};
pub use input::Input;
pub use progress::Progress;
