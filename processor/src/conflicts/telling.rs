//! Says each conflict once, and does not let thousands of them drown the log.

use std::time::{Duration, Instant};

use super::Conflict;

/// So many are told one by one within [`SPAN`]; the rest is told as a number.
const ONE_BY_ONE: u32 = 20;
const SPAN: Duration = Duration::from_secs(60);

/// What was told in the span that is running.
#[derive(Debug, Default)]
pub(super) struct Telling {
    since: Option<Instant>,
    told: u32,
    held: u64,
}

/// What to say now.
#[derive(Debug, PartialEq, Eq)]
enum Say {
    This,
    Nothing,
}

impl Telling {
    pub(super) fn conflict(&mut self, conflict: &Conflict, now: Instant) {
        self.quiet(now);
        if self.next(now) == Say::This {
            let (first, again) = (conflict.first, conflict.again);
            tracing::warn!(%first, %again, "an event came again with another content under its id; the first one stays");
        }
    }

    /// Says how many were not told, once the span is over.
    pub(super) fn quiet(&mut self, now: Instant) {
        if let Some(held) = self.close(now) {
            tracing::warn!(
                held,
                "more events came again with another content under their id; `hooklog audit` names them"
            );
        }
    }

    fn next(&mut self, now: Instant) -> Say {
        self.since.get_or_insert(now);
        if self.told < ONE_BY_ONE {
            self.told += 1;
            return Say::This;
        }
        self.held += 1;
        Say::Nothing
    }

    /// Ends a span that is over; how many it held back, if any.
    fn close(&mut self, now: Instant) -> Option<u64> {
        let is_over = self.since.is_some_and(|since| now.duration_since(since) >= SPAN);
        let held = if is_over { std::mem::take(self).held } else { 0 };
        (held > 0).then_some(held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_ones_of_a_minute_are_told_and_the_rest_is_a_number() {
        let (mut telling, now) = (Telling::default(), Instant::now());
        let said = (0..100).filter(|_| telling.next(now) == Say::This).count();
        assert_eq!(said, ONE_BY_ONE as usize);
        assert_eq!(telling.close(now), None, "the minute is not over");
        assert_eq!(telling.close(now + SPAN), Some(100 - u64::from(ONE_BY_ONE)));
        assert_eq!(telling.close(now + SPAN * 2), None);
        assert_eq!(telling.next(now + SPAN), Say::This);
    }
}
