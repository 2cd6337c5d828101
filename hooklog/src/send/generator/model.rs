//! What the generator knows of a customer: small plain values, so that tens of thousands of them live at once.

use std::collections::VecDeque;

use super::facts::Fact;
use super::status::Status;
use super::turns::Turn;

/// The API version that shaped a customer's events: periods and the invoice's link moved in Basil (2025-03-31).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    Clover,
    Basil,
    Acacia,
    Old,
}

impl Version {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Clover => "2025-09-30.clover",
            Self::Basil => "2025-03-31.basil",
            Self::Acacia => "2024-12-18.acacia",
            Self::Old => "2023-10-16",
        }
    }

    pub(super) fn has_item_periods(self) -> bool {
        matches!(self, Self::Clover | Self::Basil)
    }
}

/// On whose behalf, in which mode and shape an event speaks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Party {
    pub(super) livemode: bool,
    pub(super) connect_account: Option<u8>,
    pub(super) version: Version,
}

/// A price one can subscribe to.
pub(super) struct Plan {
    pub(super) nickname: &'static str,
    pub(super) lookup_key: &'static str,
    pub(super) amount: i64,
    pub(super) currency: &'static str,
    pub(super) interval: &'static str,
    pub(super) days: i64,
}

/// The catalogue's plans; a subscription holds an index.
pub(super) const PLANS: &[Plan] = &[
    plan("Starter", "starter_monthly", 900, "usd", "month", 30),
    plan("Team", "team_monthly", 4_900, "usd", "month", 30),
    plan("Business", "business_monthly", 19_900, "eur", "month", 30),
    plan("Équipe", "equipe_monthly", 4_500, "eur", "month", 30),
    plan("Starter (yearly)", "starter_yearly", 9_000, "usd", "year", 365),
    plan("Sprint", "sprint_weekly", 700, "gbp", "week", 7),
];

const fn plan(
    nickname: &'static str,
    lookup_key: &'static str,
    amount: i64,
    currency: &'static str,
    interval: &'static str,
    days: i64,
) -> Plan {
    Plan { nickname, lookup_key, amount, currency, interval, days }
}

pub(super) const MINUTE: i64 = 60;
pub(super) const HOUR: i64 = 60 * MINUTE;
pub(super) const DAY: i64 = 24 * HOUR;

/// A subscription, all that its events show of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Subscription {
    pub(super) serial: u64,
    pub(super) created: i64,
    pub(super) status: Status,
    pub(super) plan: usize,
    pub(super) addon: bool,
    pub(super) quantity: i64,
    pub(super) period: (i64, i64),
    pub(super) trial: Option<(i64, i64)>,
    pub(super) cancel_at_period_end: bool,
    pub(super) cancel_at: Option<i64>,
    pub(super) canceled_at: Option<i64>,
    pub(super) cancel_reason: Option<&'static str>,
    pub(super) ended_at: Option<i64>,
    pub(super) collection_paused: bool,
    pub(super) latest_invoice: u64,
    pub(super) method: Option<u64>,
}

/// The attributes of a subscription that its life changes, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Changes(u16);

impl Changes {
    pub(super) const STATUS: Self = Self(1);
    pub(super) const PERIOD: Self = Self(1 << 1);
    pub(super) const QUANTITY: Self = Self(1 << 2);
    pub(super) const CANCELLATION: Self = Self(1 << 3);
    pub(super) const COLLECTION: Self = Self(1 << 4);
    pub(super) const INVOICE: Self = Self(1 << 5);
    pub(super) const METHOD: Self = Self(1 << 6);
    pub(super) const ENDED: Self = Self(1 << 7);

    pub(super) fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl Subscription {
    pub(super) fn plan(&self) -> &'static Plan {
        &PLANS[self.plan]
    }

    pub(super) fn amount(&self) -> i64 {
        self.plan().amount * self.quantity
    }

    /// Which attributes differ from `before`.
    pub(super) fn changes(&self, before: &Self) -> Changes {
        let cancellation = |of: &Self| (of.cancel_at_period_end, of.cancel_at, of.canceled_at, of.cancel_reason);
        [
            (Changes::STATUS, self.status != before.status),
            (Changes::PERIOD, self.period != before.period),
            (Changes::QUANTITY, self.quantity != before.quantity),
            (Changes::CANCELLATION, cancellation(self) != cancellation(before)),
            (Changes::COLLECTION, self.collection_paused != before.collection_paused),
            (Changes::INVOICE, self.latest_invoice != before.latest_invoice),
            (Changes::METHOD, self.method != before.method),
            (Changes::ENDED, self.ended_at != before.ended_at),
        ]
        .into_iter()
        .filter(|(_, differs)| *differs)
        .fold(Changes::default(), |all, (one, _)| all.and(one))
    }
}

