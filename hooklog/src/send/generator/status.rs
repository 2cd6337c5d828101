//! A subscription's status and the ways between them, as Stripe documents them.

/// The status of a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Status {
    Incomplete,
    IncompleteExpired,
    Trialing,
    Active,
    PastDue,
    Unpaid,
    Paused,
    Canceled,
}

use Status::{Active, Canceled, Incomplete, IncompleteExpired, PastDue, Paused, Trialing, Unpaid};

/// Every way from one status to another.
pub(super) const WAYS: &[(Status, &[Status])] = &[
    (Incomplete, &[Active, IncompleteExpired]),
    (Trialing, &[Active, PastDue, Paused, Canceled]),
    (Active, &[PastDue, Canceled]),
    (PastDue, &[Active, Unpaid, Canceled]),
    (Unpaid, &[Active, Canceled]),
    (Paused, &[Active]),
    (IncompleteExpired, &[]),
    (Canceled, &[]),
];

impl Status {
    /// As Stripe spells it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Incomplete => "incomplete",
            IncompleteExpired => "incomplete_expired",
            Trialing => "trialing",
            Active => "active",
            PastDue => "past_due",
            Unpaid => "unpaid",
            Paused => "paused",
            Canceled => "canceled",
        }
    }

    /// Whether nothing comes after it.
    pub(super) fn is_terminal(self) -> bool {
        matches!(self, IncompleteExpired | Canceled)
    }

    /// Whether there is a way from here to `next`.
    pub(super) fn leads_to(self, next: Status) -> bool {
        WAYS.iter().any(|(from, to)| *from == self && to.contains(&next))
    }
}
