//! Payment intents, charges, refunds and disputes. Refunds and disputes carry no customer, as with Stripe.

use super::super::facts::Fact;
use super::super::ids::Kind;
use super::super::model::Payment;
use super::Sheet;

impl Sheet<'_, '_> {
    pub(super) fn write_intent(&mut self, kind: &str, payment: &Payment) {
        let succeeded = kind == "payment_intent.succeeded";
        self.json.id("id", Kind::PaymentIntent, payment.serial);
        self.json.text("object", "payment_intent");
        self.json.number("amount", payment.amount);
        self.json.number("amount_capturable", 0);
        self.json.number("amount_received", if succeeded { payment.amount } else { 0 });
        self.json.fields(r#""amount_details":{"tip":{}},"application":null,"application_fee_amount":null,"automatic_payment_methods":null,"canceled_at":null,"cancellation_reason":null,"capture_method":"automatic""#);
        self.json.id_within("client_secret", "", Kind::PaymentIntent, payment.serial, "_secret_redacted");
        self.json.text("confirmation_method", "automatic");
        self.json.number("created", payment.created);
        self.json.text("currency", payment.currency);
        self.json.id("customer", Kind::Customer, self.customer.serial);
        self.json.text("description", "Subscription creation");
        if succeeded {
            self.json.null("last_payment_error");
        } else {
            self.json.fields(r#""last_payment_error":{"code":"card_declined","decline_code":"insufficient_funds","doc_url":"https://stripe.com/docs/error-codes/card-declined","message":"Your card has insufficient funds.","type":"card_error"}"#);
        }
        self.json.id("latest_charge", Kind::Charge, payment.serial);
        self.json.flag("livemode", self.customer.party.livemode);
        self.json.metadata();
        self.json.fields(r#""next_action":null,"on_behalf_of":null"#);
        self.json.maybe_id("payment_method", Kind::PaymentMethod, payment.method);
        self.json.fields(r#""payment_method_configuration_details":null,"payment_method_options":{"card":{"installments":null,"mandate_options":null,"network":null,"request_three_d_secure":"automatic"}},"payment_method_types":["card"],"processing":null,"receipt_email":null,"review":null,"setup_future_usage":"off_session","shipping":null,"source":null,"statement_descriptor":null,"statement_descriptor_suffix":null"#);
        self.json.text("status", if succeeded { "succeeded" } else { "requires_payment_method" });
        self.json.fields(r#""transfer_data":null,"transfer_group":null"#);
    }

    pub(super) fn write_charge(&mut self, payment: &Payment) {
        self.json.id("id", Kind::Charge, payment.serial);
        self.json.text("object", "charge");
        self.json.number("amount", payment.amount);
        self.json.number("amount_captured", payment.amount);
        self.json.number("amount_refunded", payment.refunded);
        self.json.fields(r#""application":null,"application_fee":null,"application_fee_amount":null"#);
        self.json.id("balance_transaction", Kind::BalanceTransaction, payment.serial);
        self.json.fields(r#""billing_details":{"address":{"city":null,"country":"DE","line1":null,"line2":null,"postal_code":null,"state":null},"email":null,"name":null,"phone":null},"calculated_statement_descriptor":"EXAMPLE SHOP","captured":true"#);
        self.json.number("created", payment.created);
        self.json.text("currency", payment.currency);
        self.json.id("customer", Kind::Customer, self.customer.serial);
        self.json.null("description");
        self.json.flag("disputed", payment.disputed);
        self.json.fields(
            r#""failure_balance_transaction":null,"failure_code":null,"failure_message":null,"fraud_details":{}"#,
        );
        self.json.flag("livemode", self.customer.party.livemode);
        self.json.metadata();
        self.json.fields(r#""on_behalf_of":null,"outcome":{"advice_code":null,"network_status":"approved_by_network","reason":null,"risk_level":"normal","seller_message":"Payment complete.","type":"authorized"},"paid":true"#);
        self.json.id("payment_intent", Kind::PaymentIntent, payment.serial);
        self.json.maybe_id("payment_method", Kind::PaymentMethod, payment.method);
        self.json.fields(r#""payment_method_details":{"card":{"brand":"visa","country":"DE","exp_month":8,"exp_year":2029,"funding":"credit","last4":"4242","network":"visa","three_d_secure":null,"wallet":null},"type":"card"},"receipt_email":null,"receipt_number":null"#);
        self.json.id_within("receipt_url", "https://pay.stripe.com/receipts/", Kind::Charge, payment.serial, "");
        self.json.flag("refunded", payment.refunded >= payment.amount && payment.refunded > 0);
        self.json.fields(r#""review":null,"shipping":null,"source_transfer":null,"statement_descriptor":null,"status":"succeeded","transfer_data":null,"transfer_group":null"#);
    }

    pub(super) fn write_refund(&mut self, payment: &Payment, serial: u64, amount: i64) {
        self.json.id("id", Kind::Refund, serial);
        self.json.text("object", "refund");
        self.json.number("amount", amount);
        self.json.id("balance_transaction", Kind::BalanceTransaction, serial);
        self.json.id("charge", Kind::Charge, payment.serial);
        self.json.number("created", self.at);
        self.json.text("currency", payment.currency);
        self.json.fields(r#""destination_details":{"card":{"reference_status":"pending","reference_type":"acquirer_reference_number","type":"refund"},"type":"card"}"#);
        self.json.metadata();
        self.json.id("payment_intent", Kind::PaymentIntent, payment.serial);
        self.json.fields(r#""reason":"requested_by_customer","receipt_number":null,"source_transfer_reversal":null,"status":"succeeded","transfer_reversal":null"#);
    }

    pub(super) fn write_dispute(&mut self, fact: &Fact) {
        let Fact::Dispute { payment, serial, opened, status, .. } = fact else { return };
        self.json.id("id", Kind::Dispute, *serial);
        self.json.text("object", "dispute");
        self.json.number("amount", payment.amount);
        self.json.fields(r#""balance_transactions":[]"#);
        self.json.id("charge", Kind::Charge, payment.serial);
        self.json.number("created", *opened);
        self.json.text("currency", payment.currency);
        self.json.fields(r#""enhanced_eligibility_types":[],"evidence":{"access_activity_log":null,"customer_communication":null,"product_description":null,"refund_policy":null,"uncategorized_text":null},"evidence_details":{"due_by":null,"has_evidence":false,"past_due":false,"submission_count":0},"is_charge_refundable":false"#);
        self.json.flag("livemode", self.customer.party.livemode);
        self.json.metadata();
        self.json.id("payment_intent", Kind::PaymentIntent, payment.serial);
        self.json.fields(r#""payment_method_details":{"card":{"brand":"visa","case_type":"chargeback","network_reason_code":"10.4"},"type":"card"},"reason":"fraudulent""#);
        self.json.text("status", status);
    }
}
