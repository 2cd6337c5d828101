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

/// What `past_due` gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PastDue {
    /// Access, without a limit.
    Access,
    /// Nothing.
    Nothing,
    /// Access for so many seconds, counted from when it began, asked about at a moment in epoch seconds.
    Grace {
        /// How many.
        seconds: i64,
        /// The moment.
        at: i64,
    },
}

/// The last that was told of a subscription.
#[derive(Clone, Debug)]
struct Last {
    status: String,
    customer: String,
    /// When the present run of `past_due` began.
    overdue_since: Option<i64>,
}

/// Everything that was told.
#[derive(Clone, Debug, Default)]
pub struct Oracle {
    subscriptions: BTreeMap<Of, Last>,
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
            let before = self.subscriptions.get(&subscription).and_then(|last| last.overdue_since);
            let overdue_since = if status == "past_due" { before.or(event["created"].as_i64()) } else { None };
            self.subscriptions.insert(subscription, Last { status, customer, overdue_since });
        }
    }

    /// Since when subscriptions are past due, those that are, each moment once.
    pub fn overdue_since(&self) -> BTreeSet<i64> {
        self.subscriptions.values().filter_map(|last| last.overdue_since).collect()
    }

    /// Where every subscription stands, if `past_due` gives access or does not.
    pub fn subscriptions(&self, past_due_gives_access: bool) -> BTreeMap<Of, Standing> {
        self.subscriptions_under(plain(past_due_gives_access))
    }

    /// Where every subscription stands.
    pub fn subscriptions_under(&self, past_due: PastDue) -> BTreeMap<Of, Standing> {
        let stands = |(of, last): (&Of, &Last)| {
            let owner = Of { id: last.customer.clone(), ..of.clone() };
            let access = gives_access(last, past_due) && !self.deleted.contains(&owner);
            (of.clone(), Standing { status: last.status.clone(), customer: last.customer.clone(), access })
        };
        self.subscriptions.iter().map(stands).collect()
    }

    /// Whether each customer that was ever heard of has access, by any subscription.
    pub fn customers(&self, past_due_gives_access: bool) -> BTreeMap<Of, bool> {
        self.customers_under(plain(past_due_gives_access))
    }

    /// The same, whatever `past_due` gives.
    pub fn customers_under(&self, past_due: PastDue) -> BTreeMap<Of, bool> {
        let mut customers: BTreeMap<Of, bool> = self.customers.iter().map(|of| (of.clone(), false)).collect();
        for (of, standing) in self.subscriptions_under(past_due) {
            *customers.entry(Of { id: standing.customer, ..of }).or_default() |= standing.access;
        }
        customers
    }
}

fn named(event: &Value, id: Option<String>) -> Option<Of> {
    Some(Of { account: text(&event["account"]), livemode: is_live(event), id: id? })
}

fn plain(past_due_gives_access: bool) -> PastDue {
    if past_due_gives_access { PastDue::Access } else { PastDue::Nothing }
}

fn gives_access(last: &Last, past_due: PastDue) -> bool {
    match (last.status.as_str(), past_due) {
        ("trialing" | "active", _) | ("past_due", PastDue::Access) => true,
        ("past_due", PastDue::Grace { seconds, at }) => last.overdue_since.is_none_or(|since| at < since + seconds),
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
    fn grace_counts_from_the_begin_of_the_present_run_of_past_due() {
        let at = |second: i64, status: &str| {
            let mut event = subscription("updated", "sub_1", status);
            event["created"] = json!(second);
            event
        };
        let oracle = told(&[at(10, "past_due"), at(20, "active"), at(30, "past_due"), at(40, "past_due")]);
        assert_eq!(oracle.overdue_since(), BTreeSet::from([30]));
        let access = |at| oracle.customers_under(PastDue::Grace { seconds: 5, at })[&live("cus_1")];
        assert_eq!((access(34), access(35), access(0)), (true, false, true));
        assert!(told(&[at(10, "past_due"), at(20, "unpaid")]).overdue_since().is_empty());
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
