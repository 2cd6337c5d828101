//! What customers and shops do to a subscription between two invoices, and how it ends.

use super::super::facts::Fact;
use super::super::model::Changes;
use super::super::status::Status;
use super::Scene;

impl Scene<'_> {
    /// Reversible: the status stays, only `deleted` will end it.
    pub(super) fn schedule_cancel(&mut self, slot: usize) {
        self.update(slot, |now, at| {
            now.cancel_at_period_end = true;
            now.cancel_at = Some(now.period.1);
            now.canceled_at = Some(at);
            now.cancel_reason = Some("cancellation_requested");
        });
    }

    pub(super) fn unschedule_cancel(&mut self, slot: usize) {
        self.update(slot, |now, _| {
            now.cancel_at_period_end = false;
            now.cancel_at = None;
            now.canceled_at = None;
            now.cancel_reason = None;
        });
    }

    pub(super) fn pause_collection(&mut self, slot: usize, paused: bool) {
        self.update(slot, |now, _| now.collection_paused = paused);
    }

    pub(super) fn change_quantity(&mut self, slot: usize) {
        let step = self.dice.between(1, 4);
        self.update(slot, |now, _| now.quantity += if now.quantity > step { -step } else { step });
    }

    pub(super) fn change_method(&mut self, slot: usize) {
        self.attach_method();
        let method = self.customer.method;
        self.update(slot, |now, _| now.method = method);
    }

    /// The subscription is over, whether by request, at its period's end or for debt.
    pub(super) fn end(&mut self, slot: usize) {
        self.tell_end(slot);
        if self.customer.held.iter().flatten().all(|held| held.now.status.is_terminal()) {
            self.set_features(0);
        }
    }

    /// The customer is deleted, before or after what it was subscribed to. What may not be canceled from where it stands
    /// never hears of it: only `customer.deleted` ends its access.
    pub(super) fn leave(&mut self) {
        let subscriptions_first = self.customer.remaining > 2 && self.dice.chance(50);
        if subscriptions_first {
            self.end_all();
        }
        self.customer.deleted = true;
        self.tell(Fact::Customer { kind: "customer.deleted", renamed_before: None });
        if !subscriptions_first {
            self.end_all();
        }
    }

    fn end_all(&mut self) {
        for slot in 0..self.customer.held.len() {
            if self.customer.held[slot].is_some_and(|held| held.now.status.leads_to(Status::Canceled)) {
                self.tell_end(slot);
            }
        }
    }

    fn tell_end(&mut self, slot: usize) {
        let mut held = self.held(slot);
        self.at = held.second.place_update(self.at, Changes::STATUS);
        let for_debt = matches!(held.now.status, Status::PastDue | Status::Unpaid);
        held.now.cancel_reason.get_or_insert(if for_debt { "payment_failed" } else { "cancellation_requested" });
        held.now.canceled_at.get_or_insert(self.at);
        held.now.ended_at = Some(self.at);
        held.now.status = Status::Canceled;
        self.customer.held[slot] = Some(held);
        self.tell(Fact::Subscription { kind: "customer.subscription.deleted", now: held.now, before: None });
    }
}
