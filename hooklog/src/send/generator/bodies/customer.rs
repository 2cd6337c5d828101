//! Customers and what hangs on them: payment methods, checkout sessions, entitlements.

use super::super::ids::Kind;
use super::super::model::Subscription;
use super::Sheet;

/// Names as they come: not all of them ASCII.
const NAMES: &[&str] = &[
    "Jenny Rosen",
    "Zoë Müller",
    "Łukasz Nowak",
    "佐藤 花子",
    "Søren Østergård",
    "José Ibáñez",
    "Aisha Okafor",
    "Ольга Ким",
];

impl Sheet<'_, '_> {
    pub(super) fn name(&self, renamed: i64) -> &'static str {
        NAMES[(self.customer.name + renamed.unsigned_abs() as usize) % NAMES.len()]
    }

    pub(super) fn write_customer(&mut self, kind: &str) {
        let customer = self.customer;
        self.json.id("id", Kind::Customer, customer.serial);
        self.json.fields(r#""object":"customer","address":null,"balance":0"#);
        self.json.number("created", customer.born);
        self.json.fields(r#""currency":null,"default_source":null"#);
        if kind == "customer.deleted" {
            self.json.flag("deleted", true);
        }
        self.json.fields(r#""delinquent":false,"description":null,"discount":null"#);
        self.json.id_within("email", "", Kind::Customer, customer.serial, "@example.com");
        self.json.fields(r#""invoice_prefix":"0759376C","invoice_settings":{"custom_fields":null,"default_payment_method":null,"footer":null,"rendering_options":null}"#);
        self.json.flag("livemode", customer.party.livemode);
        self.json.metadata();
        self.json.text("name", self.name(customer.renamed));
        self.json.fields(r#""next_invoice_sequence":1,"phone":null,"preferred_locales":["en"],"shipping":null,"tax_exempt":"none","test_clock":null"#);
    }

    pub(super) fn write_method(&mut self, serial: u64) {
        let name = self.name(self.customer.renamed);
        self.json.id("id", Kind::PaymentMethod, serial);
        self.json.fields(r#""object":"payment_method","allow_redisplay":"unspecified""#);
        self.json.object("billing_details", |json| {
            json.fields(r#""address":{"city":null,"country":"DE","line1":null,"line2":null,"postal_code":null,"state":null},"email":null"#);
            json.text("name", name);
            json.fields(r#""phone":null,"tax_id":null"#);
        });
        self.json.fields(r#""card":{"brand":"visa","checks":{"address_line1_check":null,"address_postal_code_check":null,"cvc_check":"pass"},"country":"DE","display_brand":"visa","exp_month":8,"exp_year":2029,"fingerprint":"Xt5EWLLDS7FJjR1c","funding":"credit","generated_from":null,"last4":"4242","networks":{"available":["visa"],"preferred":null},"regulated_status":"unregulated","three_d_secure_usage":{"supported":true},"wallet":null}"#);
        self.json.number("created", self.at);
        self.json.id("customer", Kind::Customer, self.customer.serial);
        self.json.flag("livemode", self.customer.party.livemode);
        self.json.metadata();
        self.json.text("type", "card");
    }

    pub(super) fn write_checkout(&mut self, serial: u64, subscription: &Subscription) {
        let livemode = self.customer.party.livemode;
        let is_paid = subscription.trial.is_none();
        self.json.id("id", if livemode { Kind::CheckoutLive } else { Kind::CheckoutTest }, serial);
        self.json.fields(r#""object":"checkout.session","adaptive_pricing":null,"after_expiration":null,"allow_promotion_codes":null"#);
        let amount = if is_paid { subscription.amount() } else { 0 };
        self.json.number("amount_subtotal", amount);
        self.json.number("amount_total", amount);
        self.json.fields(r#""automatic_tax":{"enabled":false,"liability":null,"provider":null,"status":null},"billing_address_collection":null,"cancel_url":"https://shop.example/pricing","client_reference_id":null"#);
        self.json.number("created", subscription.created - 90);
        self.json.text("currency", subscription.plan().currency);
        self.json.id("customer", Kind::Customer, self.customer.serial);
        self.json.fields(r#""customer_creation":null,"customer_email":null"#);
        self.json.number("expires_at", subscription.created + 86_310);
        self.json.id("invoice", Kind::Invoice, subscription.latest_invoice);
        self.json.flag("livemode", livemode);
        self.json.null("locale");
        self.json.metadata();
        self.json.fields(r#""mode":"subscription","payment_intent":null,"payment_link":null,"payment_method_collection":"always","payment_method_types":["card"]"#);
        self.json.text("payment_status", if is_paid { "paid" } else { "no_payment_required" });
        self.json.fields(r#""setup_intent":null,"status":"complete""#);
        self.json.id("subscription", Kind::Subscription, subscription.serial);
        self.json.fields(r#""success_url":"https://shop.example/welcome?session_id={CHECKOUT_SESSION_ID}","total_details":{"amount_discount":0,"amount_shipping":0,"amount_tax":0},"ui_mode":"hosted","url":null"#);
    }

    pub(super) fn write_features(&mut self, now: u64) {
        self.json.padding_here();
        self.json.text("object", "entitlements.active_entitlement_summary");
        self.json.id("customer", Kind::Customer, self.customer.serial);
        let (customer, at) = (self.customer, self.at);
        self.json.object("entitlements", |json| {
            json.text("object", "list");
            Sheet { json, customer, at }.write_entitlements(now);
            json.id_within("url", "/v1/customer/", Kind::Customer, customer.serial, "/entitlements");
        });
        self.json.flag("livemode", customer.party.livemode);
    }

    pub(super) fn write_previous_features(&mut self, before: u64) {
        let (customer, at) = (self.customer, self.at);
        self.json.object("entitlements", |json| Sheet { json, customer, at }.write_entitlements(before));
    }

    /// A summary shows ten at most; `has_more` says that there are others, never that any went.
    fn write_entitlements(&mut self, count: u64) {
        let livemode = self.customer.party.livemode;
        let first = self.customer.serial * 64;
        self.json.array("data", |json| {
            for number in 0..count.min(10) {
                json.element(|json| {
                    json.id("id", Kind::Entitlement, first + number);
                    json.text("object", "entitlements.active_entitlement");
                    json.id("feature", Kind::Feature, number);
                    json.flag("livemode", livemode);
                    json.text("lookup_key", FEATURES[number as usize]);
                });
            }
        });
        self.json.flag("has_more", count > 10);
    }

    pub(super) fn write_unknown(&mut self, serial: u64) {
        self.json.id("id", Kind::Ledger, serial);
        self.json.text("object", "quantum_ledger.entry");
        self.json.number("created", self.at);
        self.json.id("customer", Kind::Customer, self.customer.serial);
        self.json.fields(r#""entanglement":{"phase":"superposed","witnesses":[1,2,3]}"#);
        self.json.flag("livemode", self.customer.party.livemode);
        self.json.metadata();
    }
}

const FEATURES: [&str; 10] = [
    "sso",
    "audit-log",
    "api-access",
    "webhooks",
    "priority-support",
    "sandboxes",
    "export",
    "roles",
    "sla",
    "regions",
];
