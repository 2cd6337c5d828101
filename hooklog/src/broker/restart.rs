//! Whether to start a broker that died once more: a pure decision over the times of its deaths.

use std::time::Duration;

const WINDOW: Duration = Duration::from_secs(60);
const ENOUGH: usize = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const PAUSE_GROWS_BY: u32 = 4;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decision {
    RestartAfter(Duration),
    GiveUp { deaths: usize },
}

/// `deaths` and `now` are times since one common moment; `now` is not before the last death.
pub(super) fn decide(deaths: &[Duration], now: Duration) -> Decision {
    let recent = deaths.iter().filter(|death| now.saturating_sub(**death) < WINDOW).count();
    if recent >= ENOUGH {
        return Decision::GiveUp { deaths: recent };
    }
    let earlier = u32::try_from(recent).unwrap_or(u32::MAX).saturating_sub(1);
    Decision::RestartAfter(FIRST_PAUSE * PAUSE_GROWS_BY.pow(earlier))
}

#[cfg(test)]
mod tests {
    use super::*;
    use Decision::{GiveUp, RestartAfter};
    use proptest::prelude::*;

    fn at(seconds: &[u64]) -> Vec<Duration> {
        seconds.iter().copied().map(Duration::from_secs).collect()
    }

    fn decision(deaths: &[u64]) -> Decision {
        decide(&at(deaths), Duration::from_secs(*deaths.last().unwrap()))
    }

    #[test]
    fn the_first_death_is_followed_by_a_short_pause_and_the_second_by_a_longer_one() {
        assert_eq!(decision(&[100]), RestartAfter(Duration::from_millis(250)));
        assert_eq!(decision(&[100, 101]), RestartAfter(Duration::from_secs(1)));
    }

    #[test]
    fn the_third_death_within_a_minute_is_the_last() {
        assert_eq!(decision(&[100, 130, 159]), GiveUp { deaths: 3 });
    }

    #[test]
    fn deaths_of_more_than_a_minute_ago_are_forgotten() {
        assert_eq!(decision(&[100, 130, 160]), RestartAfter(Duration::from_secs(1)));
        assert_eq!(decision(&[1, 2, 100]), RestartAfter(Duration::from_millis(250)));
    }

    proptest! {
        #[test]
        fn a_broker_that_dies_less_than_three_times_in_any_minute_is_always_restarted(
            gaps in prop::collection::vec(30u64..1000, 1..40),
        ) {
            let deaths: Vec<u64> = gaps.iter().scan(0, |time, gap| { *time += gap; Some(*time) }).collect();
            for known in 1..=deaths.len() {
                prop_assert!(matches!(decision(&deaths[..known]), RestartAfter(_)));
            }
        }

        #[test]
        fn three_deaths_within_a_minute_are_never_overlooked(
            earlier in prop::collection::vec(0u64..1000, 0..10),
            first in 1000u64..2000, second in 0u64..30, third in 0u64..30,
        ) {
            let mut deaths = earlier;
            deaths.sort_unstable();
            deaths.extend([first, first + second, first + second + third]);
            let gave_up = matches!(decision(&deaths), GiveUp { .. });
            prop_assert!(gave_up);
        }
    }
}
