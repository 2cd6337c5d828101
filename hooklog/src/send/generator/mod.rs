//! Makes webhooks: the lives of many customers as Stripe would tell them. Pure and offline: a seed and a size in, bodies
//! in their true order out, one at a time. The same seed gives the same bytes, on every machine and for ever.
//!
//! `turns` says what may happen next, `story` plays it into `facts`, `bodies` gives them their bytes.

mod bodies;
pub(super) mod dice;
mod facts;
mod ids;
mod json;
mod model;
mod padding;
mod status;
mod story;
#[cfg(test)]
mod tests;
mod turns;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use bodies::{Envelope, write_event};
use dice::Dice;
use facts::Fact;
use ids::{Ids, Kind};
use model::{Customer, DAY, HOUR, Party, Version};
use story::Scene;
use turns::Turn;

/// Thursday, 2026-01-01 00:00:00 UTC: the first second of every stream.
const BEGINNING: i64 = 1_767_225_600;
/// At most so many customers live at once; others wait for their birth. It bounds memory at any number of events.
const MOST_ALIVE: u64 = 1 << 16;
/// How many Connect accounts there are beside the shop's own.
const CONNECT_ACCOUNTS: i64 = 3;

/// What to make.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) seed: u64,
    /// Unique events.
    pub(super) events: u64,
    /// Customers that share them; at most as many as there are events.
    pub(super) customers: u64,
    /// Let several events of a subscription fall into one second.
    pub(super) same_second: bool,
    /// Pad bodies to at least so many bytes.
    pub(super) size: Option<usize>,
}

/// One event, ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) id: String,
    pub(super) body: Vec<u8>,
    /// Where the one digit of `pending_webhooks` stands in the body; thin events have none.
    pub(super) pending_webhooks_at: Option<usize>,
}

/// The stream of events in their true order. Holds the customers that are alive, never the events.
pub(super) struct Generator {
    plan: Plan,
    ids: Ids,
    dice: Dice,
    alive: Vec<Option<Customer>>,
    agenda: BinaryHeap<Reverse<(i64, usize)>>,
    born: u64,
    told: u64,
    serials: u64,
}

impl Generator {
    pub(super) fn new(plan: Plan) -> Self {
        let plan = Plan { customers: plan.customers.clamp(1, plan.events.max(1)), ..plan };
        let seats = plan.customers.min(MOST_ALIVE) as usize;
        let mut dice = Dice::new(plan.seed, b"stories_");
        let agenda = (0..seats).map(|seat| Reverse((BEGINNING + dice.between(0, 30 * DAY), seat))).collect();
        let alive = std::iter::repeat_with(|| None).take(seats).collect();
        Self { plan, ids: Ids::new(plan.seed), dice, alive, agenda, born: 0, told: 0, serials: 0 }
    }

    /// The next customer in line, born at `at`; `None` when all have been.
    fn bear(&mut self, at: i64) -> Option<Customer> {
        let number = self.born;
        if number >= self.plan.customers {
            return None;
        }
        self.born += 1;
        Some(Customer {
            serial: number,
            party: self.draw_party(),
            born: at,
            name: self.dice.below(64) as usize,
            renamed: 0,
            held: [None, None],
            method: None,
            payment: None,
            features: 0,
            clock: at,
            leaves: self.dice.chance(4),
            deleted: false,
            remaining: self.share_until(number + 1) - self.share_until(number),
            next: Turn::SignUp,
            pending: VecDeque::new(),
        })
    }

    fn draw_party(&mut self) -> Party {
        Party {
            livemode: !self.dice.chance(12),
            connect_account: self.dice.chance(10).then(|| self.dice.between(0, CONNECT_ACCOUNTS - 1) as u8),
            version: match self.dice.below(10) {
                0 => Version::Old,
                1 | 2 => Version::Acacia,
                3..6 => Version::Basil,
                _ => Version::Clover,
            },
        }
    }

    /// How many events the first `customers` have between them: even shares, moved by up to a third either way.
    fn share_until(&self, customers: u64) -> u64 {
        let share = |customers: u64| {
            (u128::from(self.plan.events) * u128::from(customers) / u128::from(self.plan.customers)) as u64
        };
        if customers == 0 || customers == self.plan.customers {
            return share(customers);
        }
        let third = share(1) / 3;
        share(customers) - third + ids::mix(self.plan.seed ^ customers.rotate_left(32)) % (2 * third + 1)
    }

    /// What the customer in `seat` tells at `at`, and when it will be its turn again.
    fn advance(&mut self, customer: &mut Customer, at: i64) -> (i64, Fact) {
        if customer.pending.is_empty() {
            let burst = self.plan.same_second && self.dice.chance(50);
            let turn = customer.next;
            Scene { customer, dice: &mut self.dice, serials: &mut self.serials, at, burst }.play(turn);
        }
        customer.remaining -= 1;
        customer.pending.pop_front().expect("every turn tells at least one fact")
    }

    /// Books the next moment of the customer in `seat`, or of the one that takes its seat.
    fn book(&mut self, seat: usize, mut customer: Customer, at: i64) {
        if customer.remaining == 0 {
            if self.born < self.plan.customers {
                self.agenda.push(Reverse((at + self.dice.between(1, HOUR), seat)));
            }
            return;
        }
        let moment = customer.pending.front().map(|(moment, _)| *moment);
        let moment = moment.unwrap_or_else(|| {
            let (moment, turn) = turns::choose(&customer, self.plan.same_second, &mut self.dice);
            customer.next = turn;
            customer.pending = VecDeque::new();
            moment
        });
        self.agenda.push(Reverse((moment, seat)));
        self.alive[seat] = Some(customer);
    }

    fn write(&mut self, customer: &Customer, at: i64, fact: &Fact) -> Event {
        let kind = if fact.is_thin() {
            Kind::ThinEvent
        } else if fact.is_payment() {
            Kind::PaymentEvent
        } else {
            Kind::Event
        };
        let envelope = Envelope { serial: self.told, at, kind };
        let mut written = write_event(&self.ids, customer, &envelope, fact);
        if let Some(size) = self.plan.size {
            padding::pad(&mut written, size, ids::mix(self.told));
        }
        self.told += 1;
        Event {
            id: self.ids.text(kind, envelope.serial),
            body: written.body,
            pending_webhooks_at: written.pending_webhooks_at,
        }
    }
}

impl Iterator for Generator {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        if self.told == self.plan.events {
            return None;
        }
        let (mut customer, at, seat) = loop {
            let Reverse((at, seat)) = self.agenda.pop()?;
            // More seats can have been booked for births than customers were left.
            if let Some(customer) = self.alive[seat].take().or_else(|| self.bear(at)) {
                break (customer, at, seat);
            }
        };
        let (at, fact) = self.advance(&mut customer, at);
        let event = self.write(&customer, at, &fact);
        self.book(seat, customer, at);
        Some(event)
    }
}
