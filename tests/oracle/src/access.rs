//! A model of Stripe's subscriptions that is told everything in the order in which it happened.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::fields::{id, is_live, is_thin, object, parse, text};

/// An object of one account in one mode; neither test and live nor two accounts ever mix.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Of {
    /// The Connect account, where the event named one.
    pub account: Option<String>,
    /// Live or test.
    pub livemode: bool,
    /// `sub_...` or `cus_...`
    pub id: String,
}

/// Where a subscription has ended up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// As Stripe spells it.
    pub status: String,
    /// The customer's id, in the same account and mode.
    pub customer: String,
    /// Whether it gives access: by its status, unless its customer is deleted.
    pub access: bool,
}

/// Everything that was told.
#[derive(Clone, Debug, Default)]
pub struct Oracle {
    /// Status and customer of each subscription.
    subscriptions: BTreeMap<Of, (String, String)>,
    customers: BTreeSet<Of>,
    deleted: BTreeSet<Of>,
}

/// The types that show a subscription. One that is not known may mean anything, so it changes nothing.
const SHOWING: &[&str] = &[
    "customer.subscription.created",
    "customer.subscription.updated",
    "customer.subscription.paused",
    "customer.subscription.resumed",
    "customer.subscription.trial_will_end",
    "customer.subscription.pending_update_applied",
    "customer.subscription.pending_update_expired",
];

impl Oracle {
    /// Tells it `bodies`: unique events, in their true order.
    ///
    /// # Panics
    /// As [`Oracle::tell`].
    pub fn from_ordered<B: AsRef<[u8]>>(bodies: impl IntoIterator<Item = B>) -> Self {
        let mut oracle = Self::default();
        for body in bodies {
            oracle.tell(body.as_ref());
        }
        oracle
    }

    /// Tells it what happened next.
    ///
    /// # Panics
    /// Where a body is no JSON: the true order is the generator's own, so that is its defect.
    pub fn tell(&mut self, body: &[u8]) {
        let event = parse(body);
        self.take(&event.unwrap_or_else(|| panic!("no JSON: {}", String::from_utf8_lossy(body))));
    }

    fn take(&mut self, event: &Value) {
        if is_thin(event) {
            return;
        }
        match event["type"].as_str().unwrap_or_default() {
            "customer.created" | "customer.updated" => self.meet(event),
            "customer.deleted" => {
                self.meet(event);
                self.deleted.extend(named(event, id(&object(event)["id"])));
            }
            "customer.subscription.deleted" => self.show(event, Some("canceled".to_owned())),
            kind if SHOWING.contains(&kind) => self.show(event, text(&object(event)["status"])),
            _ => {}
        }
    }

    fn meet(&mut self, event: &Value) {
        self.customers.extend(named(event, id(&object(event)["id"])));
    }

    fn show(&mut self, event: &Value, status: Option<String>) {
        let customer = id(&object(event)["customer"]);
        self.customers.extend(named(event, customer.clone()));
        let subscription = named(event, id(&object(event)["id"]));
        if let (Some(subscription), Some(status), Some(customer)) = (subscription, status, customer) {
            self.subscriptions.insert(subscription, (status, customer));
        }
    }

    /// Where every subscription stands, if `past_due` gives access or does not.
    pub fn subscriptions(&self, past_due_gives_access: bool) -> BTreeMap<Of, Standing> {
        let stands = |(of, (status, customer)): (&Of, &(String, String))| {
            let owner = Of { id: customer.clone(), ..of.clone() };
            let access = gives_access(status, past_due_gives_access) && !self.deleted.contains(&owner);
            (of.clone(), Standing { status: status.clone(), customer: customer.clone(), access })
        };
        self.subscriptions.iter().map(stands).collect()
    }

    /// Whether each customer that was ever heard of has access, by any subscription.
    pub fn customers(&self, past_due_gives_access: bool) -> BTreeMap<Of, bool> {
        let mut customers: BTreeMap<Of, bool> = self.customers.iter().map(|of| (of.clone(), false)).collect();
        for (of, standing) in self.subscriptions(past_due_gives_access) {
            *customers.entry(Of { id: standing.customer, ..of }).or_default() |= standing.access;
        }
        customers
    }
}

fn named(event: &Value, id: Option<String>) -> Option<Of> {
    Some(Of { account: text(&event["account"]), livemode: is_live(event), id: id? })
}

