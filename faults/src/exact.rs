//! Whether every acknowledged event is in `events` once: pure.

/// How often each event was seen, by its number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    times: Vec<u8>,
    strangers: Vec<String>,
}

/// What is wrong, by the numbers of the events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wrong {
    /// Acknowledged, and not there.
    pub(crate) missing: Vec<u64>,
    /// There more than once, whether acknowledged or not.
    pub(crate) doubled: Vec<u64>,
    /// Nobody posted them.
    pub(crate) strangers: Vec<String>,
}

impl Seen {
    /// An event of the load was read.
    pub(crate) fn note(&mut self, number: u64) {
        let place = usize::try_from(number).unwrap_or(usize::MAX);
        if self.times.len() <= place {
            self.times.resize(place + 1, 0);
        }
        self.times[place] = self.times[place].saturating_add(1);
    }

    /// Something was read that is not of the load.
    pub(crate) fn note_stranger(&mut self, id: String) {
        self.strangers.push(id);
    }

    /// Different events.
    pub(crate) fn events(&self) -> u64 {
        self.times.iter().filter(|times| **times > 0).count() as u64
    }

    /// Every acknowledged event must be there once; what was posted and not acknowledged may be there once.
    pub(crate) fn judge(&self, acknowledged: &[u64]) -> Result<(), Wrong> {
        let times = |number: u64| usize::try_from(number).ok().and_then(|place| self.times.get(place)).unwrap_or(&0);
        let missing = acknowledged.iter().copied().filter(|number| *times(*number) == 0).collect();
        let counted = (0..).zip(&self.times);
        let doubled = counted.filter(|(_, times)| **times > 1).map(|(number, _)| number).collect();
        let wrong = Wrong { missing, doubled, strangers: self.strangers.clone() };
        if wrong == Wrong::default() { Ok(()) } else { Err(wrong) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn seen(numbers: &[u64]) -> Seen {
        let mut seen = Seen::default();
        numbers.iter().for_each(|number| seen.note(*number));
        seen
    }

    #[test]
    fn once_each_in_any_order_is_right() {
        assert_eq!(seen(&[2, 0, 1]).judge(&[0, 1, 2]), Ok(()));
        assert_eq!(seen(&[]).judge(&[]), Ok(()));
    }

    #[test]
    fn what_was_not_acknowledged_may_be_there_once_or_not_at_all() {
        assert_eq!(seen(&[0, 7]).judge(&[0]), Ok(()));
    }

    #[test]
    fn what_was_acknowledged_and_is_not_there_is_missing() {
        let wrong = seen(&[0, 2]).judge(&[0, 1, 2, 9]).unwrap_err();
        assert_eq!(wrong, Wrong { missing: vec![1, 9], ..Wrong::default() });
    }

    #[test]
    fn what_is_there_twice_is_doubled_even_where_nobody_acknowledged_it() {
        let wrong = seen(&[0, 1, 0, 3, 3, 3]).judge(&[0, 1]).unwrap_err();
        assert_eq!(wrong, Wrong { doubled: vec![0, 3], ..Wrong::default() });
    }

    #[test]
    fn what_nobody_posted_is_wrong() {
        let mut strange = seen(&[0]);
        strange.note_stranger("evt_x".to_owned());
        assert_eq!(strange.judge(&[0]).unwrap_err().strangers, ["evt_x"]);
    }

    proptest! {
        #[test]
        fn the_verdict_is_that_of_a_count(read in prop::collection::vec(0_u64..30, 0..60), acked in prop::collection::btree_set(0_u64..40, 0..40)) {
            let mut times: BTreeMap<u64, usize> = BTreeMap::new();
            read.iter().for_each(|number| *times.entry(*number).or_default() += 1);
            let acked: Vec<_> = acked.into_iter().collect();
            let wrong = seen(&read).judge(&acked).err().unwrap_or_default();
            prop_assert!(wrong.missing.iter().all(|number| acked.contains(number) && !times.contains_key(number)));
            prop_assert!(acked.iter().all(|number| times.contains_key(number) != wrong.missing.contains(number)));
            let doubled: Vec<_> = times.iter().filter(|(_, times)| **times > 1).map(|(number, _)| *number).collect();
            prop_assert_eq!(wrong.doubled, doubled);
        }
    }
}
