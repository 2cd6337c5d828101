//! The state of one customer: whether we ever heard of it, and whether it was deleted.

use super::event::Moment;

/// A customer. That a state exists says that the customer was heard of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Customer {
    /// The first `customer.deleted`, which nothing takes back: Stripe never gives an id again.
    pub deleted: Option<Moment>,
}

impl Customer {
    /// Takes in an event about the customer object.
    pub fn absorb(&mut self, deleted: Option<Moment>) {
        self.deleted = match (self.deleted.take(), deleted) {
            (Some(known), Some(new)) => Some(known.min(new)),
            (known, new) => known.or(new),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deletion_stays_whatever_comes_around_it() {
        let deletion = |second, id: &str| Some(Moment { second, id: id.into() });
        let orders = [
            [None, deletion(9, "evt_b"), deletion(7, "evt_c"), deletion(7, "evt_a")],
            [deletion(7, "evt_a"), None, deletion(7, "evt_c"), deletion(9, "evt_b")],
        ];
        for order in orders {
            let mut customer = Customer::default();
            order.into_iter().for_each(|event| customer.absorb(event));
            assert_eq!(customer.deleted, deletion(7, "evt_a"));
        }
    }
}
