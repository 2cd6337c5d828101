//! Answers: what a state gives under some rules at some moment. Pure; the moment is an argument, so access never waits for
//! a tick to end.

use crate::fold::customer::Customer;
use crate::fold::subscription::{Resolved, Subscription};
use crate::rules::{Rules, Verdict};
use crate::stripe::subscription::Facts;

/// The code of an access whose grace period is over.
pub const GRACE_OVER: &str = "grace_over";

/// What a subscription gives, before it is asked at which moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant<'a> {
    /// The facts that hold.
    pub facts: &'a Facts,
    /// What the rules say.
    pub verdict: &'a Verdict,
    /// When the access ends, epoch seconds; none for no limit, and where there is no access anyway.
    pub until: Option<i64>,
    /// The ids of the events that made it so; the last one decided.
    pub because: Vec<&'a str>,
    /// Whether the order of truth had to choose by rank between events that say different things.
    pub ambiguous: bool,
}

impl<'a> Grant<'a> {
    /// Of a subscription and its customer; none for a state that never took in an event.
    pub fn of(subscription: &'a Subscription, customer: Option<&'a Customer>, rules: &'a Rules) -> Option<Self> {
        let resolved = subscription.resolve()?;
        match customer.and_then(|customer| customer.deleted.as_ref()) {
            Some(deleted) => Some(Self::revoked(resolved, &deleted.id, rules)),
            None => Some(Self::of_status(resolved, rules)),
        }
    }

    fn of_status(resolved: Resolved<'a>, rules: &'a Rules) -> Self {
        let Resolved { facts, mut because, ambiguous, overdue_since } = resolved;
        let verdict = rules.of_status(&facts.status);
        let limit = verdict.grace.zip(overdue_since);
        if let Some((_, (_, since))) = limit
            && !because.contains(&since)
        {
            because.insert(0, since);
        }
        let until = limit.map(|(grace, (second, _))| second.saturating_add(grace));
        Self { facts, verdict, until, because, ambiguous }
    }

    /// The customer's deletion decides, so it comes last.
    fn revoked(resolved: Resolved<'a>, deletion: &'a str, rules: &'a Rules) -> Self {
        let Resolved { facts, mut because, ambiguous, .. } = resolved;
        because.push(deletion);
        Self { facts, verdict: rules.of_deleted_customer(), until: None, because, ambiguous }
    }

    /// Whether there is access at a moment, epoch seconds.
    pub fn holds(&self, at: i64) -> bool {
        self.verdict.access && self.until.is_none_or(|until| at < until)
    }

    /// Why there is access or none at a moment.
    pub fn reason(&self, at: i64) -> &'a str {
        if self.verdict.access && !self.holds(at) { GRACE_OVER } else { &self.verdict.reason }
    }
}

/// What a customer has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// Whether any subscription gives access.
    pub access: bool,
    /// When the last of those ends, epoch seconds; none for no limit, and where there is no access.
    pub until: Option<i64>,
    /// The code of the subscription that decided, or of why none does.
    pub reason: String,
    /// The events that made it so.
    pub because: Vec<String>,
}

impl Access {
    /// Of all subscriptions of a customer at a moment, epoch seconds.
    pub fn of(grants: &[Grant<'_>], customer: Option<&Customer>, rules: &Rules, at: i64) -> Self {
        let lasting = |grant: &&Grant<'_>| grant.until.unwrap_or(i64::MAX);
        match grants.iter().filter(|grant| grant.holds(at)).max_by_key(lasting) {
            Some(best) => Self {
                access: true,
                until: best.until,
                reason: best.reason(at).to_owned(),
                because: best.because.iter().map(|id| (*id).to_owned()).collect(),
            },
            None => Self::none(grants, customer, rules),
        }
    }

    fn none(grants: &[Grant<'_>], customer: Option<&Customer>, rules: &Rules) -> Self {
        let deleted = customer.and_then(|customer| customer.deleted.as_ref());
        let reason = match deleted {
            Some(_) => &rules.of_deleted_customer().reason,
            None if grants.is_empty() => "no_subscription",
            None => "no_subscription_gives_access",
        };
        let because = match deleted {
            Some(moment) => vec![moment.id.clone()],
            None => grants.iter().flat_map(|grant| &grant.because).map(|id| (*id).to_owned()).collect(),
        };
        Self { access: false, until: None, reason: reason.to_owned(), because }
    }
}

#[cfg(test)]
mod tests;
