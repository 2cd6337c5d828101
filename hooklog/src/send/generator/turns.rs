//! What can happen to a customer next, and how likely it is: tables, so that a lifecycle can be read and checked.

use super::dice::Dice;
use super::model::{Customer, DAY, HOUR, Held, MINUTE};
use super::status::Status;

/// One thing that happens to a customer; it shows as one event or a handful.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    SignUp,
    Subscribe(usize),
    Of(usize, Step),
    OneOffPayment,
    Refund,
    Dispute,
    EditProfile,
    AttachMethod,
    ChangeFeatures,
    Catalogue,
    ThinEvent,
    UnknownType,
    Leave,
}

/// One thing that happens to a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    FirstPayment,
    Expire,
    AnnounceTrialEnd,
    TrialConverts,
    TrialPaymentFails,
    TrialPauses,
    Renew,
    RenewalFails,
    RetryFails,
    Recover,
    GoUnpaid,
    Resume,
    End,
    ScheduleCancel,
    UnscheduleCancel,
    PauseCollection,
    ResumeCollection,
    ChangeQuantity,
    ChangeMethod,
}

use Status::{Active, Canceled, Incomplete, IncompleteExpired, PastDue, Paused, Trialing, Unpaid};
use Step::{
    AnnounceTrialEnd, ChangeMethod, ChangeQuantity, End, Expire, FirstPayment, GoUnpaid, PauseCollection, Recover,
    Renew, RenewalFails, Resume, ResumeCollection, RetryFails, ScheduleCancel, TrialConverts, TrialPauses,
    TrialPaymentFails, UnscheduleCancel,
};

