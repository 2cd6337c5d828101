//! Seeded chance. Own reductions over ChaCha's words, so that no release of `rand` can change the bytes of a seed.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// A stream of chance that depends on the seed alone.
pub(crate) struct Dice(ChaCha8Rng);

impl Dice {
    /// Dice for one `purpose` under `seed`; purposes are independent of each other.
    pub(crate) fn new(seed: u64, purpose: &[u8; 8]) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..16].copy_from_slice(purpose);
        Self(ChaCha8Rng::from_seed(key))
    }

    /// 64 uniform bits.
    pub(crate) fn word(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Uniform in `0..bound`; 0 where the bound is 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        let wide = u128::from(self.word()) * u128::from(bound);
        (wide >> 64) as u64
    }

    /// Uniform in `low..=high`.
    pub(crate) fn between(&mut self, low: i64, high: i64) -> i64 {
        low + self.below((high - low).unsigned_abs() + 1) as i64
    }

    /// True in `percent` of a hundred throws.
    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of several, each as likely as its weight says; `None` where all weights are 0.
    pub(crate) fn weighted<T: Copy>(&mut self, choices: impl Iterator<Item = (u64, T)> + Clone) -> Option<T> {
        let total = choices.clone().map(|(weight, _)| weight).sum();
        let mut left = self.below(total);
        for (weight, choice) in choices {
            if left < weight {
                return Some(choice);
            }
            left -= weight;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_and_a_purpose_give_one_stream() {
        let words = |seed, purpose| {
            let mut dice = Dice::new(seed, purpose);
            [dice.word(), dice.word()]
        };
        assert_eq!(words(1, b"stories_"), words(1, b"stories_"));
        assert_ne!(words(1, b"stories_"), words(2, b"stories_"));
        assert_ne!(words(1, b"stories_"), words(1, b"delivery"));
    }

    #[test]
    fn every_side_comes_up_and_none_beyond_the_bound() {
        let mut dice = Dice::new(7, b"test____");
        let mut seen = [0_u32; 6];
        for _ in 0..6_000 {
            seen[usize::try_from(dice.between(0, 5)).expect("not negative")] += 1;
        }
        assert!(seen.iter().all(|count| (800..1_200).contains(count)), "{seen:?}");
    }

    #[test]
    fn a_choice_of_weight_zero_never_comes() {
        let mut dice = Dice::new(7, b"test____");
        let drawn: Vec<_> =
            (0..200).filter_map(|_| dice.weighted([(0, 'a'), (3, 'b'), (1, 'c')].into_iter())).collect();
        assert_eq!(drawn.len(), 200);
        assert!(!drawn.contains(&'a') && drawn.contains(&'b') && drawn.contains(&'c'));
        assert_eq!(dice.weighted([(0, 'a')].into_iter()), None);
    }
}
