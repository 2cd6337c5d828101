//! Views over `events`: who has which subscription, who may use what, and why.
//!
//! The pure part, with no Kafka, no store and no clock:
//! - [`stripe`]: the parts of Stripe's payloads that the views need
//! - [`fold`]: the order of truth, what events do to the state of a subscription and of a customer
//! - [`rules`]: what a status gives, from a strict table
//! - [`answer`]: a state under some rules at some moment

pub mod answer;
pub mod fold;
pub mod rules;
pub mod stripe;
