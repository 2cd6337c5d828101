//! When the next post is due: a pure count of times.

use std::time::Duration;

/// Who falls behind by more than this does not make up for it: a burst after each fault would be another load.
const MAKES_UP: Duration = Duration::from_secs(1);

/// So many posts a second.
#[derive(Debug)]
pub(super) struct Pace {
    between: Duration,
    next: Duration,
}

impl Pace {
    pub(super) fn new(a_second: u32) -> Self {
        Self { between: Duration::from_secs(1) / a_second.max(1), next: Duration::ZERO }
    }

    /// When the post that is asked for at `now` is due; both since one common moment.
    pub(super) fn due(&mut self, now: Duration) -> Duration {
        let due = self.next.max(now.saturating_sub(MAKES_UP));
        self.next = due + self.between;
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn posts_are_due_evenly() {
        let mut pace = Pace::new(4);
        let due: Vec<_> = (0..5).map(|_| pace.due(Duration::ZERO).as_millis()).collect();
        assert_eq!(due, [0, 250, 500, 750, 1_000]);
    }

    #[test]
    fn a_short_delay_is_made_up_for_and_a_long_one_is_not() {
        let mut pace = Pace::new(10);
        pace.due(Duration::ZERO);
        assert_eq!(pace.due(SECOND / 2), SECOND / 10);
        let after_a_fault = (0..100).filter(|_| pace.due(SECOND * 60) <= SECOND * 60).count();
        assert_eq!(after_a_fault, 11);
    }
}
