//! What a turn shows as: each function here moves a customer's state on and tells the facts of it, in their true order.

mod billing;
mod changes;
mod money;
mod signup;

use super::dice::Dice;
use super::facts::Fact;
use super::model::{Changes, Customer, DAY, HOUR, Held, Subscription};
use super::status::Status;
use super::turns::{Step, Turn};

/// A customer at one moment, with all that a turn may draw on.
pub(super) struct Scene<'a> {
    pub(super) customer: &'a mut Customer,
    pub(super) dice: &'a mut Dice,
    pub(super) serials: &'a mut u64,
    /// When the next fact happens.
    pub(super) at: i64,
    /// Whether the facts of this turn fall into one second.
    pub(super) burst: bool,
}

impl Scene<'_> {
    /// Plays `turn` to its end.
    pub(super) fn play(&mut self, turn: Turn) {
        match turn {
            Turn::SignUp => self.sign_up(),
            Turn::Subscribe(slot) => self.subscribe(slot),
            Turn::Of(slot, step) => {
                self.step(slot, step);
                let status = self.held(slot).now.status;
                assert!(step.outcome().is_none_or(|outcome| outcome == status), "{step:?} ended in {status:?}");
            }
            Turn::OneOffPayment => self.one_off_payment(),
            Turn::Refund => self.refund_in_two_parts(),
            Turn::Dispute => self.dispute(),
            Turn::EditProfile => self.edit_profile(),
            Turn::AttachMethod => self.attach_method(),
            Turn::ChangeFeatures => self.change_features(),
            Turn::Catalogue => self.change_catalogue(),
            Turn::ThinEvent => self.thin_event(),
            Turn::UnknownType => self.unknown_type(),
            Turn::Leave => self.leave(),
        }
    }

    fn step(&mut self, slot: usize, step: Step) {
        match step {
            Step::FirstPayment => self.first_payment(slot),
            Step::Expire => self.expire(slot),
            Step::AnnounceTrialEnd => self.announce_trial_end(slot),
            Step::TrialConverts => self.trial_converts(slot),
            Step::TrialPaymentFails | Step::RenewalFails => self.renewal_fails(slot),
            Step::TrialPauses => self.trial_pauses(slot),
            Step::Renew => self.renew(slot),
            Step::RetryFails => self.retry_fails(slot),
            Step::Recover => self.recover(slot),
            Step::GoUnpaid => self.go_unpaid(slot),
            Step::Resume => self.resume(slot),
            Step::End => self.end(slot),
            Step::ScheduleCancel => self.schedule_cancel(slot),
            Step::UnscheduleCancel => self.unschedule_cancel(slot),
            Step::PauseCollection => self.pause_collection(slot, true),
            Step::ResumeCollection => self.pause_collection(slot, false),
            Step::ChangeQuantity => self.change_quantity(slot),
            Step::ChangeMethod => self.change_method(slot),
        }
    }

    fn serial(&mut self) -> u64 {
        *self.serials += 1;
        *self.serials
    }

    /// Time goes by; not within a burst.
    fn pass(&mut self, seconds: i64) {
        if !self.burst {
            self.at += seconds;
        }
    }

    fn tell(&mut self, fact: Fact) {
        self.customer.clock = self.at;
        self.customer.pending.push_back((self.at, fact));
        let gap = self.dice.between(1, 3);
        self.pass(gap);
    }

    fn held(&self, slot: usize) -> Held {
        self.customer.held[slot].expect("a turn is only drawn for a subscription that is held")
    }

    /// A new subscription in `slot`, told as created.
    fn create(&mut self, slot: usize, subscription: Subscription) {
        let due = self.due_after(&subscription);
        let mut held = Held { now: subscription, due, trial_end_announced: false, second: Default::default() };
        self.at = held.second.place_update(self.at, Changes::default());
        self.customer.held[slot] = Some(held);
        self.tell(Fact::Subscription { kind: "customer.subscription.created", now: subscription, before: None });
    }

    /// Changes the subscription in `slot` and tells it, with what was before.
    fn update(&mut self, slot: usize, change: impl Fn(&mut Subscription, i64)) {
        let mut held = self.held(slot);
        let before = held.now;
        change(&mut held.now, self.at);
        let changes = held.now.changes(&before);
        self.at = held.second.place_update(self.at, changes);
        held.now = before;
        change(&mut held.now, self.at);
        if changes.has(Changes::STATUS.and(Changes::PERIOD)) {
            held.due = self.due_after(&held.now);
        }
        self.customer.held[slot] = Some(held);
        self.tell(Fact::Subscription { kind: "customer.subscription.updated", now: held.now, before: Some(before) });
    }

    /// Tells of the subscription in `slot` as it stands.
    fn notice(&mut self, slot: usize, kind: &'static str) {
        let mut held = self.held(slot);
        self.at = held.second.place_notice(self.at);
        self.customer.held[slot] = Some(held);
        self.tell(Fact::Subscription { kind, now: held.now, before: None });
    }

    fn due_after(&mut self, now: &Subscription) -> i64 {
        match now.status {
            Status::Incomplete => now.created + 23 * HOUR,
            Status::Trialing | Status::Active => now.period.1,
            Status::PastDue => self.at + self.dice.between(3 * DAY, 7 * DAY),
            Status::Unpaid => self.at + self.dice.between(10 * DAY, 60 * DAY),
            Status::Paused => self.at + self.dice.between(10 * DAY, 60 * DAY),
            Status::IncompleteExpired | Status::Canceled => i64::MAX,
        }
    }
}
