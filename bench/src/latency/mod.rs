//! How long an event takes: over one bare hop, and from the POST until the view answers with it.

pub(crate) mod hop;
pub(crate) mod post;
pub(crate) mod visible;

use std::time::Duration;

use serde::Serialize;

/// How many events, and how fast.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Pace {
    /// Events a second
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=2_000))]
    pub(crate) rate: u32,
    /// Seconds that count
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=600))]
    pub(crate) seconds: u32,
    /// Seconds before them that do not count
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(0..=60))]
    pub(crate) warm_up: u32,
}

impl Pace {
    /// Events in all, with those that do not count.
    pub(crate) fn events(self) -> u32 {
        self.rate * (self.seconds + self.warm_up)
    }

    pub(crate) fn counts(self, number: u32) -> bool {
        number >= self.rate * self.warm_up
    }

    /// When event `number` is due, from the start. Latency is taken from here, not from when a late sender came to it.
    pub(crate) fn due(self, number: u32) -> Duration {
        Duration::from_secs(1) * number / self.rate
    }
}

/// Latencies of one run, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Latency {
    pub(crate) events: usize,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) max_ms: f64,
}

/// Exact quantiles by nearest rank; none of nothing.
pub(crate) fn latency(mut waited: Vec<Duration>) -> Option<Latency> {
    waited.sort_unstable();
    let rank = |share: f64| (share * waited.len() as f64).ceil() as usize;
    let at = |share: f64| waited.get(rank(share).saturating_sub(1)).map(|waited| waited.as_secs_f64() * 1e3);
    Some(Latency { events: waited.len(), p50_ms: at(0.5)?, p99_ms: at(0.99)?, max_ms: at(1.0)? })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Latency, Pace, latency};

    #[test]
    fn quantiles_are_values_that_were_measured() {
        let waited = (1..=100).rev().map(Duration::from_millis).collect();
        assert_eq!(latency(waited), Some(Latency { events: 100, p50_ms: 50.0, p99_ms: 99.0, max_ms: 100.0 }));
    }

    #[test]
    fn of_nothing_there_are_no_quantiles() {
        assert_eq!(latency(Vec::new()), None);
    }

    #[test]
    fn what_falls_into_the_warm_up_does_not_count_and_the_pace_is_even() {
        let pace = Pace { rate: 200, seconds: 30, warm_up: 5 };
        assert_eq!((pace.events(), pace.counts(999), pace.counts(1_000)), (7_000, false, true));
        assert_eq!(pace.due(300), Duration::from_millis(1_500));
    }
}
