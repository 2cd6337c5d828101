//! Counts what became of the posts, and reports it.

use std::collections::BTreeMap;
use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};
use hdrhistogram::Histogram;
use serde::Serialize;

use super::retry::Answer;

/// What is known so far.
pub(super) struct Tally {
    posts: u64,
    acked: u64,
    /// Numbers of the events that were read, as the highest and one.
    events: u64,
    acked_events: Marks,
    by_status: BTreeMap<String, u64>,
    latency_us: Histogram<u64>,
}

/// An hour: what takes longer is shown as that.
const LONGEST_US: u64 = 3_600_000_000;

/// The facts of a run, as `--json` prints them. `posts`, `acked` and `not_acked` count bodies, duplicates among them;
/// `by_status` counts attempts.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Report {
    pub(super) events: u64,
    pub(super) posts: u64,
    pub(super) acked: u64,
    pub(super) not_acked: u64,
    pub(super) acked_events: u64,
    pub(super) by_status: BTreeMap<String, u64>,
    pub(super) latency_ms: Latency,
    /// Bodies of a file that say something else than an earlier one of their id.
    pub(super) conflicts: u64,
    /// Bodies of a file that say something else than an earlier record of the log; nothing where nobody could tell.
    pub(super) conflicts_in_log: Option<u64>,
    pub(super) seconds: f64,
    pub(super) per_second: f64,
}

/// Of acknowledged posts, in milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Latency {
    pub(super) p50: f64,
    pub(super) p90: f64,
    pub(super) p99: f64,
    pub(super) max: f64,
}

impl Tally {
    pub(super) fn new() -> Self {
        Self {
            posts: 0,
            acked: 0,
            events: 0,
            acked_events: Marks::default(),
            by_status: BTreeMap::new(),
            latency_us: Histogram::new_with_max(LONGEST_US, 3).expect("three digits are within what a histogram can"),
        }
    }

    /// A post of event `number` is about to go out.
    pub(super) fn post(&mut self, number: u64) {
        self.posts += 1;
        self.events = self.events.max(number + 1);
    }

    pub(super) fn attempt(&mut self, answer: &Answer) {
        *self.by_status.entry(answer.name()).or_default() += 1;
    }

    /// Returns whether this was the event's first acknowledgement.
    pub(super) fn ack(&mut self, number: u64, latency: Duration) -> bool {
        self.acked += 1;
        self.latency_us.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX));
        self.acked_events.mark(number)
    }

    /// Whether any server answered anything at all.
    pub(super) fn was_answered(&self) -> bool {
        self.by_status.keys().any(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
    }

    pub(super) fn report(&self, took: Duration) -> Report {
        let quantile = |share| self.latency_us.value_at_quantile(share) as f64 / 1e3;
        let seconds = took.as_secs_f64();
        Report {
            events: self.events,
            posts: self.posts,
            acked: self.acked,
            not_acked: self.posts - self.acked,
            acked_events: self.acked_events.count,
            by_status: self.by_status.clone(),
            latency_ms: Latency {
                p50: quantile(0.5),
                p90: quantile(0.9),
                p99: quantile(0.99),
                max: self.latency_us.max() as f64 / 1e3,
            },
            conflicts: 0,
            conflicts_in_log: None,
            seconds: (seconds * 1e3).round() / 1e3,
            per_second: (self.acked as f64 / seconds.max(1e-3)).round(),
        }
    }
}

impl Report {
    /// For people.
    pub(super) fn table(&self) -> String {
        let counts = [("events", self.events), ("posts", self.posts)];
        let counts = counts.map(|(name, count)| (name.to_owned(), count.to_string()));
        let statuses = self.by_status.iter().map(|(status, count)| (explain(status), count.to_string()));
        let rest = ("not acknowledged".to_owned(), self.not_acked.to_string());
        let conflicts = [("conflicts", self.conflicts), ("conflicts with the log", self.conflicts_in_log.unwrap_or(0))];
        let conflicts = conflicts.into_iter().filter(|(_, count)| *count > 0);
        let conflicts = conflicts.map(|(name, count)| (name.to_owned(), count.to_string()));
        let facts = table(["", "count"], counts.into_iter().chain(statuses).chain([rest]).chain(conflicts));
        let of = &self.latency_ms;
        let latency = [("p50", of.p50), ("p90", of.p90), ("p99", of.p99), ("max", of.max)];
        let latency = table(["latency", "ms"], latency.map(|(name, ms)| (name.to_owned(), format!("{ms:.1}"))));
        let pace = format!("{:.1} s, {} acknowledged a second", self.seconds, self.per_second);
        if self.acked == 0 { facts.to_string() } else { format!("{facts}\n{latency}\n{pace}") }
    }
}

