//! Views over `events`: who has which subscription, who may use what, and why.
//!
//! The pure part, with no Kafka, no store and no clock:
//! - [`stripe`]: the parts of Stripe's payloads that the views need
//! - [`fold`]: the order of truth, what events do to the state of a subscription and of a customer
//! - [`rules`]: what a status gives, from a strict table
//! - [`answer`]: a state under some rules at some moment
//! - [`views`]: all that over batches of records, as keys to look up and writes

pub mod answer;
mod error;
pub mod fold;
pub mod generations;
pub mod rules;
pub mod stripe;
pub mod views;

pub use error::Error;
