//! Invoices and what they do to a subscription: renewals, failures, recoveries, the end of trials.

use super::super::facts::{Fact, Invoice};
use super::super::model::{DAY, HOUR, Payment, Subscription};
use super::super::status::Status;
use super::Scene;

impl Scene<'_> {
    /// The invoice of the current period, made, finalised and paid.
    pub(super) fn bill(&mut self, slot: usize, reason: &'static str) {
        let invoice = self.open_invoice(slot, reason);
        self.settle(invoice);
    }

    /// The same, but the payment fails.
    pub(super) fn bill_in_vain(&mut self, slot: usize, reason: &'static str) {
        let invoice = self.open_invoice(slot, reason);
        self.fail(invoice, 1);
    }

    pub(super) fn latest_invoice(&self, slot: usize, reason: &'static str) -> Invoice {
        let of = self.held(slot).now;
        Invoice {
            serial: of.latest_invoice,
            status: "open",
            reason,
            created: of.period.0,
            attempts: 0,
            amount: of.amount(),
            payment: None,
            of,
        }
    }

    pub(super) fn open_invoice(&mut self, slot: usize, reason: &'static str) -> Invoice {
        let mut invoice = self.draft(slot, reason);
        if reason == "subscription_cycle" {
            self.pass(HOUR);
        }
        invoice.status = "open";
        self.tell(Fact::Invoice { kind: "invoice.finalized", invoice });
        invoice
    }

    /// A trial's first invoice is over nothing, and paid at once.
    pub(super) fn free_invoice(&mut self, slot: usize) {
        let mut invoice = self.latest_invoice(slot, "subscription_create");
        (invoice.amount, invoice.created, invoice.status) = (0, self.at, "paid");
        self.tell(Fact::Invoice { kind: "invoice.paid", invoice });
    }

    pub(super) fn settle(&mut self, mut invoice: Invoice) {
        let payment = self.pay(invoice.amount, invoice.of.plan().currency);
        invoice.status = "paid";
        invoice.attempts += 1;
        invoice.payment = Some(payment.serial);
        self.tell(Fact::Invoice { kind: "invoice.paid", invoice });
    }

    pub(super) fn pay(&mut self, amount: i64, currency: &'static str) -> Payment {
        let payment = self.new_payment(amount, currency);
        self.customer.payment = Some(payment);
        self.tell(Fact::Charge { kind: "charge.succeeded", payment, refunded_before: None });
        self.tell(Fact::PaymentIntent { kind: "payment_intent.succeeded", payment });
        payment
    }

    pub(super) fn renew(&mut self, slot: usize) {
        self.next_period(slot);
        if self.held(slot).now.collection_paused {
            self.draft(slot, "subscription_cycle");
        } else {
            self.bill(slot, "subscription_cycle");
        }
    }

    pub(super) fn renewal_fails(&mut self, slot: usize) {
        if self.held(slot).now.status == Status::Active {
            self.next_period(slot);
        }
        self.bill_in_vain(slot, "subscription_cycle");
        self.update(slot, |now, _| now.status = Status::PastDue);
    }

    pub(super) fn retry_fails(&mut self, slot: usize) {
        let invoice = self.latest_invoice(slot, "subscription_cycle");
        self.fail(invoice, 2);
        let due = self.at + self.dice.between(3 * DAY, 5 * DAY);
        let mut held = self.held(slot);
        held.due = due;
        self.customer.held[slot] = Some(held);
    }

    pub(super) fn recover(&mut self, slot: usize) {
        let invoice = self.latest_invoice(slot, "subscription_cycle");
        self.settle(invoice);
        self.update(slot, |now, at| {
            now.status = Status::Active;
            catch_up(now, at);
        });
    }

    pub(super) fn go_unpaid(&mut self, slot: usize) {
        let invoice = self.latest_invoice(slot, "subscription_cycle");
        self.fail(invoice, 4);
        self.update(slot, |now, _| now.status = Status::Unpaid);
    }

    pub(super) fn trial_converts(&mut self, slot: usize) {
        let invoice = self.serial();
        self.update(slot, |now, _| {
            now.status = Status::Active;
            now.period = (now.period.1, now.period.1 + now.plan().days * DAY);
            now.latest_invoice = invoice;
        });
        self.bill(slot, "subscription_cycle");
    }

    pub(super) fn trial_pauses(&mut self, slot: usize) {
        self.update(slot, |now, _| now.status = Status::Paused);
        self.notice(slot, "customer.subscription.paused");
    }

    pub(super) fn resume(&mut self, slot: usize) {
        let invoice = self.serial();
        self.update(slot, |now, at| {
            now.status = Status::Active;
            now.period = (at, at + now.plan().days * DAY);
            now.latest_invoice = invoice;
        });
        self.notice(slot, "customer.subscription.resumed");
        self.bill(slot, "subscription_cycle");
    }

    pub(super) fn announce_trial_end(&mut self, slot: usize) {
        let mut held = self.held(slot);
        held.trial_end_announced = true;
        self.customer.held[slot] = Some(held);
        self.notice(slot, "customer.subscription.trial_will_end");
    }

    fn new_payment(&mut self, amount: i64, currency: &'static str) -> Payment {
        let (serial, created, method) = (self.serial(), self.at, self.customer.method);
        Payment { serial, amount, currency, refunded: 0, created, disputed: false, method }
    }

    fn next_period(&mut self, slot: usize) {
        let invoice = self.serial();
        self.update(slot, |now, at| {
            now.period = (now.period.1, now.period.1 + now.plan().days * DAY);
            catch_up(now, at);
            now.latest_invoice = invoice;
        });
    }

    fn draft(&mut self, slot: usize, reason: &'static str) -> Invoice {
        let invoice = Invoice { status: "draft", created: self.at, ..self.latest_invoice(slot, reason) };
        self.tell(Fact::Invoice { kind: "invoice.created", invoice });
        invoice
    }

    fn fail(&mut self, mut invoice: Invoice, attempts: i64) {
        let payment = self.new_payment(invoice.amount, invoice.of.plan().currency);
        (invoice.attempts, invoice.payment) = (attempts, Some(payment.serial));
        self.tell(Fact::PaymentIntent { kind: "payment_intent.payment_failed", payment });
        self.tell(Fact::Invoice { kind: "invoice.payment_failed", invoice });
    }
}

/// A period that is over before the event is skipped: the next one begins now.
fn catch_up(now: &mut Subscription, at: i64) {
    if now.period.1 <= at {
        now.period = (at, at + now.plan().days * DAY);
    }
}
