//! The state of one subscription: everything of it that can still matter, whatever comes and in whatever order.

use super::chain;
use super::event::{Kind, Moment, SubscriptionEvent, UNDATED};
use super::past_due::PastDue;
use crate::stripe::subscription::{Facts, is_terminal};

/// Events of one second that are kept, the smallest ids of all ever seen. Stripe allows some tens of writes a second in a
/// whole account, so more than these for one object is not life but a mistake; the row is flagged then.
pub const MAX_SAME_SECOND: usize = 64;

/// What is known of one subscription. See the map of [`crate::fold`] for why this much and no more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subscription {
    /// The event that ended it; where there is one, the rest is empty.
    pub ended: Option<Dated>,
    /// The `created` event, while no later second pushed it out.
    pub root: Option<Dated>,
    /// The newest second apart from the root.
    pub newest: Option<Second>,
    /// Since when it is past due.
    pub overdue: PastDue,
}

/// One event with its second.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Dated {
    /// The event's `created`, epoch seconds.
    pub second: i64,
    /// The event.
    pub told: SubscriptionEvent,
}

/// All events of one second.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Second {
    /// Epoch seconds.
    pub at: i64,
    /// The events, ascending by id, each id once.
    pub told: Vec<SubscriptionEvent>,
    /// Whether there were more than [`MAX_SAME_SECOND`].
    pub overflowed: bool,
}

/// What a state says in the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved<'a> {
    /// The facts that hold.
    pub facts: &'a Facts,
    /// The events that made it so; the last one decided.
    pub because: Vec<&'a str>,
    /// Whether rules 5 and 6 had to choose between events that say different things.
    pub ambiguous: bool,
    /// The second in which the present run of `past_due` began and the event that says so, if the status is that.
    pub overdue_since: Option<(i64, &'a str)>,
}

impl Subscription {
    /// Takes in one event. Commutative and idempotent.
    pub fn absorb(&mut self, second: i64, came_from: Option<&str>, told: SubscriptionEvent) {
        if told.kind == Kind::Deleted || is_terminal(&told.facts.status) {
            return self.end(Dated { second, told: SubscriptionEvent { object: None, before: None, ..told } });
        }
        if self.ended.is_some() {
            return;
        }
        if second != UNDATED {
            self.overdue.absorb(&Moment { second, id: told.id.clone() }, &told.facts.status, came_from);
        }
        match told.kind {
            Kind::Created => self.plant(Dated { second, told }),
            _ => self.join(second, told),
        }
        let newest = self.newest.as_ref().map(|newest| newest.at);
        // The newest second only ever grows, so a root that is too old once stays so.
        self.root.take_if(|root| Some(root.second) < newest);
    }

    /// What holds now; nothing only for a state that never took in an event.
    pub fn resolve(&self) -> Option<Resolved<'_>> {
        if let Some(ended) = &self.ended {
            return Some(alone(&ended.told));
        }
        let Some(newest) = &self.newest else {
            return self.root.as_ref().map(|root| self.dated(root.second, alone(&root.told)));
        };
        let root = self.root.as_ref().filter(|root| root.second == newest.at).map(|root| &root.told);
        let last = chain::last(root, &newest.told);
        let because = last.because.iter().map(|told| told.id.as_str()).collect();
        let ambiguous = last.ambiguous || newest.overflowed;
        Some(self.dated(newest.at, Resolved { facts: &last.winner.facts, because, ambiguous, overdue_since: None }))
    }

    /// Where another status was told in the same second, and none says which came first, the run begins in that second.
    fn dated<'a>(&'a self, second: i64, resolved: Resolved<'a>) -> Resolved<'a> {
        if resolved.facts.status != super::past_due::PAST_DUE {
            return resolved;
        }
        let itself = resolved.because.last().filter(|_| second != UNDATED).map(|id| (second, *id));
        let since = self.overdue.since().map(|moment| (moment.second, moment.id.as_str()));
        Resolved { overdue_since: since.or(itself), ..resolved }
    }

    /// Of several events that end it the sink stands, then the first: what is terminal absorbs.
    fn end(&mut self, new: Dated) {
        let place = |ended: &Dated| (ended.told.kind != Kind::Deleted, ended.clone());
        let ended = match self.ended.take() {
            Some(known) if place(&known) <= place(&new) => known,
            _ => new,
        };
        *self = Self { ended: Some(ended), ..Self::default() };
    }

    /// The newest root, so that which one stays does not depend on when the older ones were pushed out.
    fn plant(&mut self, new: Dated) {
        let newer = |known: &Dated| (new.second, &known.told) > (known.second, &new.told);
        if self.root.as_ref().is_none_or(newer) {
            self.root = Some(new);
        }
    }

    fn join(&mut self, second: i64, told: SubscriptionEvent) {
        match &mut self.newest {
            Some(newest) if newest.at > second => {}
            Some(newest) if newest.at == second => newest.insert(told),
            newest => *newest = Some(Second { at: second, told: vec![told], overflowed: false }),
        }
    }
}

impl Second {
    fn insert(&mut self, told: SubscriptionEvent) {
        match self.told.binary_search_by(|known| known.id.cmp(&told.id)) {
            // One id, two contents: which one came first must not matter.
            Ok(at) if told < self.told[at] => self.told[at] = told,
            Ok(_) => {}
            Err(at) => self.told.insert(at, told),
        }
        if self.told.len() > MAX_SAME_SECOND {
            self.told.pop();
            self.overflowed = true;
        }
    }
}

fn alone(told: &SubscriptionEvent) -> Resolved<'_> {
    Resolved { facts: &told.facts, because: vec![&told.id], ambiguous: false, overdue_since: None }
}
