//! When a producer that turned fatal is replaced: pure, a state and what happened give a state and a step.
//!
//! librdkafka's idempotent producer is unusable after a fatal error and says so on every call, from several threads and
//! for every record in flight. Generations keep a late complaint about an old producer from costing its successor.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(30);

/// Which producer is in use and how well renewing went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Renewal {
    /// The number of the producer that is in use, or that is to come.
    pub generation: u64,
    in_use: bool,
    /// Renewals since a producer last had a record acknowledged.
    fruitless: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Happening {
    /// A producer turned fatal; `acked` says whether it ever had a record acknowledged.
    Fatal { generation: u64, acked: bool },
    /// The wait is over and a producer was made.
    Made,
    /// The wait is over and none could be made.
    NotMade,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing to do.
    None,
    /// Put the producer away, wait, make another.
    RenewAfter(Duration),
}

impl Renewal {
    /// The first producer is there.
    pub(super) const FIRST: Renewal = Renewal { generation: 1, in_use: true, fruitless: 0 };

    pub(super) fn after(self, happening: Happening) -> (Renewal, Step) {
        match happening {
            Happening::Fatal { generation, acked } if self.in_use && generation == self.generation => {
                let fruitless = if acked { 0 } else { self.fruitless };
                Renewal { generation: generation + 1, in_use: false, fruitless }.retry()
            }
            Happening::Made => (Renewal { in_use: true, ..self }, Step::None),
            Happening::NotMade if !self.in_use => self.retry(),
            Happening::Fatal { .. } | Happening::NotMade => (self, Step::None),
        }
    }

    fn retry(self) -> (Renewal, Step) {
        let wait = FIRST.saturating_mul(2_u32.saturating_pow(self.fruitless)).min(LONGEST);
        (Renewal { fruitless: self.fruitless.saturating_add(1), ..self }, Step::RenewAfter(wait))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fatal(generation: u64) -> Happening {
        Happening::Fatal { generation, acked: false }
    }

    fn waits(happenings: &[Happening]) -> Vec<u128> {
        let mut renewal = Renewal::FIRST;
        let mut waits = Vec::new();
        for happening in happenings {
            let (next, step) = renewal.after(*happening);
            renewal = next;
            if let Step::RenewAfter(wait) = step {
                waits.push(wait.as_millis());
            }
        }
        waits
    }

    #[test]
    fn many_complaints_about_one_producer_renew_it_once() {
        assert_eq!(waits(&[fatal(1), fatal(1), Happening::Made, fatal(1), fatal(1)]), [100]);
    }

    #[test]
    fn the_next_producer_has_the_next_generation_and_can_turn_fatal_too() {
        let (renewal, _) = Renewal::FIRST.after(fatal(1));
        assert_eq!(renewal.generation, 2);
        assert_eq!(waits(&[fatal(1), Happening::Made, fatal(2)]), [100, 200]);
    }

    #[test]
    fn a_producer_that_is_still_to_come_cannot_turn_fatal() {
        assert_eq!(waits(&[fatal(1), fatal(2)]), [100]);
    }

    #[test]
    fn waits_double_up_to_half_a_minute() {
        let mut happenings = vec![fatal(1)];
        happenings.extend([Happening::NotMade; 10]);
        assert_eq!(waits(&happenings), [100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000]);
    }

    #[test]
    fn an_acknowledged_record_makes_the_waits_short_again() {
        let worked = Happening::Fatal { generation: 2, acked: true };
        assert_eq!(waits(&[fatal(1), Happening::NotMade, Happening::Made, worked]), [100, 200, 100]);
    }

    proptest! {
        #[test]
        fn no_story_makes_a_wait_too_long_or_a_generation_go_back(story in proptest::collection::vec(0_u8..5, 0..200)) {
            let mut renewal = Renewal::FIRST;
            for chapter in story {
                let generation = renewal.generation;
                let (next, step) = renewal.after(match chapter {
                    0 => fatal(generation),
                    1 => fatal(generation.saturating_sub(1)),
                    2 => Happening::Fatal { generation, acked: true },
                    3 => Happening::Made,
                    _ => Happening::NotMade,
                });
                prop_assert!(next.generation == generation || (renewal.in_use && next.generation == generation + 1));
                if let Step::RenewAfter(wait) = step {
                    prop_assert!(wait >= FIRST && wait <= LONGEST && !next.in_use);
                }
                renewal = next;
            }
        }
    }
}
