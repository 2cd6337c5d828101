//! Which generation answers, which is being built, which is kept. Pure.

use serde::{Deserialize, Serialize};

/// The state of all generations. Numbers are never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenerationSet {
    /// The format of this.
    format: u32,
    /// The one that answers.
    live: u64,
    /// The one that answered before, kept so that switching back is possible.
    previous: Option<u64>,
    /// The one that is being built.
    building: Option<u64>,
    /// The next number.
    next: u64,
}

const FORMAT: u32 = 1;

impl GenerationSet {
    /// Of a data directory that holds no views yet.
    pub fn first() -> Self {
        Self { format: FORMAT, live: 1, previous: None, building: None, next: 2 }
    }

    /// The one that answers.
    pub fn live(&self) -> u64 {
        self.live
    }

    /// The one that answered before.
    pub fn previous(&self) -> Option<u64> {
        self.previous
    }

    /// The one that is being built.
    pub fn building(&self) -> Option<u64> {
        self.building
    }

    /// Begins a build, unless one is going on; the new generation's number comes with it.
    pub fn build(self) -> Option<(Self, u64)> {
        let building = self.next;
        self.building.is_none().then_some((Self { building: Some(building), next: building + 1, ..self }, building))
    }

    /// Gives the build up: it failed, or the process ended during it.
    pub fn abandon(self) -> Self {
        Self { building: None, ..self }
    }

    /// What was built takes over; what answered so far is kept. Without a build nothing changes.
    pub fn switch(self) -> Self {
        match self.building {
            Some(built) => Self { live: built, previous: Some(self.live), building: None, ..self },
            None => self,
        }
    }

    /// Puts a new generation in the place of the one that answers, which cannot go on; its number comes with it.
    pub fn renew(self) -> Self {
        Self { live: self.next, next: self.next + 1, ..self }
    }

    /// As [`GenerationSet::renew`], and none of the others is worth anything either.
    pub fn begin_anew(self) -> Self {
        Self { previous: None, building: None, ..self.renew() }
    }

    /// Whether the directory of a generation is needed.
    pub fn needs(&self, number: u64) -> bool {
        number == self.live || [self.previous, self.building].contains(&Some(number))
    }

    /// What cannot be in a plan, in words.
    pub fn flaw(&self) -> Option<String> {
        let numbers = [Some(self.live), self.previous, self.building];
        let distinct = |(at, number): (usize, &Option<u64>)| number.is_none() || !numbers[..at].contains(number);
        match () {
            () if self.format != FORMAT => Some(format!("format {} is not known to this version", self.format)),
            () if numbers.iter().flatten().any(|number| *number >= self.next) => Some("a number is used twice".into()),
            () if !numbers.iter().enumerate().all(distinct) => Some("one generation has two parts".into()),
            () => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_build_takes_over_and_the_one_before_is_kept() {
        let (plan, built) = GenerationSet::first().build().unwrap();
        assert_eq!((plan.live(), plan.building(), built), (1, Some(2), 2));
        let plan = plan.switch();
        assert_eq!((plan.live(), plan.previous(), plan.building()), (2, Some(1), None));
        let (plan, built) = plan.build().unwrap();
        let plan = plan.switch();
        assert_eq!((plan.live(), plan.previous()), (built, Some(2)));
        assert!(!plan.needs(1), "only one older generation is kept");
    }

    #[test]
    fn a_build_that_is_given_up_leaves_everything_as_it_was_and_its_number_unused() {
        let (plan, built) = GenerationSet::first().build().unwrap();
        let plan = plan.abandon();
        assert_eq!((plan.live(), plan.previous(), plan.needs(built)), (1, None, false));
        assert_eq!(plan.build().unwrap().1, 3);
    }

    #[test]
    fn what_cannot_go_on_is_replaced_and_a_build_beside_it_goes_on() {
        let (plan, built) = GenerationSet::first().build().unwrap();
        let plan = plan.renew();
        assert_eq!((plan.live(), plan.previous(), plan.building()), (3, None, Some(built)));
        assert!(!plan.needs(1) && plan.needs(built));
        assert_eq!((plan.switch().live(), plan.switch().previous()), (built, Some(3)));
    }

    #[test]
    fn what_begins_anew_keeps_nothing_and_uses_no_number_twice() {
        let plan = GenerationSet::first().build().unwrap().0.switch().build().unwrap().0.begin_anew();
        assert_eq!((plan.live(), plan.previous(), plan.building()), (4, None, None));
        assert!((1..4).all(|number| !plan.needs(number)));
    }

    #[test]
    fn there_is_one_build_at_a_time_and_no_switch_without_one() {
        let (plan, _) = GenerationSet::first().build().unwrap();
        assert_eq!(plan.build(), None);
        assert_eq!(GenerationSet::first().switch(), GenerationSet::first());
    }

    #[test]
    fn a_plan_is_written_as_in_the_first_release() {
        let text = r#"{"format":1,"live":2,"previous":1,"building":null,"next":3}"#;
        let plan = GenerationSet::first().build().unwrap().0.switch();
        assert_eq!(serde_json::to_string(&plan).unwrap(), text);
        assert_eq!(serde_json::from_str::<GenerationSet>(text).unwrap(), plan);
    }

    #[test]
    fn what_cannot_be_is_noticed() {
        for text in [
            r#"{"format":2,"live":1,"previous":null,"building":null,"next":2}"#,
            r#"{"format":1,"live":1,"previous":1,"building":null,"next":2}"#,
            r#"{"format":1,"live":5,"previous":null,"building":null,"next":2}"#,
        ] {
            assert!(serde_json::from_str::<GenerationSet>(text).unwrap().flaw().is_some(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn whatever_happens_one_answers_and_the_plan_has_no_flaw(steps in prop::collection::vec(0..5u8, 0..30)) {
            let mut plan = GenerationSet::first();
            for step in steps {
                plan = match step {
                    0 => plan.build().map_or(plan, |(plan, _)| plan),
                    1 => plan.abandon(),
                    2 => plan.renew(),
                    3 => plan.begin_anew(),
                    _ => plan.switch(),
                };
                prop_assert_eq!(plan.flaw(), None);
                prop_assert!(plan.needs(plan.live()));
            }
        }
    }
}
