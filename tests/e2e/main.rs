//! The end-to-end tests: the real binary and the real Apache Kafka. One binary, a module for each theme.
//!
//! Tests that do not stop their broker share one (`Broker::shared`), each under a prefix of its own. Most tests wait most of
//! the time, so more of them run at once than there are cores: see the Makefile.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod aborts;
mod audit;
mod broker;
mod by_hand;
mod bytes;
mod chaos;
mod clocks;
mod conflicts;
mod crash;
mod damage;
mod engine;
mod failed_appends;
mod fenced;
mod foreign_reader;
mod full_disk;
mod hanging;
mod ingest;
mod inspect;
mod kills;
mod offsets;
mod one_transaction;
mod permissions;
mod pipeline;
mod power;
mod query;
mod reader;
mod rebalances;
mod reconnects;
mod recreated;
mod refused;
mod regressed_offsets;
mod repair;
mod replication;
mod rewritten;
mod rules;
mod send;
mod silent;
mod stopping;
mod stores;
mod truncated;
mod truncated_start;
mod unknown_outcomes;
mod views;
mod waiting;
mod ways_out;
