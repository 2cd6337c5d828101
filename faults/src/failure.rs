//! What can be wrong with an installation, and what is kept of it.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::logs::Judgement;

/// So many ids of a kind are named.
const NAMED: usize = 20;

/// What was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Failure {
    /// It is not ready in time, or ended before it was.
    NotReady {
        /// What was still not as it must be, or how it ended.
        what: String,
        /// How long was waited.
        waited_ms: u64,
    },
    /// `hooklog up` ended by itself.
    Ended {
        /// Its exit code, where it has one.
        code: Option<i32>,
        /// Its last words.
        what: String,
    },
    /// A connection was refused, or an answer was neither 200 nor 503.
    Answer {
        /// The answer.
        answer: String,
    },
    /// What was posted is still not acknowledged.
    Unanswered {
        /// So many posts.
        posts: usize,
    },
    /// `hooklog audit --wait` does not say that all is well.
    Audit {
        /// Its exit code.
        code: Option<i32>,
        /// Its line of JSON.
        line: String,
        /// The end of what it complained of.
        stderr: String,
    },
    /// An open transaction keeps records from readers.
    Held {
        /// Where.
        partition: i32,
        /// The last stable offset.
        stable: i64,
        /// Where the partition ends.
        end: i64,
    },
    /// An acknowledged event is not in `events`, or an event is there twice.
    Wrong {
        /// How many are acknowledged and not there.
        missing: usize,
        /// How many are there more than once.
        doubled: usize,
        /// How many nobody posted.
        foreign: usize,
        /// The first ids of each kind.
        ids: Vec<String>,
    },
    /// The log cannot be read.
    Unreadable {
        /// Why.
        what: String,
    },
    /// A transaction was completed without all its markers, or is open after an orderly stop.
    Markers {
        /// Markers that are not there.
        skipped: usize,
        /// Producers whose records nobody has ended, by partition.
        unended: usize,
        /// Transactions that the coordinator does not call complete.
        open: usize,
    },
}

impl Failure {
    /// As the report counts it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NotReady { .. } => "not ready",
            Self::Ended { .. } => "ended by itself",
            Self::Answer { .. } => "wrong answer",
            Self::Unanswered { .. } => "not acknowledged",
            Self::Audit { line, .. } => audit_kind(line),
            Self::Held { .. } => "held by a transaction",
            Self::Wrong { missing: 0, doubled: 1.., .. } => "events doubled",
            Self::Wrong { missing: 1.., .. } => "events missing",
            Self::Wrong { .. } => "foreign events",
            Self::Unreadable { .. } => "not readable",
            Self::Markers { .. } => "markers skipped",
        }
    }

    /// The first of each kind are named.
    pub(crate) fn wrong(missing: &[String], doubled: &[String], foreign: &[String]) -> Self {
        let named = |kind: &'static str, ids: &[String]| {
            ids.iter().take(NAMED).map(|id| format!("{kind} {id}")).collect::<Vec<_>>()
        };
        let ids = [named("missing", missing), named("doubled", doubled), named("foreign", foreign)].concat();
        Self::Wrong { missing: missing.len(), doubled: doubled.len(), foreign: foreign.len(), ids }
    }

    /// Of what the logs say, where they do not say that all is whole.
    pub(crate) fn markers(judgement: &Judgement) -> Option<Self> {
        let (skipped, unended, open) = (judgement.skipped.len(), judgement.unended.len(), judgement.open.len());
        (!judgement.is_whole()).then_some(Self::Markers { skipped, unended, open })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotReady { what, waited_ms } => write!(f, "not ready after {waited_ms} ms: {what}"),
            Self::Ended { code: Some(code), what } => write!(f, "`hooklog up` ended by itself with {code}: {what}"),
            Self::Ended { code: None, what } => write!(f, "`hooklog up` ended by a signal that is not ours: {what}"),
            Self::Answer { answer } => write!(f, "ingest answers {answer}, neither 200 nor 503"),
            Self::Unanswered { posts } => write!(f, "{posts} posts are still not acknowledged"),
            Self::Audit { code: Some(code), line, .. } if !line.is_empty() => {
                write!(f, "audit ended with {code}: {line}")
            }
            Self::Audit { stderr, .. } => {
                write!(f, "audit has no answer: {}", stderr.lines().last().unwrap_or_default())
            }
            Self::Held { partition, stable, end } => {
                write!(f, "events/{partition} ends at {end} and is stable until {stable} only")
            }
            Self::Wrong { missing, doubled, foreign, ids } => {
                write!(f, "{missing} missing, {doubled} doubled, {foreign} foreign: {}", ids.join(", "))
            }
            Self::Unreadable { what } => write!(f, "the log cannot be read: {what}"),
            Self::Markers { skipped, unended, open } => {
                write!(
                    f,
                    "{skipped} markers skipped, {unended} producers' records without an end, {open} transactions open"
                )
            }
        }
    }
}

/// By its line of JSON.
fn audit_kind(line: &str) -> &'static str {
    let counts: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
    let has = |name: &str| counts[name].as_u64().is_some_and(|count| count > 0);
    match () {
        () if counts["ok"].is_null() => "audit has no answer",
        () if has("missing") => "audit: events missing",
        () if has("doubled") => "audit: events doubled",
        () if has("in_flight") => "audit: still in flight",
        () => "audit: other damage",
    }
}

/// A failure with all that is known of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What.
    #[serde(flatten)]
    pub failure: Failure,
    /// In which cycle, or after it.
    pub cycle: u64,
    /// UTC.
    pub at: String,
    /// Which installation, from 1.
    pub installation: u64,
    /// Where it is kept.
    pub kept: PathBuf,
    /// What the logs of its killed broker say, where they could be read.
    pub logs: Option<Judgement>,
    /// The last that hooklog said.
    pub hooklog: Vec<String>,
    /// The last that Kafka said.
    pub kafka: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_that_are_wrong_are_counted_all_and_named_in_part() {
        let ids: Vec<_> = (0..50).map(|n| format!("evt_{n}")).collect();
        let failure = Failure::wrong(&ids, &ids[..2], &[]);
        assert_eq!(failure.kind(), "events missing");
        let Failure::Wrong { missing, doubled, foreign, ids } = failure else { panic!() };
        assert_eq!((missing, doubled, foreign, ids.len()), (50, 2, 0, NAMED + 2));
        assert_eq!(Failure::wrong(&[], &ids, &[]).kind(), "events doubled");
        assert_eq!(Failure::wrong(&[], &[], &ids).kind(), "foreign events");
    }

    #[test]
    fn what_audit_says_is_told_by_its_kind() {
        let kind = |line: &str| Failure::Audit { code: Some(1), line: line.to_owned(), stderr: String::new() }.kind();
        assert_eq!(kind(r#"{"missing":1,"doubled":2,"ok":false}"#), "audit: events missing");
        assert_eq!(kind(r#"{"missing":0,"doubled":2,"ok":false}"#), "audit: events doubled");
        assert_eq!(kind(r#"{"in_flight":2,"ok":false}"#), "audit: still in flight");
        assert_eq!(kind(r#"{"torn":2,"ok":false}"#), "audit: other damage");
        assert_eq!(kind(""), "audit has no answer");
    }

    #[test]
    fn logs_that_are_whole_are_no_failure() {
        assert_eq!(Failure::markers(&Judgement::default()), None);
        let open = Judgement { open: vec!["t".to_owned()], ..Judgement::default() };
        assert!(Failure::markers(&open).is_some());
    }
}
