//! Payments beside subscriptions, money that goes back, and what has nothing to do with either.

use super::super::facts::Fact;
use super::super::model::{DAY, HOUR, MINUTE};
use super::Scene;

/// More than the ten that a summary shows.
const MOST_FEATURES: i64 = 14;

impl Scene<'_> {
    pub(super) fn one_off_payment(&mut self) {
        let amount = self.dice.between(5, 900) * 100;
        let currency = self.customer.currency();
        self.pay(amount, currency);
    }

    /// Two partial refunds of one charge: two facts, however alike.
    pub(super) fn refund_in_two_parts(&mut self) {
        let amount = self.customer.payment.map_or(0, |payment| payment.amount / 4);
        self.refund(amount);
        let pause = self.dice.between(HOUR, 5 * DAY);
        self.pass(pause);
        self.refund(amount);
    }

    fn refund(&mut self, amount: i64) {
        let Some(mut payment) = self.customer.payment else { return };
        let serial = self.serial();
        let before = payment.refunded;
        payment.refunded += amount;
        self.customer.payment = Some(payment);
        self.tell(Fact::Refund { payment, serial, amount });
        self.tell(Fact::Charge { kind: "charge.refunded", payment, refunded_before: Some(before) });
    }

    pub(super) fn dispute(&mut self) {
        let Some(mut payment) = self.customer.payment else { return };
        let (serial, opened) = (self.serial(), self.at);
        payment.disputed = true;
        self.customer.payment = Some(payment);
        let status = "needs_response";
        self.tell(Fact::Dispute { kind: "charge.dispute.created", payment, serial, opened, status });
        let pause = self.dice.between(DAY, 20 * DAY);
        self.pass(pause);
        let status = if self.dice.chance(60) { "won" } else { "lost" };
        self.tell(Fact::Dispute { kind: "charge.dispute.closed", payment, serial, opened, status });
    }

    pub(super) fn edit_profile(&mut self) {
        let before = self.customer.renamed;
        self.customer.renamed += 1;
        self.tell(Fact::Customer { kind: "customer.updated", renamed_before: Some(before) });
    }

    pub(super) fn grant_features(&mut self) {
        let features = self.dice.between(2, MOST_FEATURES).unsigned_abs();
        self.set_features(features);
    }

    /// To another number of features, whatever it is now.
    pub(super) fn change_features(&mut self) {
        let step = self.dice.between(1, MOST_FEATURES - 1).unsigned_abs();
        self.set_features((self.customer.features + step) % MOST_FEATURES.unsigned_abs());
    }

    pub(super) fn set_features(&mut self, now: u64) {
        let before = std::mem::replace(&mut self.customer.features, now);
        if before != now {
            self.tell(Fact::Features { now, before });
        }
    }

    pub(super) fn change_catalogue(&mut self) {
        let (serial, made) = (self.serial(), self.at);
        self.tell(Fact::Product { kind: "product.created", serial, made, revision: 0 });
        self.tell(Fact::Price { serial });
        let pause = self.dice.between(MINUTE, DAY);
        self.pass(pause);
        self.tell(Fact::Product { kind: "product.updated", serial, made, revision: 1 });
    }

    pub(super) fn thin_event(&mut self) {
        let (serial, related) = (self.serial(), self.dice.chance(60));
        self.tell(Fact::Thin { serial, related });
    }

    pub(super) fn unknown_type(&mut self) {
        let serial = self.serial();
        self.tell(Fact::Unknown { serial });
    }
}