type Row = (Status, &'static [(u64, Step)]);

/// What happens when a subscription's time has come.
pub(super) const DUE: &[Row] = &[
    (Incomplete, &[(100, Expire)]),
    (Trialing, &[(62, TrialConverts), (14, TrialPaymentFails), (14, TrialPauses), (10, End)]),
    (Active, &[(78, Renew), (22, RenewalFails)]),
    (PastDue, &[(40, Recover), (15, RetryFails), (25, GoUnpaid), (20, End)]),
    (Unpaid, &[(50, Recover), (50, End)]),
    (Paused, &[(100, Resume)]),
];

/// What may happen to a subscription in between.
pub(super) const FREE: &[Row] = &[
    (Incomplete, &[(400, FirstPayment)]),
    (
        Trialing,
        &[
            (40, AnnounceTrialEnd),
            (10, ScheduleCancel),
            (30, UnscheduleCancel),
            (10, ChangeQuantity),
            (15, ChangeMethod),
            (3, End),
        ],
    ),
    (
        Active,
        &[
            (12, ScheduleCancel),
            (40, UnscheduleCancel),
            (8, PauseCollection),
            (50, ResumeCollection),
            (12, ChangeQuantity),
            (8, ChangeMethod),
            (5, End),
        ],
    ),
    (PastDue, &[(40, Recover), (20, ChangeMethod), (5, ScheduleCancel), (8, End)]),
    (Unpaid, &[(10, Recover), (10, End)]),
    (Paused, &[(30, Resume)]),
];

/// What may happen to the customer in between, whatever is subscribed to.
const BESIDES: &[(u64, Turn)] = &[
    (5, Turn::EditProfile),
    (6, Turn::OneOffPayment),
    (3, Turn::AttachMethod),
    (6, Turn::Refund),
    (3, Turn::Dispute),
    (5, Turn::ChangeFeatures),
];

/// What has nothing to do with the customer, and goes on after one is gone.
const ASIDES: &[(u64, Turn)] = &[(3, Turn::Catalogue), (2, Turn::ThinEvent), (2, Turn::UnknownType)];

impl Step {
    /// The status this step leads to, where it changes any.
    pub(super) fn outcome(self) -> Option<Status> {
        match self {
            FirstPayment | TrialConverts | Recover | Resume => Some(Active),
            Expire => Some(IncompleteExpired),
            TrialPaymentFails | RenewalFails => Some(PastDue),
            TrialPauses => Some(Paused),
            GoUnpaid => Some(Unpaid),
            End => Some(Canceled),
            _ => None,
        }
    }

    fn is_possible(self, held: &Held) -> bool {
        let now = &held.now;
        match self {
            AnnounceTrialEnd => !held.trial_end_announced,
            ScheduleCancel => !now.cancel_at_period_end,
            UnscheduleCancel => now.cancel_at_period_end,
            PauseCollection => !now.collection_paused,
            ResumeCollection => now.collection_paused,
            _ => true,
        }
    }
}

fn row(table: &'static [Row], status: Status) -> &'static [(u64, Step)] {
    table.iter().find(|(of, _)| *of == status).map_or(&[], |(_, steps)| steps)
}

/// Chooses what happens to `customer` next, and when.
pub(super) fn choose(customer: &Customer, same_second: bool, dice: &mut Dice) -> (i64, Turn) {
    if customer.leaves && !customer.deleted && customer.remaining <= 4 {
        return (customer.clock + dice.between(1, DAY), Turn::Leave);
    }
    let turn = draw(customer, dice);
    let at = moment(customer, turn, same_second, dice);
    match earliest_due(customer).filter(|(due, _)| *due <= at) {
        Some((due, slot)) => (due.max(customer.clock + 1), due_turn(customer, slot, dice)),
        None => (at, turn),
    }
}

fn draw(customer: &Customer, dice: &mut Dice) -> Turn {
    let held = customer.held.iter().enumerate().filter_map(|(slot, held)| Some((slot, held.as_ref()?)));
    let steps = held.filter(|_| !customer.deleted).flat_map(|(slot, held)| {
        let possible = row(FREE, held.now.status).iter().filter(|(_, step)| step.is_possible(held));
        possible.map(move |(weight, step)| (*weight, Turn::Of(slot, *step)))
    });
    let besides = BESIDES.iter().copied().filter(|(_, turn)| !customer.deleted && is_possible(*turn, customer));
    let turns = steps.chain(besides).chain(subscribe(customer)).chain(ASIDES.iter().copied());
    dice.weighted(turns).expect("asides are always possible")
}

fn subscribe(customer: &Customer) -> Option<(u64, Turn)> {
    let is_open = |held: &Option<Held>| held.is_none_or(|held| held.now.status.is_terminal());
    let slot = customer.held.iter().position(is_open).filter(|_| !customer.deleted)?;
    Some((if customer.held.iter().all(is_open) { 50 } else { 3 }, Turn::Subscribe(slot)))
}

fn is_possible(turn: Turn, customer: &Customer) -> bool {
    match turn {
        Turn::Refund => customer.payment.is_some_and(|payment| payment.refunded == 0 && !payment.disputed),
        Turn::Dispute => customer.payment.is_some_and(|payment| payment.refunded == 0 && !payment.disputed),
        _ => true,
    }
}

fn moment(customer: &Customer, turn: Turn, same_second: bool, dice: &mut Dice) -> i64 {
    if same_second && dice.chance(60) {
        return customer.clock;
    }
    match turn {
        Turn::Of(_, FirstPayment) => customer.clock + dice.between(20, 28 * HOUR),
        Turn::Of(slot, AnnounceTrialEnd) => {
            let trial_end = customer.held[slot].map_or(0, |held| held.due);
            (trial_end - 3 * DAY).max(customer.clock + 1)
        }
        _ => customer.clock + dice.between(10 * MINUTE, 50 * DAY),
    }
}

fn earliest_due(customer: &Customer) -> Option<(i64, usize)> {
    let held = customer.held.iter().enumerate().filter(|_| !customer.deleted);
    let live =
        held.filter_map(|(slot, held)| held.filter(|held| !held.now.status.is_terminal()).map(|held| (held.due, slot)));
    live.min()
}

fn due_turn(customer: &Customer, slot: usize, dice: &mut Dice) -> Turn {
    let now = &customer.held[slot].expect("a due subscription is held").now;
    if now.cancel_at_period_end && now.status.leads_to(Canceled) {
        return Turn::Of(slot, End);
    }
    let step = dice.weighted(row(DUE, now.status).iter().copied()).expect("every living status has its due row");
    Turn::Of(slot, step)
}

#[cfg(test)]
mod tests {
    use super::super::status::WAYS;
    use super::*;

    #[test]
    fn every_step_goes_a_way_that_stripe_knows() {
        for (status, steps) in DUE.iter().chain(FREE) {
            for outcome in steps.iter().filter_map(|(_, step)| step.outcome()) {
                assert!(status.leads_to(outcome), "{status:?} to {outcome:?}");
            }
        }
    }

    #[test]
    fn every_way_that_stripe_knows_is_gone() {
        for (from, to) in WAYS {
            for to in *to {
                let goes =
                    |table: &'static [Row]| row(table, *from).iter().any(|(_, step)| step.outcome() == Some(*to));
                assert!(goes(DUE) || goes(FREE), "{from:?} to {to:?}");
            }
        }
    }

    #[test]
    fn every_living_status_has_something_due() {
        for (status, to) in WAYS {
            assert_eq!(row(DUE, *status).is_empty(), to.is_empty(), "{status:?}");
        }
    }
}
