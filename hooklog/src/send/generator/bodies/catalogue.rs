//! Plans, prices and products.

use super::super::facts::Fact;
use super::super::ids::Kind;
use super::super::model::Plan;
use super::Sheet;

/// When the shop's plans were made.
const PLANS_MADE: i64 = 1_735_689_600;
/// Serials of the fixed plans' prices and products, beyond those that are counted.
const FIXED: u64 = 1 << 45;

impl Sheet<'_, '_> {
    /// The legacy `plan` that still stands beside every `price`.
    pub(super) fn write_plan(&mut self, plan: &Plan, price: u64) {
        let livemode = self.customer.party.livemode;
        self.json.object("plan", |json| {
            json.id("id", Kind::Price, FIXED + price);
            json.fields(r#""object":"plan","active":true"#);
            json.number("amount", plan.amount);
            json.decimal("amount_decimal", plan.amount);
            json.text("billing_scheme", "per_unit");
            json.number("created", PLANS_MADE);
            json.text("currency", plan.currency);
            json.text("interval", plan.interval);
            json.number("interval_count", 1);
            json.flag("livemode", livemode);
            json.fields(r#""metadata":{},"meter":null"#);
            json.text("nickname", plan.nickname);
            json.id("product", Kind::Product, FIXED + price);
            json.fields(r#""tiers_mode":null,"transform_usage":null,"trial_period_days":null,"usage_type":"licensed""#);
        });
    }

    pub(super) fn write_price(&mut self, plan: &Plan, price: u64) {
        let livemode = self.customer.party.livemode;
        self.json.object("price", |json| {
            json.id("id", Kind::Price, FIXED + price);
            json.fields(r#""object":"price","active":true,"billing_scheme":"per_unit""#);
            json.number("created", PLANS_MADE);
            json.text("currency", plan.currency);
            json.null("custom_unit_amount");
            json.flag("livemode", livemode);
            json.text("lookup_key", plan.lookup_key);
            json.fields(r#""metadata":{}"#);
            json.text("nickname", plan.nickname);
            json.id("product", Kind::Product, FIXED + price);
            json.object("recurring", |json| {
                json.text("interval", plan.interval);
                json.fields(r#""interval_count":1,"meter":null,"trial_period_days":null,"usage_type":"licensed""#);
            });
            json.fields(
                r#""tax_behavior":"unspecified","tiers_mode":null,"transform_quantity":null,"type":"recurring""#,
            );
            json.number("unit_amount", plan.amount);
            json.decimal("unit_amount_decimal", plan.amount);
        });
    }

    pub(super) fn write_product(&mut self, fact: &Fact) {
        let Fact::Product { serial, made, revision, .. } = *fact else { return };
        self.json.id("id", Kind::Product, serial);
        self.json.fields(r#""object":"product","active":true,"attributes":[]"#);
        self.json.number("created", made);
        self.json.id("default_price", Kind::Price, serial);
        self.json.text("description", description(revision));
        self.json.fields(r#""images":[]"#);
        self.json.flag("livemode", self.customer.party.livemode);
        self.json.fields(r#""marketing_features":[{"name":"Single sign-on"},{"name":"Priority support"}]"#);
        self.json.metadata();
        self.json.fields(r#""name":"Workspace seat","package_dimensions":null,"shippable":null,"statement_descriptor":null,"tax_code":null,"type":"service","unit_label":"seat""#);
        self.json.number("updated", self.at);
        self.json.null("url");
    }

    pub(super) fn write_previous_product(&mut self, made: i64, revision: i64) {
        self.json.text("description", description(revision - 1));
        self.json.number("updated", made);
    }

    /// A price of its own, made for a new product.
    pub(super) fn write_new_price(&mut self, serial: u64) {
        self.json.id("id", Kind::Price, serial);
        self.json.fields(r#""object":"price","active":true,"billing_scheme":"per_unit""#);
        self.json.number("created", self.at);
        self.json.fields(r#""currency":"usd","custom_unit_amount":null"#);
        self.json.flag("livemode", self.customer.party.livemode);
        self.json.null("lookup_key");
        self.json.metadata();
        self.json.null("nickname");
        self.json.id("product", Kind::Product, serial);
        self.json.fields(r#""recurring":{"interval":"month","interval_count":1,"meter":null,"trial_period_days":null,"usage_type":"licensed"},"tax_behavior":"exclusive","tiers_mode":null,"transform_quantity":null,"type":"recurring","unit_amount":1500,"unit_amount_decimal":"1500""#);
    }
}

fn description(revision: i64) -> &'static str {
    if revision == 0 { "One person in one workspace" } else { "One person in any number of workspaces" }
}
