//! What must come out, worked out from what went in by the plainest means: maps and parsed JSON, no performance, and not
//! one line of the pipeline that it judges. When the two disagree, one of them is wrong.
//!
//! - [`Oracle`]: from events in their true order, who has which subscription and who has access.
//! - [`expected_events`]: from the records of `raw`, what `events` must hold.

mod access;
mod events;
mod fields;

pub use access::{Of, Oracle, PastDue, Standing};
pub use events::{Expected, RawRecord, WINDOW_MS, expected_events};
