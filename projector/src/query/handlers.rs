//! One question answered from one snapshot, so that states and position belong together.

use hooklog_log::partition_for;
use hooklog_schemas::Partition;
use hooklog_store::store::Snapshot;

use super::params::Asked;
use super::problem::Problem;
use super::responses::{AccessAnswer, Basis, PageAnswer, SubscriptionAnswer, moment};
use crate::answer::{Access, Grant};
use crate::error::Error;
use crate::fold::customer::Customer;
use crate::fold::scope::Scope;
use crate::fold::subscription::Subscription;
use crate::generations::Generation;
use crate::projector::Parts;
use crate::views::find;

/// Subscriptions of one customer that an answer looks at, and how many of them it lists.
const LOOKED_AT: usize = 10_000;
const LISTED: usize = 100;

/// The views at one moment.
pub(crate) struct Look<'v> {
    parts: &'v Parts,
    live: &'v Generation,
    restoring: Vec<Partition>,
    snapshot: Snapshot<'v>,
}

impl<'v> Look<'v> {
    /// Looks now. What is restoring is asked first: a partition that was restored only after the snapshot was taken must
    /// not be answered from it.
    pub(crate) fn now(parts: &'v Parts, live: &'v Generation) -> Self {
        let restoring = parts.partitions().filter(|partition| live.is_restoring(*partition)).collect();
        Self { parts, live, restoring, snapshot: live.store.snapshot() }
    }

    /// One subscription.
    pub(crate) fn subscription(&self, id: &str, asked: &Asked) -> Result<SubscriptionAnswer, Problem> {
        let found = find::subscription(&self.snapshot, id, &asked.narrowed)?;
        let (scope, state) = found.ok_or_else(|| self.unknown("subscription", id))?;
        let owner = state.resolve().and_then(|resolved| resolved.facts.customer.clone());
        let basis = self.basis(&scope, owner.as_deref().unwrap_or(id))?;
        let customer = owner.map(|owner| find::customer(&self.snapshot, &owner, &scope)).transpose()?.flatten();
        let grant = Grant::of(&state, customer.as_ref(), &self.live.rules);
        let grant = grant.ok_or_else(|| self.unknown("subscription", id))?;
        Ok(SubscriptionAnswer::of(id, &scope, &grant, asked.at, Some(basis)))
    }

    /// What a customer may use.
    pub(crate) fn access(&self, id: &str, asked: &Asked) -> Result<AccessAnswer, Problem> {
        let (scope, customer, basis) = self.customer(id, asked)?;
        let states = find::subscriptions_of(&self.snapshot, id, &scope, None, LOOKED_AT)?;
        if states.next.is_some() {
            return Err(Problem::internal(&format!(
                "the customer has more than {LOOKED_AT} subscriptions; ask for them one by one"
            )));
        }
        let grants = self.grants(&states.subscriptions, customer.as_ref());
        let plain: Vec<Grant<'_>> = grants.iter().map(|(_, grant)| grant.clone()).collect();
        let access = Access::of(&plain, customer.as_ref(), &self.live.rules, asked.at);
        Ok(AccessAnswer {
            customer: id.to_owned(),
            livemode: !scope.test,
            account: scope.account().map(str::to_owned),
            access: access.access,
            reason: access.reason,
            until: moment(access.until),
            because: access.because,
            subscriptions: listed(&grants[..grants.len().min(LISTED)], &scope, asked.at),
            has_more: grants.len() > LISTED,
            basis,
        })
    }

    /// A page of a customer's subscriptions.
    pub(crate) fn subscriptions(&self, id: &str, asked: &Asked) -> Result<PageAnswer, Problem> {
        let (scope, customer, basis) = self.customer(id, asked)?;
        let page = find::subscriptions_of(&self.snapshot, id, &scope, asked.after.as_deref(), asked.limit)?;
        Ok(PageAnswer {
            customer: id.to_owned(),
            livemode: !scope.test,
            account: scope.account().map(str::to_owned),
            subscriptions: listed(&self.grants(&page.subscriptions, customer.as_ref()), &scope, asked.at),
            has_more: page.next.is_some(),
            next: page.next,
            basis,
        })
    }

    fn customer(&self, id: &str, asked: &Asked) -> Result<(Scope, Option<Customer>, Basis), Problem> {
        let scope = find::customer_scope(&self.snapshot, id, &asked.narrowed)?;
        let scope = scope.ok_or_else(|| self.unknown("customer", id))?;
        let basis = self.basis(&scope, id)?;
        Ok((scope.clone(), find::customer(&self.snapshot, id, &scope)?, basis))
    }

    fn grants<'s>(
        &'s self,
        states: &'s [(String, Subscription)],
        customer: Option<&'s Customer>,
    ) -> Vec<(&'s str, Grant<'s>)> {
        let grant = |(id, state): &'s (String, Subscription)| {
            Some((id.as_str(), Grant::of(state, customer, &self.live.rules)?))
        };
        states.iter().filter_map(grant).collect()
    }

    /// What is not in the views is unknown only once all of the log is.
    fn unknown(&self, what: &str, id: &str) -> Problem {
        if !self.restoring.is_empty() {
            return Problem::restoring();
        }
        // An invoice, say, may have named a customer: these views know what customer and subscription events told.
        let unseen = format!(
            "no customer or subscription event about the {what} `{id}` was seen with this livemode and account"
        );
        match self.live.incomplete(self.parts.partitions()) {
            Ok(lacking) if lacking.is_empty() => Problem::not_found(unseen),
            Ok(_) => Problem::not_found(format!(
                "{unseen}; but the beginning of `events` was deleted before these views read it (see /readyz, `incomplete`)"
            )),
            Err(error) => error.into(),
        }
    }

    /// Up to where all about a subject is in this snapshot, unless its partition is still being restored; and from where on.
    fn basis(&self, scope: &Scope, subject: &str) -> Result<Basis, Problem> {
        let partition: Partition = partition_for(scope.key(subject).as_bytes(), self.parts.input.input.partitions);
        if self.restoring.contains(&partition) {
            return Err(Problem::restoring());
        }
        let applied = self.snapshot.applied(&self.live.source(partition)).map_err(Error::from)?;
        let position = [(format!("events/{partition}"), applied.next.0)].into();
        Ok(Basis { position, incomplete: self.live.incomplete_in(partition)? })
    }
}

fn listed(grants: &[(&str, Grant<'_>)], scope: &Scope, at: i64) -> Vec<SubscriptionAnswer> {
    grants.iter().map(|(id, grant)| SubscriptionAnswer::of(id, scope, grant, at, None)).collect()
}
