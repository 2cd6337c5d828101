//! What an event is about, and so the key and the partition of `events` that it goes to.
//!
//! The table goes by the object's type alone, never by which fields happen to be filled: a field that is filled in
//! later would put one object on two partitions.

use std::fmt;

use crate::envelope::{Envelope, Object};
use crate::identity::Namespace;

/// The key of a record of `events`; as text `<scope>/<live|test>/<subject>`, e.g. `stripe/live/cus_9s6XKzkNRiz8i3`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Subject<'a> {
    /// The Connect account where the event has one (a thin event: in its `context`), else the namespace. Ids of products and coupons are chosen by
    /// people and repeat between accounts.
    pub scope: &'a str,
    /// Live or test mode; ids chosen by people repeat between these, too.
    pub livemode: bool,
    /// The customer, the payment root, or the object itself.
    pub id: &'a str,
}

impl<'a> Subject<'a> {
    /// The subject of `event`, taken in under `namespace`. Total: without an object it is the event itself.
    pub fn of(event: &'a Envelope<'_>, namespace: &'a str) -> Subject<'a> {
        Subject { scope: event.account.as_deref().unwrap_or(namespace), livemode: event.livemode, id: id(event) }
    }

    /// As [`Subject::of`], for a namespace that was checked.
    pub fn within(event: &'a Envelope<'_>, namespace: &'a Namespace) -> Subject<'a> {
        Subject::of(event, namespace.as_str())
    }
}

impl fmt::Display for Subject<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.scope, if self.livemode { "live" } else { "test" }, self.id)
    }
}

fn id<'a>(event: &'a Envelope<'_>) -> &'a str {
    let about = if event.thin { event.related.as_deref() } else { root(&event.object) };
    about.unwrap_or(&event.id)
}

