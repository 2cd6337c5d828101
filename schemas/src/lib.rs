//! What Hooklog's records mean: pure data and rules, no Kafka, no store, no clock.
//!
//! | room | what is there |
//! |---|---|
//! | [`ids`] | partitions, offsets and moments as types that cannot be mixed up |
//! | [`position`] | where a record stands in `raw`, as text |
//! | [`envelope`] | the few fields of a webhook body that the pipeline reads |
//! | [`content`] | whether two bodies with one id say the same |
//! | [`identity`] | what makes two bodies the same event |
//! | [`subject`] | what an event is about: the key of `events` |
//! | [`header`] | the names of the Kafka headers |
//! | [`stamp`] | what a committed offset carries in its metadata |
//! | [`time`] | moments as RFC 3339 text |
//! | [`window`] | which dedup window was in force where in `raw` |
//!
//! Keys, headers and subjects are written to Kafka for ever. The tests hold the bytes that the first release wrote.

pub mod content;
pub mod envelope;
pub mod header;
pub mod identity;
pub mod ids;
pub mod position;
pub mod stamp;
pub mod subject;
pub mod time;
pub mod window;

pub use content::Content;
pub use envelope::{Envelope, Unusable};
pub use identity::{DedupKey, Namespace};
pub use ids::{Millis, NextOffset, Offset, Partition};
pub use position::RawPosition;
pub use stamp::Stamp;
pub use subject::Subject;
pub use window::{Stretches, WindowBegin, Windows};
