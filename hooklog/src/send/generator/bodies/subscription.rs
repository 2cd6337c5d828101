//! Subscriptions: the whole object, and of an update what was before.

use super::super::ids::Kind;
use super::super::model::{Changes, DAY, Plan, Subscription};
use super::Sheet;

/// The second item of a subscription that has one: billed by the year whatever the first one's interval is.
const ADDON: Plan = Plan {
    nickname: "Audit log",
    lookup_key: "audit_log_yearly",
    amount: 12_000,
    currency: "usd",
    interval: "year",
    days: 365,
};
const ADDON_PRICE: u64 = 99;

impl Sheet<'_, '_> {
    pub(super) fn write_subscription(&mut self, now: &Subscription) {
        let customer = self.customer.serial;
        self.json.id("id", Kind::Subscription, now.serial);
        self.json.fields(r#""object":"subscription","application":null,"application_fee_percent":null,"automatic_tax":{"disabled_reason":null,"enabled":false,"liability":null}"#);
        self.json.number("billing_cycle_anchor", now.created);
        self.json.fields(
            r#""billing_cycle_anchor_config":null,"billing_mode":{"type":"classic"},"billing_thresholds":null"#,
        );
        self.write_cancellation(now);
        self.json.text("collection_method", "charge_automatically");
        self.json.number("created", now.created);
        self.json.text("currency", now.plan().currency);
        if !self.customer.party.version.has_item_periods() {
            self.json.number("current_period_end", now.period.1);
            self.json.number("current_period_start", now.period.0);
        }
        self.json.id("customer", Kind::Customer, customer);
        self.json.null("days_until_due");
        self.json.maybe_id("default_payment_method", Kind::PaymentMethod, now.method);
        self.json.fields(r#""default_source":null,"default_tax_rates":[],"description":null,"discounts":[]"#);
        self.json.maybe_number("ended_at", now.ended_at);
        self.json.fields(r#""invoice_settings":{"account_tax_ids":null,"issuer":{"type":"self"}}"#);
        self.write_items(now);
        self.write_rest(now);
    }

    fn write_rest(&mut self, now: &Subscription) {
        self.json.id("latest_invoice", Kind::Invoice, now.latest_invoice);
        self.json.flag("livemode", self.customer.party.livemode);
        self.json.metadata();
        self.json.fields(r#""next_pending_invoice_item_invoice":null,"on_behalf_of":null"#);
        self.write_pause(now);
        self.json.fields(r#""payment_settings":{"payment_method_options":null,"payment_method_types":null,"save_default_payment_method":"on_subscription"},"pending_invoice_item_interval":null,"pending_setup_intent":null,"pending_update":null"#);
        self.write_plan(now.plan(), now.plan as u64);
        self.json.number("quantity", now.quantity);
        self.json.null("schedule");
        self.json.number("start_date", now.created);
        self.json.text("status", now.status.name());
        self.json.fields(r#""test_clock":null,"transfer_data":null"#);
        self.json.maybe_number("trial_end", now.trial.map(|(_, end)| end));
        self.json.fields(r#""trial_settings":{"end_behavior":{"missing_payment_method":"pause"}}"#);
        self.json.maybe_number("trial_start", now.trial.map(|(start, _)| start));
    }

    /// The attributes of `before` that an update changed, as Stripe names them: an array is shown whole, of an object only
    /// what differs.
    pub(super) fn write_previous_subscription(&mut self, before: &Subscription, now: &Subscription) {
        let changes = now.changes(before);
        let basil = self.customer.party.version.has_item_periods();
        if changes.has(Changes::CANCELLATION) {
            self.write_previous_cancellation(before, now);
        }
        if changes.has(Changes::PERIOD) && !basil {
            self.json.number("current_period_end", before.period.1);
            self.json.number("current_period_start", before.period.0);
        }
        if changes.has(Changes::METHOD) {
            self.json.maybe_id("default_payment_method", Kind::PaymentMethod, before.method);
        }
        if changes.has(Changes::ENDED) {
            self.json.maybe_number("ended_at", before.ended_at);
        }
        if changes.has(Changes::QUANTITY) || (changes.has(Changes::PERIOD) && basil) {
            self.json.object("items", |json| {
                Sheet { json, customer: self.customer, at: self.at }.write_item_data(before);
            });
        }
        if changes.has(Changes::INVOICE) {
            self.json.id("latest_invoice", Kind::Invoice, before.latest_invoice);
        }
        if changes.has(Changes::COLLECTION) {
            self.write_pause(before);
        }
        if changes.has(Changes::QUANTITY) {
            self.json.number("quantity", before.quantity);
        }
        if changes.has(Changes::STATUS) {
            self.json.text("status", before.status.name());
        }
    }

    fn write_cancellation(&mut self, now: &Subscription) {
        self.json.maybe_number("cancel_at", now.cancel_at);
        self.json.flag("cancel_at_period_end", now.cancel_at_period_end);
        self.json.maybe_number("canceled_at", now.canceled_at);
        self.json.object("cancellation_details", |json| {
            json.fields(r#""comment":null,"feedback":null"#);
            json.maybe_text("reason", now.cancel_reason);
        });
    }

    fn write_previous_cancellation(&mut self, before: &Subscription, now: &Subscription) {
        if before.cancel_at_period_end != now.cancel_at_period_end {
            self.json.maybe_number("cancel_at", before.cancel_at);
            self.json.flag("cancel_at_period_end", before.cancel_at_period_end);
        }
        self.json.maybe_number("canceled_at", before.canceled_at);
        self.json.object("cancellation_details", |json| json.maybe_text("reason", before.cancel_reason));
    }

    fn write_pause(&mut self, now: &Subscription) {
        if now.collection_paused {
            self.json.fields(r#""pause_collection":{"behavior":"keep_as_draft","resumes_at":null}"#);
        } else {
            self.json.null("pause_collection");
        }
    }

    fn write_items(&mut self, now: &Subscription) {
        self.json.object("items", |json| {
            json.text("object", "list");
            Sheet { json, customer: self.customer, at: self.at }.write_item_data(now);
            json.flag("has_more", false);
            json.number("total_count", if now.addon { 2 } else { 1 });
            json.id_within("url", "/v1/subscription_items?subscription=", Kind::Subscription, now.serial, "");
        });
    }

    fn write_item_data(&mut self, now: &Subscription) {
        let (customer, at) = (self.customer, self.at);
        self.json.array("data", |json| {
            json.element(|json| {
                let item = Item { serial: now.serial, plan: now.plan(), price: now.plan as u64, period: now.period };
                Sheet { json, customer, at }.write_item(now, &item, now.quantity);
            });
            if now.addon {
                json.element(|json| {
                    let period = (now.created, now.created + ADDON.days * DAY);
                    let item = Item { serial: now.serial + ADDON_ITEM, plan: &ADDON, price: ADDON_PRICE, period };
                    Sheet { json, customer, at }.write_item(now, &item, 1);
                });
            }
        });
    }

    fn write_item(&mut self, now: &Subscription, item: &Item, quantity: i64) {
        self.json.id("id", Kind::SubscriptionItem, item.serial);
        self.json.fields(r#""object":"subscription_item","billing_thresholds":null"#);
        self.json.number("created", now.created + 1);
        if self.customer.party.version.has_item_periods() {
            self.json.number("current_period_end", item.period.1);
            self.json.number("current_period_start", item.period.0);
        }
        self.json.fields(r#""discounts":[],"metadata":{}"#);
        self.write_plan(item.plan, item.price);
        self.write_price(item.plan, item.price);
        self.json.number("quantity", quantity);
        self.json.id("subscription", Kind::Subscription, now.serial);
        self.json.fields(r#""tax_rates":[]"#);
    }
}

struct Item {
    serial: u64,
    plan: &'static Plan,
    price: u64,
    period: (i64, i64),
}

/// Keeps the serials of second items apart from those of first ones.
const ADDON_ITEM: u64 = 1 << 44;
