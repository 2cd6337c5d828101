//! The processor: takes `raw` to `events`, each event once within any window, keyed by its subject.
//!
//! | room | what is there |
//! |---|---|
//! | [`dedup`] | the fold: which record is a duplicate, and what goes out for one that is not |
//! | [`conflicts`] | records that come again under a known id and say something else |
//! | [`service`] | the fold under the engine of `hooklog_task`: one transforming task |
//!
//! Which bodies can be used was decided at ingest, once. Here nothing is refused and nothing is skipped.

pub mod conflicts;
pub mod dedup;
pub mod service;

pub use conflicts::{Conflict, Conflicts};
pub use dedup::Dedup;
pub use service::{Config, run};
