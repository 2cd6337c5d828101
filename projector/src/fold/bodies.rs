//! Small builders of Stripe's bodies, and a world of states to fold them into, for tests alone.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::customer::Customer;
use super::event::{Label, Parsed, parse, wanted};
use super::scope::Scope;
use super::subscription::Subscription;
use crate::answer::{Access, Grant};
use crate::rules::{DEFAULT, Rules};
use crate::stripe::json::Json;

/// One event's body, with defaults that can be changed.
#[derive(Clone, Debug)]
pub(crate) struct Body(pub(crate) Value);

impl Body {
    /// An event about `sub_1` of `cus_1`, type `customer.subscription.<kind>`.
    pub(crate) fn subscription(id: &str, kind: &str, second: i64, status: &str) -> Self {
        Self(json!({"id": id, "object": "event", "type": format!("customer.subscription.{kind}"), "created": second,
            "livemode": true, "data": {"object": {"id": "sub_1", "object": "subscription", "customer": "cus_1",
            "status": status, "created": 1, "cancel_at_period_end": false, "metadata": {}}}}))
    }

    /// An `invoice.<kind>` of `sub_1`, which these views do not need.
    pub(crate) fn invoice(id: &str, kind: &str, second: i64) -> Self {
        Self(
            json!({"id": id, "object": "event", "type": format!("invoice.{kind}"), "created": second, "livemode": true,
            "data": {"object": {"id": "in_1", "object": "invoice", "customer": "cus_1", "subscription": "sub_1"},
            "previous_attributes": {"status": "open"}}}),
        )
    }

    /// An event about the customer `cus_1`, type `customer.<kind>`.
    pub(crate) fn customer(id: &str, kind: &str, second: i64) -> Self {
        Self(
            json!({"id": id, "object": "event", "type": format!("customer.{kind}"), "created": second, "livemode": true,
            "data": {"object": {"id": "cus_1", "object": "customer"}}}),
        )
    }

    /// Sets a field of the object.
    pub(crate) fn with(mut self, field: &str, value: Value) -> Self {
        self.0["data"]["object"][field] = value;
        self
    }

    /// Sets a field of the event.
    pub(crate) fn event(mut self, field: &str, value: Value) -> Self {
        self.0[field] = value;
        self
    }

    /// Sets `previous_attributes`.
    pub(crate) fn before(mut self, previous: Value) -> Self {
        self.0["data"]["previous_attributes"] = previous;
        self
    }

    pub(crate) fn heard(&self) -> Parsed {
        let text = self.0.to_string();
        let tree = Json::read(&text).unwrap();
        let kind = tree.get("type").text().unwrap_or_default();
        let label = Label { id: tree.get("id").text().unwrap(), kind, created: tree.get("created").second() };
        match wanted(kind, tree.get("data").get("object").get("object").text()) {
            Some(wanted) => parse(label, wanted, tree.get("data")),
            None => Parsed::NotNeeded,
        }
    }

    fn scope(&self) -> Scope {
        let account = self.0["account"].as_str();
        let test = self.0["livemode"] == json!(false);
        Scope { test, connect: account.is_some(), name: account.unwrap_or("stripe").to_owned() }
    }
}

/// All states, as the store would hold them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct World {
    pub(crate) subscriptions: BTreeMap<(Scope, String), Subscription>,
    pub(crate) customers: BTreeMap<(Scope, String), Customer>,
    pub(crate) not_needed: usize,
    pub(crate) not_understood: Vec<&'static str>,
}

impl World {
    pub(crate) fn of<'a>(bodies: impl IntoIterator<Item = &'a Body>) -> Self {
        let mut world = Self::default();
        bodies.into_iter().for_each(|body| world.fold(body));
        world
    }

    pub(crate) fn fold(&mut self, body: &Body) {
        match body.heard() {
            Parsed::Subscription { id, second, came_from, told } => {
                let state = self.subscriptions.entry((body.scope(), id)).or_default();
                state.absorb(second, came_from.as_deref(), *told);
            }
            Parsed::Customer { id, deleted } => self.customers.entry((body.scope(), id)).or_default().absorb(deleted),
            Parsed::NotNeeded => self.not_needed += 1,
            Parsed::NotUnderstood(why) => self.not_understood.push(why),
        }
    }

    /// The grants of a scope.
    pub(crate) fn grants<'a>(&'a self, scope: &Scope, rules: &'a Rules) -> Vec<Grant<'a>> {
        let of_scope = self.subscriptions.iter().filter(|((of, _), _)| of == scope);
        of_scope.filter_map(|(_, state)| self.grant(scope, state, rules)).collect()
    }

    fn grant<'a>(&'a self, scope: &Scope, state: &'a Subscription, rules: &'a Rules) -> Option<Grant<'a>> {
        let owner = state.resolve()?.facts.customer.clone();
        let customer = owner.and_then(|owner| self.customers.get(&(scope.clone(), owner)));
        Grant::of(state, customer, rules)
    }

    /// Status and access of `sub_1`, live, by the built-in rules; the events that made it so; whether it is flagged.
    pub(crate) fn view(&self) -> (String, bool, Vec<String>, bool) {
        let (rules, scope) = (Rules::built_in(), live());
        let grants = self.grants(&scope, &rules);
        let [grant] = &grants[..] else { panic!("one subscription expected, got {grants:?}") };
        let because = grant.because.iter().map(|id| (*id).to_owned()).collect();
        (grant.facts.status.clone(), grant.holds(i64::MAX), because, grant.ambiguous)
    }

    pub(crate) fn access(&self) -> bool {
        let (rules, scope) = (Rules::built_in(), live());
        let customer = self.customers.get(&(scope.clone(), "cus_1".to_owned()));
        Access::of(&self.grants(&scope, &rules), customer, &rules, 0).access
    }

    /// Everything as bytes: states as stored, and what they answer by rules with days of grace and without.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let both = [Rules::built_in(), with_grace()];
        let mut out = Vec::new();
        for ((scope, id), state) in &self.subscriptions {
            for grant in both.iter().map(|rules| self.grant(scope, state, rules)) {
                out.extend(format!("{scope:?}{id}{grant:?}").into_bytes());
            }
            out.extend(state.to_bytes());
        }
        self.customers.values().for_each(|customer| out.extend(customer.to_bytes()));
        out
    }
}

/// The built-in rules with seven days of grace.
pub(crate) fn with_grace() -> Rules {
    Rules::parse(&DEFAULT.replace("# grace_days = 7", "grace_days = 7")).unwrap()
}

pub(crate) fn live() -> Scope {
    Scope { test: false, connect: false, name: "stripe".into() }
}

/// Every order of the items.
pub(crate) fn permutations<T: Clone>(items: &[T]) -> Vec<Vec<T>> {
    let Some((first, rest)) = items.split_first() else { return vec![Vec::new()] };
    let insert = |order: Vec<T>| {
        (0..=order.len())
            .map(move |at| [&order[..at], std::slice::from_ref(first), &order[at..]].concat())
            .collect::<Vec<_>>()
    };
    permutations(rest).into_iter().flat_map(insert).collect()
}
