//! Answers as JSON. Moments are RFC 3339.

use std::collections::BTreeMap;

use hooklog_schemas::{Millis, time};
use serde::Serialize;

use crate::answer::Grant;
use crate::beginning::Incomplete;
use crate::fold::scope::Scope;

/// Up to where an answer is true, and from where on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Basis {
    /// `events/<partition>` -> the next offset that is not in it.
    pub(crate) position: BTreeMap<String, i64>,
    /// There only where the beginning of that partition was deleted before the views read it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) incomplete: Option<Incomplete>,
}

/// One subscription.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct SubscriptionAnswer {
    id: String,
    customer: Option<String>,
    livemode: bool,
    account: Option<String>,
    status: String,
    access: bool,
    reason: String,
    until: Option<String>,
    because: Vec<String>,
    /// There only when true: events of one second contradict each other, and a fixed rank chose.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    ambiguous: bool,
    current_period_start: Option<String>,
    current_period_end: Option<String>,
    trial_end: Option<String>,
    cancel_at: Option<String>,
    cancel_at_period_end: bool,
    ended_at: Option<String>,
    pause_collection: bool,
    /// Left out where the answer around it has one.
    #[serde(flatten)]
    basis: Option<Basis>,
}

/// What a customer may use.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct AccessAnswer {
    pub(crate) customer: String,
    pub(crate) livemode: bool,
    pub(crate) account: Option<String>,
    pub(crate) access: bool,
    pub(crate) reason: String,
    pub(crate) until: Option<String>,
    pub(crate) because: Vec<String>,
    pub(crate) subscriptions: Vec<SubscriptionAnswer>,
    /// There only when true: the list was cut; the access was told from all of them.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) has_more: bool,
    #[serde(flatten)]
    pub(crate) basis: Basis,
}

/// A page of a customer's subscriptions.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct PageAnswer {
    pub(crate) customer: String,
    pub(crate) livemode: bool,
    pub(crate) account: Option<String>,
    pub(crate) subscriptions: Vec<SubscriptionAnswer>,
    pub(crate) has_more: bool,
    /// What to give as `after` for the next page.
    pub(crate) next: Option<String>,
    #[serde(flatten)]
    pub(crate) basis: Basis,
}

impl SubscriptionAnswer {
    /// Of a grant at a moment, epoch seconds.
    pub(crate) fn of(id: &str, scope: &Scope, grant: &Grant<'_>, at: i64, basis: Option<Basis>) -> Self {
        let facts = grant.facts;
        Self {
            id: id.to_owned(),
            customer: facts.customer.clone(),
            livemode: !scope.test,
            account: scope.account().map(str::to_owned),
            status: facts.status.clone(),
            access: grant.holds(at),
            reason: grant.reason(at).to_owned(),
            until: moment(grant.until),
            because: grant.because.iter().map(|id| (*id).to_owned()).collect(),
            ambiguous: grant.ambiguous,
            current_period_start: moment(facts.period.map(|(start, _)| start)),
            current_period_end: moment(facts.period.map(|(_, end)| end)),
            trial_end: moment(facts.trial_end),
            cancel_at: moment(facts.cancel_at),
            cancel_at_period_end: facts.cancel_at_period_end,
            ended_at: moment(facts.ended_at),
            pause_collection: facts.pause_collection,
            basis,
        }
    }
}

/// Epoch seconds as RFC 3339; none also for moments beyond the calendar.
pub(crate) fn moment(seconds: Option<i64>) -> Option<String> {
    time::rfc3339(Millis(seconds?.checked_mul(1000)?))
}