fn root<'a>(object: &'a Object<'_>) -> Option<&'a str> {
    let own = object.id.as_deref();
    match object.kind.as_deref().unwrap_or_default() {
        "tax_id"
        | "discount"
        | "source"
        | "cash_balance"
        | "subscription"
        | "subscription_schedule"
        | "subscription_item"
        | "invoice"
        | "invoiceitem"
        | "credit_note"
        | "entitlements.active_entitlement_summary"
        | "billing_portal.session" => object.customer.as_deref().or(own),
        "charge" => object.payment_intent.as_deref().or(own),
        "refund" | "dispute" | "review" | "radar.early_fraud_warning" | "invoice_payment" => {
            object.payment_intent.as_deref().or(object.charge.as_deref()).or(own)
        }
        _ => own,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One line of the table: an object's JSON and the subject that it must get.
    #[track_caller]
    fn check(object: &str, subject: &str) {
        let body = format!(r#"{{"id":"evt_1","object":"event","livemode":true,"data":{{"object":{object}}}}}"#);
        let event = Envelope::read(body.as_bytes()).expect("readable");
        assert_eq!(Subject::of(&event, "stripe").to_string(), format!("stripe/live/{subject}"), "{object}");
    }

    #[test]
    fn what_hangs_on_a_customer_goes_where_the_customer_goes() {
        check(r#"{"object":"customer","id":"cus_1"}"#, "cus_1");
        for kind in ["tax_id", "discount", "source", "cash_balance", "subscription", "subscription_schedule"] {
            check(&format!(r#"{{"object":"{kind}","id":"x_1","customer":"cus_1"}}"#), "cus_1");
        }
        for kind in ["subscription_item", "invoice", "invoiceitem", "credit_note", "billing_portal.session"] {
            check(&format!(r#"{{"object":"{kind}","id":"x_1","customer":{{"id":"cus_1","name":"x"}}}}"#), "cus_1");
        }
        check(r#"{"object":"entitlements.active_entitlement_summary","customer":"cus_1"}"#, "cus_1");
    }

    /// As the API leaves them: with a customer that is null, deleted, absent or of another shape.
    #[test]
    fn without_a_customer_the_object_is_its_own_subject() {
        for kind in ["tax_id", "discount", "source", "subscription", "subscription_item", "invoice", "invoiceitem"] {
            for customer in ["", r#","customer":null"#, r#","customer":"""#, r#","customer":7"#, r#","customer":{}"#] {
                check(&format!(r#"{{"object":"{kind}","id":"x_1"{customer}}}"#), "x_1");
            }
            let deleted = r#"{"id":"cus_1","object":"customer","deleted":true}"#;
            check(&format!(r#"{{"object":"{kind}","id":"x_1","customer":{deleted}}}"#), "cus_1");
        }
        check(r#"{"object":"cash_balance","customer":null}"#, "evt_1");
        check(r#"{"object":"customer","id":"cus_1","deleted":true}"#, "cus_1");
        check(r#"{"object":"customer","id":"cus_1","customer":"cus_2"}"#, "cus_1");
        check(r#"{"object":"discount","id":"","customer":"cus_1"}"#, "cus_1");
    }

    /// The type of the object decides, and `source` is the type of a source, not of a card that is used as one.
    #[test]
    fn what_only_looks_like_a_row_of_the_table_is_its_own_subject() {
        for kind in ["card", "bank_account", "Subscription", "customer_balance_transaction", "customer_session"] {
            check(&format!(r#"{{"object":"{kind}","id":"x_1","customer":"cus_1"}}"#), "x_1");
        }
        for kind in ["issuing.dispute", "fee_refund", "terminal.refund", "payment_record"] {
            check(&format!(r#"{{"object":"{kind}","id":"x_1","payment_intent":"pi_1","charge":"ch_1"}}"#), "x_1");
        }
        check(r#"{"object":["subscription"],"id":"x_1","customer":"cus_1"}"#, "x_1");
        check(r#"{"id":"x_1","customer":"cus_1"}"#, "x_1");
    }

    #[test]
    fn payments_go_to_their_root() {
        check(r#"{"object":"payment_intent","id":"pi_1","customer":"cus_1"}"#, "pi_1");
        check(r#"{"object":"charge","id":"ch_1","payment_intent":"pi_1","customer":"cus_1"}"#, "pi_1");
        check(r#"{"object":"charge","id":"ch_1","payment_intent":null}"#, "ch_1");
        check(r#"{"object":"charge","id":"ch_1","payment_intent":{"id":"pi_1","latest_charge":"ch_1"}}"#, "pi_1");
        check(r#"{"object":"payment_intent","id":"pi_1","payment_intent":"pi_2","charge":"ch_1"}"#, "pi_1");
        for kind in ["refund", "dispute", "review", "radar.early_fraud_warning"] {
            check(&format!(r#"{{"object":"{kind}","id":"x_1","charge":"ch_1","payment_intent":"pi_1"}}"#), "pi_1");
            check(&format!(r#"{{"object":"{kind}","id":"x_1","charge":{{"id":"ch_1"}}}}"#), "ch_1");
            check(&format!(r#"{{"object":"{kind}","id":"x_1"}}"#), "x_1");
        }
        check(
            r#"{"object":"invoice_payment","id":"inpay_1","payment":{"type":"payment_intent","payment_intent":"pi_1"}}"#,
            "pi_1",
        );
        check(r#"{"object":"invoice_payment","id":"inpay_1","payment":{"type":"charge","charge":"ch_1"}}"#, "ch_1");
        check(
            r#"{"payment":{"charge":{"id":"ch_1"},"payment_intent":{"id":"pi_1"}},"object":"invoice_payment","id":"inpay_1"}"#,
            "pi_1",
        );
        check(r#"{"object":"invoice_payment","id":"inpay_1","payment":{"type":"payment_record"}}"#, "inpay_1");
        check(r#"{"object":"refund","id":"re_1","payment":{"payment_intent":"pi_1"}}"#, "re_1");
    }

    #[test]
    fn the_rest_is_its_own_subject_whatever_customer_it_names() {
        for kind in
            ["checkout.session", "setup_intent", "payment_method", "product", "price", "plan", "coupon", "made_up"]
        {
            check(&format!(r#"{{"object":"{kind}","id":"x_1","customer":"cus_1","payment_intent":"pi_1"}}"#), "x_1");
        }
    }

    #[test]
    fn without_an_object_the_event_is_its_own_subject() {
        check("null", "evt_1");
        check(r#"{"object":"subscription"}"#, "evt_1");
        check(r#"{"object":"subscription","id":""}"#, "evt_1");
    }

    #[test]
    fn a_thin_event_is_about_its_related_object() {
        let thin = |related: &str| {
            format!(r#"{{"id":"evt_2","object":"v2.core.event"{related},"data":{{"object":{{"id":"no"}}}}}}"#)
        };
        for (related, subject) in
            [(r#","related_object":{"id":"ba_1"}"#, "ba_1"), ("", "evt_2"), (r#","related_object":null"#, "evt_2")]
        {
            let body = thin(related);
            let event = Envelope::read(body.as_bytes()).expect("readable");
            assert_eq!(Subject::of(&event, "stripe").id, subject, "{body}");
        }
    }

    /// Written for ever, as the keys of snapshot events.
    #[test]
    fn a_thin_event_is_kept_with_the_account_that_its_context_names() {
        for (context, key) in [
            ("null", "stripe/live/mtr_1"),
            (r#""acct_7""#, "acct_7/live/mtr_1"),
            (r#""org_1/acct_7""#, "acct_7/live/mtr_1"),
            (r#""org_1""#, "stripe/live/mtr_1"),
        ] {
            let body = format!(
                r#"{{"id":"evt_2","object":"v2.core.event","livemode":true,"context":{context},"related_object":{{"id":"mtr_1"}}}}"#
            );
            let event = Envelope::read(body.as_bytes()).expect("readable");
            assert_eq!(Subject::of(&event, "stripe").to_string(), key, "{body}");
        }
    }

    #[test]
    fn accounts_and_modes_are_kept_apart() {
        let body = br#"{"id":"evt_1","account":"acct_7","data":{"object":{"object":"product","id":"gold"}}}"#;
        let event = Envelope::read(body).expect("readable");
        assert_eq!(Subject::of(&event, "stripe").to_string(), "acct_7/test/gold");
        for (account, livemode, key) in [
            ("", "", "eu/test/gold"),
            (r#""account":null,"#, r#""livemode":true,"#, "eu/live/gold"),
            (r#""account":"","#, r#""livemode":"true","#, "eu/test/gold"),
            (r#""account":{"id":"acct_7"},"#, r#""livemode":1,"#, "eu/test/gold"),
            (r#""account":"acct_7","#, r#""livemode":true,"#, "acct_7/live/gold"),
        ] {
            let object = r#""data":{"object":{"object":"product","id":"gold","account":"acct_8","livemode":true}}"#;
            let body = format!(r#"{{"id":"evt_1",{account}{livemode}{object}}}"#);
            let event = Envelope::read(body.as_bytes()).expect("readable");
            assert_eq!(Subject::of(&event, "eu").to_string(), key, "{body}");
        }
    }
}
