//! What the log says of webhooks that were answered 503. While Kafka is away, or a disk is full, that may be hundreds in a second
//! for one and the same reason: the first one is told, then a count at most every ten seconds, then that it is over. Metrics
//! count each of them.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Between two lines of one reason; and what has not come for so long is over, once a webhook is acknowledged.
const EVERY: Duration = Duration::from_secs(10);

/// One line of the log.
#[derive(Debug, PartialEq, Eq)]
enum Line {
    First,
    More { count: u64 },
    Over { reason: &'static str, count: u64, lasted: Duration },
}

/// Webhooks answered 503 for one reason, since the first of them.
#[derive(Debug)]
struct Spell {
    began: Duration,
    last: Duration,
    told: Duration,
    count: u64,
    untold: u64,
}

/// Those that are not over, by their reasons; times since one common moment.
#[derive(Debug, Default)]
struct Spells(BTreeMap<&'static str, Spell>);

impl Spells {
    fn refused(&mut self, reason: &'static str, now: Duration) -> Option<Line> {
        let Some(spell) = self.0.get_mut(reason) else {
            self.0.insert(reason, Spell { began: now, last: now, told: now, count: 1, untold: 0 });
            return Some(Line::First);
        };
        (spell.last, spell.count, spell.untold) = (now, spell.count + 1, spell.untold + 1);
        if now.saturating_sub(spell.told) < EVERY {
            return None;
        }
        spell.told = now;
        Some(Line::More { count: std::mem::take(&mut spell.untold) })
    }

    /// Under a load that is too much, some are acknowledged and some are not: that is not over with each acknowledgement.
    fn acknowledged(&mut self, now: Duration) -> Vec<Line> {
        self.over(|spell| now.saturating_sub(spell.last) >= EVERY)
    }

    fn over(&mut self, is_over: impl Fn(&Spell) -> bool) -> Vec<Line> {
        let over = self.0.extract_if(.., |_, spell| is_over(spell));
        over.map(|(reason, spell)| Line::Over { reason, count: spell.count, lasted: spell.last - spell.began })
            .collect()
    }
}

/// Says so.
#[derive(Debug)]
pub(super) struct Unavailable {
    since: Instant,
    spells: Mutex<Spells>,
}

impl Unavailable {
    pub(super) fn new() -> Unavailable {
        Unavailable { since: Instant::now(), spells: Mutex::default() }
    }

    /// A webhook of `source` was answered 503.
    pub(super) fn refused(&self, source: &str, reason: &'static str, why: impl std::fmt::Display) {
        let line = self.spells().refused(reason, self.since.elapsed());
        match line {
            Some(Line::First) => tracing::warn!(source, reason, "answered 503: {why}"),
            Some(Line::More { count }) => {
                tracing::warn!(source, reason, count, "{count} more were answered 503: {why}")
            }
            Some(Line::Over { .. }) | None => {}
        }
    }

    /// A webhook was acknowledged.
    pub(super) fn acknowledged(&self) {
        let over = self.spells().acknowledged(self.since.elapsed());
        over.iter().for_each(tell_over);
    }

    fn spells(&self) -> MutexGuard<'_, Spells> {
        self.spells.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whoever answers next counts anew.
impl Drop for Unavailable {
    fn drop(&mut self) {
        self.spells().over(|_| true).iter().for_each(tell_over);
    }
}

fn tell_over(line: &Line) {
    if let Line::Over { reason, count, lasted } = line {
        tracing::info!(reason, count, "no longer answered 503 for this: {count} were within {} s", lasted.as_secs());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Line::{First, More, Over};
    use proptest::prelude::*;

    const A: &str = "not_open";
    const B: &str = "queue_full";

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_first_one_is_told_and_then_a_count_at_most_every_ten_seconds_for_each_reason() {
        let mut spells = Spells::default();
        assert_eq!(spells.refused(A, at(1)), Some(First));
        for _ in 0..500 {
            assert_eq!(spells.refused(A, at(2)), None);
        }
        assert_eq!(spells.refused(B, at(3)), Some(First), "another reason is another line");
        assert_eq!(spells.refused(A, at(11)), Some(More { count: 501 }));
        assert_eq!(spells.refused(A, at(20)), None);
        assert_eq!(spells.refused(A, at(99)), Some(More { count: 2 }));
    }

    #[test]
    fn it_is_over_once_something_is_acknowledged_and_none_came_for_a_while_and_begins_anew() {
        let mut spells = Spells::default();
        spells.refused(A, at(1));
        spells.refused(A, at(4));
        spells.refused(B, at(8));
        assert_eq!(spells.acknowledged(at(13)), []);
        assert_eq!(spells.acknowledged(at(14)), [Over { reason: A, count: 2, lasted: at(3) }]);
        assert_eq!(spells.acknowledged(at(14)), [], "it is told once");
        assert_eq!(spells.refused(A, at(15)), Some(First));
        assert_eq!(spells.over(|_| true).len(), 2);
    }

    proptest! {
        #[test]
        fn each_is_counted_once_and_no_reason_has_two_lines_within_ten_seconds(
            steps in prop::collection::vec((0u64..4000, 0u8..3), 1..400),
        ) {
            let (mut spells, mut now, mut sent, mut told) = (Spells::default(), Duration::ZERO, 0, 0);
            let mut last: Option<Duration> = None;
            for (millis, kind) in steps {
                now += Duration::from_millis(millis);
                let mut overs = Vec::new();
                if kind == 0 {
                    overs = spells.acknowledged(now);
                } else {
                    sent += 1;
                    if spells.refused(A, now).is_some() {
                        prop_assert!(last.is_none_or(|last| now - last >= EVERY));
                        last = Some(now);
                    }
                }
                told += overs.iter().map(|line| if let Over { count, .. } = line { *count } else { 0 }).sum::<u64>();
            }
            let rest = spells.over(|_| true);
            told += rest.iter().map(|line| if let Over { count, .. } = line { *count } else { 0 }).sum::<u64>();
            prop_assert_eq!(told, sent);
        }
    }
}
