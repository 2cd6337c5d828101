//! How customers come, and how they subscribe.

use super::super::facts::{Fact, Invoice};
use super::super::model::{DAY, PLANS, Subscription};
use super::super::status::Status;
use super::Scene;

/// The ways into a subscription, with their weights.
const ENTRIES: &[(u64, Entry)] =
    &[(45, Entry::Checkout), (25, Entry::Trial), (15, Entry::Direct), (15, Entry::Declined)];

#[derive(Clone, Copy)]
enum Entry {
    /// Incomplete, then paid and active within moments.
    Checkout,
    Trial,
    /// Active from the first event on.
    Direct,
    /// Incomplete, and the card was declined.
    Declined,
}

impl Scene<'_> {
    pub(super) fn sign_up(&mut self) {
        self.customer.born = self.at;
        self.tell(Fact::Customer { kind: "customer.created", renamed_before: None });
        if self.dice.chance(70) {
            self.attach_method();
        }
        if self.dice.chance(92) {
            self.subscribe(0);
        }
    }

    pub(super) fn subscribe(&mut self, slot: usize) {
        match self.dice.weighted(ENTRIES.iter().copied()).expect("the weights are not 0") {
            Entry::Checkout => self.check_out(slot),
            Entry::Trial => self.begin_trial(slot),
            Entry::Direct => {
                self.begin(slot, Status::Active);
                self.bill(slot, "subscription_create");
                self.grant_features();
            }
            Entry::Declined => {
                self.begin(slot, Status::Incomplete);
                self.bill_in_vain(slot, "subscription_create");
            }
        }
    }

    pub(super) fn attach_method(&mut self) {
        let serial = self.serial();
        self.customer.method = Some(serial);
        self.tell(Fact::PaymentMethod { serial });
    }

    fn check_out(&mut self, slot: usize) {
        self.begin(slot, Status::Incomplete);
        let invoice = self.open_invoice(slot, "subscription_create");
        self.settle_first(slot, invoice);
        self.complete_checkout(slot);
    }

    fn begin_trial(&mut self, slot: usize) {
        self.begin(slot, Status::Trialing);
        self.free_invoice(slot);
        if self.dice.chance(60) {
            self.complete_checkout(slot);
        }
        self.grant_features();
    }

    fn complete_checkout(&mut self, slot: usize) {
        let serial = self.serial();
        let subscription = self.held(slot).now;
        self.tell(Fact::Checkout { serial, subscription });
    }

    fn begin(&mut self, slot: usize, status: Status) {
        let subscription = self.draw_subscription(status);
        self.create(slot, subscription);
    }

    fn draw_subscription(&mut self, status: Status) -> Subscription {
        let plan = self.dice.below(PLANS.len() as u64) as usize;
        let trial = (status == Status::Trialing).then(|| (self.at, self.at + self.dice.between(1, 4) * 7 * DAY));
        Subscription {
            serial: self.serial(),
            created: self.at,
            status,
            plan,
            addon: self.dice.chance(20),
            quantity: self.dice.between(1, 5),
            period: trial.unwrap_or((self.at, self.at + PLANS[plan].days * DAY)),
            trial,
            cancel_at_period_end: false,
            cancel_at: None,
            canceled_at: None,
            cancel_reason: None,
            ended_at: None,
            collection_paused: false,
            latest_invoice: self.serial(),
            method: None,
        }
    }

    /// The invoice of a first period, paid; the subscription becomes active by it.
    pub(super) fn settle_first(&mut self, slot: usize, invoice: Invoice) {
        if self.customer.method.is_none() {
            self.attach_method();
        }
        self.settle(invoice);
        let method = self.customer.method;
        self.update(slot, |now, _| {
            now.status = Status::Active;
            now.method = method;
        });
        self.grant_features();
    }

    pub(super) fn first_payment(&mut self, slot: usize) {
        let invoice = self.latest_invoice(slot, "subscription_create");
        self.settle_first(slot, invoice);
    }

    /// After 23 hours without a first payment.
    pub(super) fn expire(&mut self, slot: usize) {
        self.update(slot, |now, at| {
            now.status = Status::IncompleteExpired;
            now.ended_at = Some(at);
        });
    }
}
