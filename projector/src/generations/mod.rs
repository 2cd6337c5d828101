//! Generations: builds of the views, each under one version of the rules.
//!
//! - [`plan`]: which generation answers, which is being built, which is kept: pure transitions
//! - [`manifest`]: that and the rules of each, in a file that is replaced as a whole
//! - [`place`]: where they are, and how one is opened
//! - [`generation`]: one build: its store, its rules, how far it must read before it answers
//! - [`lifecycle`]: opens what the manifest names, makes new ones, drops what is not needed
//! - [`rules_file`]: what has become of the rules on disk since

pub mod generation;
pub mod lifecycle;
pub mod manifest;
pub mod place;
pub mod plan;
pub mod rules_file;

pub use generation::Generation;
pub use lifecycle::Generations;