fn table(header: [&str; 2], rows: impl IntoIterator<Item = (String, String)>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_header(header);
    for (name, value) in rows {
        table.add_row([name, value]);
    }
    if let Some(column) = table.column_mut(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn explain(status: &str) -> String {
    let meaning = match status {
        "200" => "acknowledged",
        "400" => "bad signature: is this the endpoint's secret?",
        "404" => "no such source: is the URL right?",
        "413" => "too large",
        "422" => "not usable: the server's log says why",
        "429" => "too many at once",
        "503" => "Kafka not ready",
        "refused" => return "nothing listening".to_owned(),
        "broken" => return "connection broke".to_owned(),
        "timeout" => return "no answer in time".to_owned(),
        _ => return status.to_owned(),
    };
    format!("{status} {meaning}")
}

/// A set of small numbers, a bit each.
#[derive(Default)]
struct Marks {
    words: Vec<u64>,
    count: u64,
}

impl Marks {
    /// Returns whether the number was new.
    fn mark(&mut self, number: u64) -> bool {
        let word = usize::try_from(number / 64).expect("as many events as fit into memory");
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        let bit = 1 << (number % 64);
        let is_new = self.words[word] & bit == 0;
        self.words[word] |= bit;
        self.count += u64::from(is_new);
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ok() -> Answer {
        Answer::Status { code: 200, retry_after: None }
    }

    #[test]
    fn duplicates_count_as_posts_and_once_as_events() {
        let mut tally = Tally::new();
        for number in [0, 64, 0] {
            tally.post(number);
            tally.attempt(&ok());
        }
        assert!(tally.ack(64, Duration::from_millis(2)));
        assert!(tally.ack(0, Duration::from_millis(2)));
        assert!(!tally.ack(0, Duration::from_millis(2)));
        let report = tally.report(Duration::from_secs(1));
        assert_eq!((report.posts, report.acked, report.not_acked, report.acked_events), (3, 3, 0, 2));
        assert_eq!(report.by_status, BTreeMap::from([("200".to_owned(), 3)]));
    }

    #[test]
    fn latency_is_in_milliseconds() {
        let mut tally = Tally::new();
        for number in 0..100 {
            tally.post(number);
            tally.ack(number, Duration::from_millis(number + 1));
        }
        let latency = tally.report(Duration::from_secs(2)).latency_ms;
        let near = |value: f64, expected: f64| (value - expected).abs() < 0.1;
        assert!(near(latency.p50, 50.0) && near(latency.p90, 90.0) && near(latency.p99, 99.0), "{latency:?}");
        assert!(near(latency.max, 100.0), "{latency:?}");
    }

    #[test]
    fn refused_connections_are_no_answer() {
        let mut tally = Tally::new();
        tally.attempt(&Answer::Refused);
        assert!(!tally.was_answered());
        tally.attempt(&Answer::Status { code: 503, retry_after: None });
        assert!(tally.was_answered());
    }

    #[test]
    fn the_report_is_the_promised_object() {
        let report = serde_json::to_value(Tally::new().report(Duration::from_secs(1))).expect("serialisable");
        let keys: Vec<_> = report.as_object().expect("an object").keys().cloned().collect();
        for key in ["events", "posts", "acked", "not_acked", "by_status", "latency_ms", "seconds", "per_second"] {
            assert!(keys.contains(&key.to_owned()), "{key}");
        }
        assert!(["p50", "p90", "p99", "max"].iter().all(|key| report["latency_ms"][key].is_number()));
    }
}