fn gives_access(status: &str, past_due_gives_access: bool) -> bool {
    match status {
        "trialing" | "active" => true,
        "past_due" => past_due_gives_access,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(kind: &str, object: Value) -> Value {
        json!({"id": "evt_1", "object": "event", "type": kind, "livemode": true, "data": {"object": object}})
    }

    fn subscription(kind: &str, id: &str, status: &str) -> Value {
        let object = json!({"id": id, "object": "subscription", "status": status, "customer": "cus_1"});
        event(&format!("customer.subscription.{kind}"), object)
    }

    fn told(events: &[Value]) -> Oracle {
        Oracle::from_ordered(events.iter().map(Value::to_string))
    }

    fn live(id: &str) -> Of {
        Of { account: None, livemode: true, id: id.to_owned() }
    }

    fn access(events: &[Value]) -> bool {
        told(events).customers(true)[&live("cus_1")]
    }

    #[test]
    fn each_status_gives_what_the_table_says() {
        for (status, with, without) in [
            ("incomplete", false, false),
            ("incomplete_expired", false, false),
            ("trialing", true, true),
            ("active", true, true),
            ("past_due", true, false),
            ("unpaid", false, false),
            ("paused", false, false),
            ("canceled", false, false),
            ("brand_new", false, false),
        ] {
            let oracle = told(&[subscription("updated", "sub_1", status)]);
            assert_eq!(oracle.customers(true)[&live("cus_1")], with, "{status}");
            assert_eq!(oracle.customers(false)[&live("cus_1")], without, "{status}");
            assert_eq!(oracle.subscriptions(true)[&live("sub_1")].status, status);
        }
    }

    #[test]
    fn the_last_one_told_counts() {
        let created = subscription("created", "sub_1", "incomplete");
        let updated = subscription("updated", "sub_1", "active");
        assert!(access(&[created.clone(), updated.clone()]));
        assert!(!access(&[created, updated, subscription("paused", "sub_1", "paused")]));
    }

    #[test]
    fn one_of_two_subscriptions_is_enough() {
        let events = [subscription("updated", "sub_1", "unpaid"), subscription("updated", "sub_2", "trialing")];
        assert!(access(&events));
        assert!(!told(&events).subscriptions(true)[&live("sub_1")].access);
    }

    #[test]
    fn a_deletion_ends_it_whatever_status_its_body_shows() {
        let events = [subscription("created", "sub_1", "active"), subscription("deleted", "sub_1", "active")];
        assert!(!access(&events));
        assert_eq!(told(&events).subscriptions(true)[&live("sub_1")].status, "canceled");
    }

    #[test]
    fn pausing_collection_and_a_scheduled_end_change_nothing() {
        let mut paused = subscription("updated", "sub_1", "active");
        paused["data"]["object"]["pause_collection"] = json!({"behavior": "void"});
        paused["data"]["object"]["cancel_at_period_end"] = json!(true);
        assert!(access(&[paused]));
    }

    #[test]
    fn deleting_the_customer_revokes_everything_before_and_after() {
        let deleted = event("customer.deleted", json!({"id": "cus_1", "object": "customer"}));
        assert!(!access(&[subscription("created", "sub_1", "active"), deleted.clone()]));
        let oracle = told(&[deleted, subscription("updated", "sub_1", "active")]);
        assert!(!oracle.customers(true)[&live("cus_1")]);
        assert!(!oracle.subscriptions(true)[&live("sub_1")].access);
    }

    #[test]
    fn modes_and_accounts_never_mix() {
        let mut test = subscription("created", "sub_1", "unpaid");
        test["livemode"] = json!(false);
        let mut connected = event("customer.deleted", json!({"id": "cus_1"}));
        connected["account"] = json!("acct_1");
        let oracle = told(&[subscription("created", "sub_1", "active"), test, connected]);
        let customers = oracle.customers(true);
        assert!(customers[&live("cus_1")]);
        assert!(!customers[&Of { livemode: false, ..live("cus_1") }]);
        assert!(!customers[&Of { account: Some("acct_1".to_owned()), ..live("cus_1") }]);
        assert_eq!(customers.len(), 3);
    }

    #[test]
    fn what_shows_no_subscription_changes_none() {
        let mut expanded = subscription("created", "sub_1", "active");
        expanded["data"]["object"]["customer"] = json!({"id": "cus_1", "object": "customer"});
        let invoice = event("invoice.payment_failed", json!({"id": "in_1", "object": "invoice", "customer": "cus_1"}));
        let unknown = subscription("reticulated", "sub_1", "unpaid");
        let thin = json!({"id": "evt_2", "object": "v2.core.event", "type": "customer.subscription.deleted"});
        assert!(access(&[expanded, invoice, unknown, thin]));
    }

    #[test]
    fn a_customer_without_a_subscription_is_known_and_has_no_access() {
        assert!(!access(&[event("customer.created", json!({"id": "cus_1", "object": "customer"}))]));
    }
}
