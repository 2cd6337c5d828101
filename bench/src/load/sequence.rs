//! Which event stands at which place of the load: every tenth record repeats an earlier event.

use super::draw::Draw;

/// One record in so many is a duplicate.
const DUPLICATE_EVERY: u64 = 10;

/// The number of the event at `position`. Repeats are drawn over everything before them, which is the hardest case for
/// a store: what is looked up is seldom what was written last.
pub(crate) fn event_at(seed: u64, position: u64) -> u64 {
    if is_duplicate(position) {
        Draw::new(seed ^ 0x00D0_091E, position).below(unique_before(position))
    } else {
        unique_before(position)
    }
}

/// How many different events the first `records` places hold.
pub(crate) fn unique_before(records: u64) -> u64 {
    records - records / DUPLICATE_EVERY
}

fn is_duplicate(position: u64) -> bool {
    position % DUPLICATE_EVERY == DUPLICATE_EVERY - 1
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{event_at, unique_before};

    #[test]
    fn a_tenth_of_the_records_repeats_something_earlier_and_nothing_is_left_out() {
        let mut seen = HashSet::new();
        let repeats = (0..10_000).filter(|position| !seen.insert(event_at(1, *position))).count();
        assert_eq!(repeats, 1_000);
        assert_eq!(seen.len() as u64, unique_before(10_000));
        assert_eq!(seen.iter().max(), Some(&8_999));
    }

    #[test]
    fn repeats_reach_back_over_the_whole_load_and_not_only_to_the_last_few() {
        let early = (50_000..100_000).filter(|position| event_at(1, *position) < 10_000).count();
        assert!(early > 300, "{early} repeats of the first ninth");
    }
}
