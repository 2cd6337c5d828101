//! Invoices, in the shape before and after Basil.

use super::super::facts::Invoice;
use super::super::ids::Kind;
use super::Sheet;

impl Sheet<'_, '_> {
    pub(super) fn write_invoice(&mut self, invoice: &Invoice) {
        let basil = self.customer.party.version.has_item_periods();
        let is_paid = invoice.status == "paid";
        self.json.id("id", Kind::Invoice, invoice.serial);
        self.json.fields(
            r#""object":"invoice","account_country":"US","account_name":"Example Shop","account_tax_ids":null"#,
        );
        self.json.number("amount_due", invoice.amount);
        self.json.number("amount_overpaid", 0);
        self.json.number("amount_paid", if is_paid { invoice.amount } else { 0 });
        self.json.number("amount_remaining", if is_paid { 0 } else { invoice.amount });
        self.json.fields(r#""amount_shipping":0,"application":null"#);
        self.json.number("attempt_count", invoice.attempts);
        self.json.flag("attempted", invoice.attempts > 0);
        self.json.fields(r#""auto_advance":true,"automatic_tax":{"disabled_reason":null,"enabled":false,"liability":null,"provider":null,"status":null},"automatically_finalizes_at":null"#);
        self.json.text("billing_reason", invoice.reason);
        if !basil {
            self.json.maybe_id("charge", Kind::Charge, invoice.payment);
        }
        self.json.text("collection_method", "charge_automatically");
        self.json.number("created", invoice.created);
        self.json.text("currency", invoice.of.plan().currency);
        self.json.null("custom_fields");
        self.json.id("customer", Kind::Customer, self.customer.serial);
        self.json.fields(r#""customer_address":null"#);
        self.json.id_within("customer_email", "", Kind::Customer, self.customer.serial, "@example.com");
        self.json.fields(r#""customer_phone":null,"customer_shipping":null,"customer_tax_exempt":"none","customer_tax_ids":[],"default_payment_method":null,"default_source":null,"default_tax_rates":[],"description":null,"discounts":[],"due_date":null"#);
        self.write_invoice_lines(invoice);
        self.write_invoice_rest(invoice, basil);
    }

    fn write_invoice_lines(&mut self, invoice: &Invoice) {
        let livemode = self.customer.party.livemode;
        let of = &invoice.of;
        self.json.fields(r#""effective_at":null,"ending_balance":0,"footer":null,"from_invoice":null"#);
        self.json.id_within(
            "hosted_invoice_url",
            "https://invoice.stripe.com/i/",
            Kind::Invoice,
            invoice.serial,
            "?s=ap",
        );
        self.json.object("lines", |json| {
            json.text("object", "list");
            json.array("data", |json| {
                json.element(|json| {
                    json.id("id", Kind::LineItem, invoice.serial);
                    json.text("object", "line_item");
                    json.number("amount", invoice.amount);
                    json.text("currency", of.plan().currency);
                    json.text("description", of.plan().nickname);
                    json.fields(r#""discount_amounts":[],"discountable":true,"discounts":[]"#);
                    json.id("invoice", Kind::Invoice, invoice.serial);
                    json.flag("livemode", livemode);
                    json.fields(r#""metadata":{}"#);
                    json.object("period", |json| {
                        json.number("end", of.period.1);
                        json.number("start", of.period.0);
                    });
                    json.number("quantity", of.quantity);
                    json.id("subscription", Kind::Subscription, of.serial);
                    json.id("subscription_item", Kind::SubscriptionItem, of.serial);
                    json.fields(r#""taxes":[]"#);
                });
            });
            json.fields(r#""has_more":false,"total_count":1"#);
            json.id_within("url", "/v1/invoices/", Kind::Invoice, invoice.serial, "/lines");
        });
    }

    fn write_invoice_rest(&mut self, invoice: &Invoice, basil: bool) {
        let is_paid = invoice.status == "paid";
        self.json.flag("livemode", self.customer.party.livemode);
        self.json.metadata();
        self.json.fields(r#""next_payment_attempt":null,"number":"0759376C-0001","on_behalf_of":null"#);
        self.write_invoice_links(invoice, basil);
        self.json.fields(
            r#""payment_settings":{"default_mandate":null,"payment_method_options":null,"payment_method_types":null}"#,
        );
        self.json.number("period_end", invoice.of.period.1);
        self.json.number("period_start", invoice.of.period.0);
        self.json.fields(r#""post_payment_credit_notes_amount":0,"pre_payment_credit_notes_amount":0,"receipt_number":null,"rendering":null,"shipping_cost":null,"shipping_details":null,"starting_balance":0,"statement_descriptor":null"#);
        self.json.text("status", invoice.status);
        self.json.object("status_transitions", |json| {
            json.maybe_number("finalized_at", (invoice.status != "draft").then_some(invoice.created));
            json.null("marked_uncollectible_at");
            json.maybe_number("paid_at", is_paid.then_some(self.at));
            json.null("voided_at");
        });
        self.json.number("subtotal", invoice.amount);
        self.json.null("test_clock");
        self.json.number("total", invoice.amount);
        self.json.fields(r#""total_discount_amounts":[],"total_taxes":[],"webhooks_delivered_at":null"#);
    }

    /// Basil moved the link to the subscription into `parent`, and took the payment off the invoice.
    fn write_invoice_links(&mut self, invoice: &Invoice, basil: bool) {
        let subscription = invoice.of.serial;
        if basil {
            self.json.object("parent", |json| {
                json.null("quote_details");
                json.object("subscription_details", |json| {
                    json.fields(r#""metadata":{}"#);
                    json.id("subscription", Kind::Subscription, subscription);
                });
                json.text("type", "subscription_details");
            });
        } else {
            self.json.flag("paid", invoice.status == "paid");
            self.json.maybe_id("payment_intent", Kind::PaymentIntent, invoice.payment);
            self.json.id("subscription", Kind::Subscription, subscription);
        }
    }
}
