//! The pure fold: what events do to what is known of a subscription and of a customer. No Kafka, no store, no clock.
//!
//! - [`event`]: one record's body, heard as what a view needs or as the reason why it does not
//! - [`scope`]: whose events these are: test and live, and each Connect account, never mix
//! - [`subscription`]: the state of one subscription, a join: any order and repetition of events gives the same state
//! - [`chain`]: rule 4, which of several events of one second came last
//! - [`past_due`]: since when a subscription is past due
//! - [`customer`]: the state of one customer
//! - [`tally`]: what was skipped, counted, so that nothing is silent
//! - [`codec`]: states as bytes, versioned
//!
//! # The order of truth, and what is kept for it
//! A state is a join-semilattice: absorbing an event is commutative, associative and idempotent, so convergence is not a
//! matter of luck. Every part of it is a maximum, a minimum, or "the greatest n of all ever seen", which forgets without
//! depending on the order in which things came. What is kept of a subscription, at most:
//! - the terminal event, if there was one; then nothing else (rule 1)
//! - all events of the newest second, at most 64 of them, with fingerprints (rules 3 and 4)
//! - the `created` event while its second is not older than that one (rule 2)
//! - of the past_due run: the newest second of any other status, the newest transition into past_due, and at most 32
//!   seconds heard since (see [`past_due`])
//!
//! Events of older seconds can change nothing of this and are not kept; they need no memory of ids to be idempotent.

pub mod chain;
pub mod codec;
pub mod customer;
pub mod event;
pub mod past_due;
pub mod scope;
pub mod subscription;
pub mod tally;

#[cfg(test)]
pub(crate) mod bodies;
#[cfg(test)]
mod convergence;
#[cfg(test)]
mod oddities;
#[cfg(test)]
mod scenarios;
