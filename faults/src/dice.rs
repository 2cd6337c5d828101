//! Seeded chance: what is drawn for a cycle or a post depends on the seed and its number alone, so that a run can be repeated
//! and gone on with anywhere.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// A stream of chance.
#[derive(Debug)]
pub(crate) struct Dice(ChaCha8Rng);

impl Dice {
    /// For one `purpose` under `seed`, and of its streams the one with this number; none depends on another.
    pub(crate) fn new(seed: u64, purpose: &[u8; 8], stream: u64) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..16].copy_from_slice(purpose);
        key[16..24].copy_from_slice(&stream.to_le_bytes());
        Self(ChaCha8Rng::from_seed(key))
    }

    /// Uniform in `0..bound`; 0 where the bound is 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        let wide = u128::from(self.0.next_u64()) * u128::from(bound);
        u64::try_from(wide >> 64).unwrap_or(0)
    }

    /// Uniform in `low..=high`.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low) + 1)
    }

    /// One of several, each as likely as the others.
    pub(crate) fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        let place = self.below(choices.len() as u64);
        choices[usize::try_from(place).unwrap_or(0)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_and_a_number_give_the_same_draws_and_others_give_others() {
        let draws = |seed, stream| {
            let mut dice = Dice::new(seed, b"a test..", stream);
            (0..8).map(|_| dice.below(1_000_000)).collect::<Vec<_>>()
        };
        assert_eq!(draws(1, 2), draws(1, 2));
        assert_ne!(draws(1, 2), draws(1, 3));
        assert_ne!(draws(1, 2), draws(2, 2));
    }

    #[test]
    fn both_ends_are_drawn_and_nothing_outside() {
        let mut dice = Dice::new(1, b"a test..", 0);
        let drawn: std::collections::BTreeSet<_> = (0..200).map(|_| dice.between(4, 7)).collect();
        assert_eq!(drawn.into_iter().collect::<Vec<_>>(), [4, 5, 6, 7]);
    }
}
