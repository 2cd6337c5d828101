//! The JSON of each object, as Stripe's API versions shape it. Facts in, bytes out; nothing here decides anything.

mod catalogue;
mod customer;
mod envelope;
mod invoice;
mod money;
mod subscription;

pub(super) use envelope::{Envelope, Written, write_event};

use super::facts::Fact;
use super::json::Json;
use super::model::Customer;

/// Writes the data object of an event and, where it has them, its previous attributes.
pub(super) struct Sheet<'a, 'b> {
    pub(super) json: &'a mut Json<'b>,
    pub(super) customer: &'a Customer,
    /// The event's second.
    pub(super) at: i64,
}

impl Sheet<'_, '_> {
    /// The data of any fact: its object and previous attributes.
    pub(super) fn write_data(self, fact: &Fact) {
        let (customer, at) = (self.customer, self.at);
        self.json.object("object", |json| Sheet { json, customer, at }.write_object(fact));
        if has_previous(fact) {
            self.json.object("previous_attributes", |json| Sheet { json, customer, at }.write_previous(fact));
        }
    }

    fn write_object(&mut self, fact: &Fact) {
        match fact {
            Fact::Customer { kind, .. } => self.write_customer(kind),
            Fact::Subscription { now, .. } => self.write_subscription(now),
            Fact::Invoice { invoice, .. } => self.write_invoice(invoice),
            Fact::PaymentIntent { kind, payment } => self.write_intent(kind, payment),
            Fact::Charge { payment, .. } => self.write_charge(payment),
            Fact::Refund { payment, serial, amount } => self.write_refund(payment, *serial, *amount),
            Fact::Dispute { .. } => self.write_dispute(fact),
            Fact::PaymentMethod { serial } => self.write_method(*serial),
            Fact::Checkout { serial, subscription } => self.write_checkout(*serial, subscription),
            Fact::Features { now, .. } => self.write_features(*now),
            Fact::Product { .. } => self.write_product(fact),
            Fact::Price { serial } => self.write_new_price(*serial),
            Fact::Unknown { serial } => self.write_unknown(*serial),
            Fact::Thin { .. } => unreachable!("thin events have no data object"),
        }
    }

    fn write_previous(&mut self, fact: &Fact) {
        match fact {
            Fact::Subscription { now, before: Some(before), .. } => self.write_previous_subscription(before, now),
            Fact::Customer { renamed_before: Some(renamed), .. } => self.json.text("name", self.name(*renamed)),
            Fact::Charge { payment, refunded_before: Some(before), .. } => {
                self.json.number("amount_refunded", *before);
                debug_assert!(payment.refunded > *before);
            }
            Fact::Features { before, .. } => self.write_previous_features(*before),
            Fact::Product { made, revision, .. } => self.write_previous_product(*made, *revision),
            _ => {}
        }
    }
}

fn has_previous(fact: &Fact) -> bool {
    match fact {
        Fact::Subscription { before, .. } => before.is_some(),
        Fact::Customer { renamed_before, .. } => renamed_before.is_some(),
        Fact::Charge { refunded_before, .. } => refunded_before.is_some(),
        Fact::Product { revision, .. } => *revision > 0,
        Fact::Features { .. } => true,
        _ => false,
    }
}
