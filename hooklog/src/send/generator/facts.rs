//! A fact: one event before it has bytes, with a snapshot of the object as it was at that moment.

use super::model::{Payment, Subscription};

/// An event's type with what its body shows.
#[derive(Clone, Debug)]
pub(super) enum Fact {
    Customer { kind: &'static str, renamed_before: Option<i64> },
    Subscription { kind: &'static str, now: Subscription, before: Option<Subscription> },
    Invoice { kind: &'static str, invoice: Invoice },
    PaymentIntent { kind: &'static str, payment: Payment },
    Charge { kind: &'static str, payment: Payment, refunded_before: Option<i64> },
    Refund { payment: Payment, serial: u64, amount: i64 },
    Dispute { kind: &'static str, payment: Payment, serial: u64, opened: i64, status: &'static str },
    PaymentMethod { serial: u64 },
    Checkout { serial: u64, subscription: Subscription },
    Features { now: u64, before: u64 },
    Product { kind: &'static str, serial: u64, made: i64, revision: i64 },
    Price { serial: u64 },
    Thin { serial: u64, related: bool },
    Unknown { serial: u64 },
}

/// An invoice of a subscription.
#[derive(Clone, Copy, Debug)]
pub(super) struct Invoice {
    pub(super) serial: u64,
    pub(super) status: &'static str,
    pub(super) reason: &'static str,
    pub(super) created: i64,
    pub(super) attempts: i64,
    pub(super) amount: i64,
    pub(super) payment: Option<u64>,
    pub(super) of: Subscription,
}

impl Fact {
    /// The event's `type`.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Customer { kind, .. }
            | Self::Subscription { kind, .. }
            | Self::Invoice { kind, .. }
            | Self::PaymentIntent { kind, .. }
            | Self::Charge { kind, .. }
            | Self::Dispute { kind, .. }
            | Self::Product { kind, .. } => kind,
            Self::Refund { .. } => "refund.created",
            Self::PaymentMethod { .. } => "payment_method.attached",
            Self::Checkout { .. } => "checkout.session.completed",
            Self::Features { .. } => "entitlements.active_entitlement_summary.updated",
            Self::Price { .. } => "price.created",
            Self::Thin { related: true, .. } => "v2.core.event_destination.ping",
            Self::Thin { related: false, .. } => "v1.billing.meter.no_meter_found",
            Self::Unknown { .. } => "quantum_ledger.entry_posted",
        }
    }

    /// Whether Stripe counts the event among an account's payments: then its id begins with `evt_3`.
    pub(super) fn is_payment(&self) -> bool {
        matches!(self, Self::PaymentIntent { .. } | Self::Charge { .. } | Self::Refund { .. })
    }

    /// Whether the event is thin (`v2.core.event`): no API version, no data object.
    pub(super) fn is_thin(&self) -> bool {
        matches!(self, Self::Thin { .. })
    }
}
