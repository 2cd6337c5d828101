//! Since when a subscription is past due, independent of the order in which events come.
//!
//! A grace period needs the begin of the present run of `past_due`. The event that made the transition says so itself
//! (`previous_attributes.status`), so the newest of those is enough as long as no other status was heard after it. Where it
//! is missing (a log that begins in the middle, a payload without `previous_attributes`), the first `past_due` since the
//! last other status stands in. For that the seconds since are kept: all of them are "the greatest n", so what is dropped
//! does not depend on order. A run without a transition and with more than [`MAX_SEEN`] events begins, as far as we know,
//! with the oldest one that is kept: later than the truth, in the customer's favour.

use super::event::Moment;

/// Seconds of one run that are kept when its transition is not known. Stripe retries a payment at most some tens of times.
pub const MAX_SEEN: usize = 32;

/// Stripe's word for the status whose begin is wanted.
pub const PAST_DUE: &str = "past_due";

/// What is remembered of `past_due`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PastDue {
    /// The newest second in which any other status was told.
    pub other: Option<i64>,
    /// The newest transition into `past_due`.
    pub entered: Option<Moment>,
    /// The newest seconds after `other` in which `past_due` was told, ascending, each with its smallest event id.
    pub seen: Vec<Moment>,
}

impl PastDue {
    /// Takes in that an event told `status` and, if it said so, from which one it came.
    pub fn absorb(&mut self, moment: &Moment, status: &str, came_from: Option<&str>) {
        if status != PAST_DUE {
            self.other = self.other.max(Some(moment.second));
        } else {
            if came_from.is_some_and(|from| from != PAST_DUE) {
                self.enter(moment);
            }
            self.see(moment);
        }
        let other = self.other;
        self.seen.retain(|seen| Some(seen.second) > other);
    }

    /// When the present run began; meaningful while the status is `past_due`.
    pub fn since(&self) -> Option<&Moment> {
        let entered = self.entered.as_ref().filter(|entered| Some(entered.second) >= self.other);
        entered.or_else(|| self.seen.first())
    }

    fn enter(&mut self, moment: &Moment) {
        let newer = |known: &Moment| (moment.second, &known.id) > (known.second, &moment.id);
        if self.entered.as_ref().is_none_or(newer) {
            self.entered = Some(moment.clone());
        }
    }

    fn see(&mut self, moment: &Moment) {
        match self.seen.binary_search_by_key(&moment.second, |seen| seen.second) {
            Ok(at) if moment.id < self.seen[at].id => self.seen[at].id.clone_from(&moment.id),
            Ok(_) => {}
            Err(at) => self.seen.insert(at, moment.clone()),
        }
        if self.seen.len() > MAX_SEEN {
            self.seen.remove(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Event = (i64, &'static str, Option<&'static str>);

    fn fold(events: impl IntoIterator<Item = Event>) -> PastDue {
        let mut state = PastDue::default();
        for (second, status, from) in events {
            state.absorb(&Moment { second, id: format!("evt_{second}_{status}") }, status, from);
        }
        state
    }

    fn since(events: &[Event]) -> Option<i64> {
        fold(events.iter().copied()).since().map(|moment| moment.second)
    }

    #[test]
    fn the_run_begins_with_the_newest_transition() {
        let first = (10, "past_due", Some("active"));
        let paid = (20, "active", Some("past_due"));
        let second = (30, "past_due", Some("active"));
        assert_eq!(since(&[first, paid, second, (40, "past_due", None)]), Some(30));
        assert_eq!(since(&[(40, "past_due", None), second, paid, first]), Some(30));
    }

    #[test]
    fn without_its_transition_the_run_begins_after_the_last_other_status() {
        assert_eq!(
            since(&[(40, "past_due", None), (5, "past_due", None), (30, "past_due", None), (20, "active", None)]),
            Some(30)
        );
    }

    #[test]
    fn a_transition_before_the_last_other_status_is_of_an_earlier_run() {
        assert_eq!(since(&[(10, "past_due", Some("active")), (20, "active", None), (25, "past_due", None)]), Some(25));
    }

    #[test]
    fn a_run_that_never_ends_keeps_a_bounded_number_of_seconds() {
        let state = fold((0..1000).map(|second| (second, "past_due", None)));
        assert_eq!((state.seen.len(), state.seen[0].second), (MAX_SEEN, 968));
    }

    /// What all events together say, by the plainest reading of the words above.
    fn naive(events: &[Event]) -> Option<i64> {
        let of = |wanted: fn(&Event) -> bool| events.iter().filter(move |event| wanted(event)).map(|event| event.0);
        let other = of(|(_, status, _)| *status != PAST_DUE).max();
        let entered = of(|(_, status, from)| *status == PAST_DUE && from.is_some_and(|from| from != PAST_DUE)).max();
        let mut told: Vec<i64> = of(|(_, status, _)| *status == PAST_DUE).collect();
        told.sort_unstable();
        told.dedup();
        let kept = &told[told.len().saturating_sub(MAX_SEEN)..];
        entered.filter(|entered| Some(*entered) >= other).or(kept.iter().copied().find(|second| Some(*second) > other))
    }

    proptest! {
        /// Each prefix of a disordered history is a history, too.
        #[test]
        fn the_run_begins_where_all_events_together_say(
            events in prop::collection::vec((0..60i64, prop::sample::select(vec![("past_due", None), ("past_due", None),
                ("past_due", None), ("past_due", Some("past_due")), ("past_due", Some("active")),
                ("active", Some("past_due"))])), 1..100),
        ) {
            let events: Vec<Event> = events.iter().map(|(second, (status, from))| (*second, *status, *from)).collect();
            let mut state = PastDue::default();
            for (nth, (second, status, from)) in events.iter().enumerate() {
                state.absorb(&Moment { second: *second, id: format!("evt_{nth}") }, status, *from);
                prop_assert_eq!(state.since().map(|moment| moment.second), naive(&events[..=nth]), "{:?}", &events[..=nth]);
            }
        }

        #[test]
        fn any_order_and_repetition_gives_the_same_state(
            mut events in prop::collection::vec((0..80i64, prop::sample::select(vec![("past_due", None),
                ("past_due", Some("active")), ("active", Some("past_due"))])), 1..120),
            shuffled in any::<prop::sample::Index>(),
        ) {
            let as_event = |(second, (status, from)): &(i64, (&'static str, Option<&'static str>))| (*second, *status, *from);
            let forward = fold(events.iter().map(as_event));
            let at = shuffled.index(events.len());
            events.rotate_left(at);
            let rotated = fold(events.iter().map(as_event));
            events.reverse();
            let twice = fold(events.iter().chain(events.iter()).map(as_event));
            prop_assert_eq!(&forward, &rotated);
            prop_assert_eq!(&forward, &twice);
        }
    }
}