/// A subscription of a customer and what drives it on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) now: Subscription,
    /// When something happens to it by itself: a period's end, a retry.
    pub(super) due: i64,
    pub(super) trial_end_announced: bool,
    pub(super) second: Second,
}

/// What one second has already seen of a subscription. Within one, no attribute changes twice: then each event's
/// `previous_attributes` fit only what truly came before it, and the order can be told from the bodies alone.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Second {
    pub(super) at: i64,
    pub(super) events: u8,
    pub(super) changed: Changes,
    pub(super) closed: bool,
}

/// At most so many events of a subscription in one second.
const MOST_IN_A_SECOND: u8 = 6;

impl Second {
    /// The second at or after `at` where an update that changes `changes` still has its place.
    pub(super) fn place_update(&mut self, at: i64, changes: Changes) -> i64 {
        let at = self.enter(at, |second| second.closed || second.changed.has(changes));
        self.changed = self.changed.and(changes);
        at
    }

    /// The same for an event without `previous_attributes`: after more than one other its place could not be told.
    pub(super) fn place_notice(&mut self, at: i64) -> i64 {
        let at = self.enter(at, |second| second.closed || second.events > 1);
        self.closed = self.events > 1;
        at
    }

    fn enter(&mut self, at: i64, is_barred: impl Fn(&Self) -> bool) -> i64 {
        let barred = self.events >= MOST_IN_A_SECOND || is_barred(self);
        let at = at.max(if barred { self.at + 1 } else { self.at });
        if at > self.at {
            *self = Self { at, ..Self::default() };
        }
        self.events += 1;
        at
    }
}

/// A payment that succeeded, and what has been given back of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Payment {
    pub(super) serial: u64,
    pub(super) amount: i64,
    pub(super) currency: &'static str,
    pub(super) refunded: i64,
    pub(super) created: i64,
    pub(super) disputed: bool,
    pub(super) method: Option<u64>,
}

/// A customer's whole state.
pub(super) struct Customer {
    pub(super) serial: u64,
    pub(super) party: Party,
    pub(super) born: i64,
    pub(super) name: usize,
    pub(super) renamed: i64,
    pub(super) held: [Option<Held>; 2],
    pub(super) method: Option<u64>,
    pub(super) payment: Option<Payment>,
    pub(super) features: u64,
    /// The second of the latest event.
    pub(super) clock: i64,
    /// Ends by being deleted.
    pub(super) leaves: bool,
    pub(super) deleted: bool,
    /// Events this customer still has to give.
    pub(super) remaining: u64,
    pub(super) next: Turn,
    pub(super) pending: VecDeque<(i64, Fact)>,
}

impl Customer {
    pub(super) fn currency(&self) -> &'static str {
        self.held.iter().flatten().next().map_or("usd", |held| held.now.plan().currency)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_attribute_never_changes_twice_in_a_second() {
        let mut second = Second::default();
        assert_eq!(second.place_update(10, Changes::default()), 10);
        assert_eq!(second.place_update(10, Changes::STATUS), 10);
        assert_eq!(second.place_update(10, Changes::METHOD), 10);
        assert_eq!(second.place_update(10, Changes::STATUS.and(Changes::QUANTITY)), 11);
        assert_eq!(second.place_update(10, Changes::METHOD), 11);
    }

    #[test]
    fn a_notice_follows_at_most_one_event_and_closes_its_second() {
        let mut second = Second::default();
        assert_eq!(second.place_update(10, Changes::STATUS), 10);
        assert_eq!(second.place_notice(10), 10);
        assert_eq!(second.place_update(10, Changes::METHOD), 11);
        assert_eq!(second.place_update(10, Changes::QUANTITY), 11);
        assert_eq!(second.place_notice(11), 12);
        assert_eq!(second.place_update(12, Changes::QUANTITY), 12);
    }

    #[test]
    fn a_second_holds_no_more_than_six() {
        let mut second = Second::default();
        let times: Vec<_> = (0..7).map(|_| second.place_update(5, Changes::default())).collect();
        assert_eq!(times, [5, 5, 5, 5, 5, 5, 6]);
    }
}
