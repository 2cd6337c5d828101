//! Views over `events`: who has which subscription, who may use what, and why.
//!
//! The pure part, with no Kafka, no store and no clock:
//! - [`stripe`]: the parts of Stripe's payloads that the views need
//! - [`fold`]: the order of truth, what events do to the state of a subscription and of a customer
//! - [`rules`]: what a status gives, from a strict table
//! - [`answer`]: a state under some rules at some moment
//! - [`views`]: all that over batches of records, as keys to look up and writes
//!
//! The shell around it:
//! - [`generations`]: builds of the views, each under one version of the rules
//! - [`Projector`]: reads `events` into the live generation, rebuilds, answers queries
//! - [`beginning`]: views of a log whose beginning was deleted
//! - [`rebuild`]: what a rebuild reports and comes to
//! - [`metric_names`]: the metrics' names
//! - [`status`]: what a projector says of itself
//!
//! The query API and what the views keep are described in `docs/guide/query-api.md` and `views.md`.

mod advance;
pub mod answer;
pub mod beginning;
mod discard_damaged;
mod error;
pub mod fold;
mod gate;
pub mod generations;
pub mod metric_names;
mod projector;
mod query;
pub mod rebuild;
pub mod rules;
pub mod status;
pub mod stripe;
pub mod views;

pub use error::Error;
pub use projector::{Config, Projector};
pub use query::Others;
