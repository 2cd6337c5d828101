//! The few fields of a webhook body that the pipeline reads, in one pass that copies nothing.
//!
//! Stripe adds types, versions and values without notice, so everything but the id is optional and a field of an
//! unexpected shape counts as absent. The bytes themselves are kept elsewhere and never written anew from here.

mod context;
mod patient;
mod read;

use std::borrow::Cow;

use thiserror::Error;

use crate::ids::Millis;

/// Ids longer than this are no ids: Stripe promises at most 255 characters.
/// <https://docs.stripe.com/upgrades#what-changes-does-stripe-consider-to-be-backwards-compatible>
pub const ID_MAX: usize = 255;

/// `object` of a thin event. <https://docs.stripe.com/event-destinations>
const THIN: &str = "v2.core.event";

/// What the pipeline reads of a body. Where a key stands twice, the first one counts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Envelope<'a> {
    /// The event's id, 1 to [`ID_MAX`] bytes.
    pub id: Cow<'a, str>,
    /// `type`, e.g. `customer.subscription.updated`.
    pub kind: Option<Cow<'a, str>>,
    /// When the fact came about, by Stripe's clock.
    pub created: Option<Millis>,
    /// Live mode; absent counts as test mode, which can grant nothing that is real.
    pub livemode: bool,
    /// The Connect account that the event is about: its `account`, or the one that the `context` of a thin event names.
    pub account: Option<Cow<'a, str>>,
    /// A thin event (`v2.core.event`): it names an object and does not carry it.
    pub thin: bool,
    /// `related_object.id` of a thin event.
    pub related: Option<Cow<'a, str>>,
    /// `data.object`, as far as the subject needs it.
    pub object: Object<'a>,
}

/// The parts of `data.object` that say what an event is about. References are ids, also where Stripe expanded them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Object<'a> {
    /// `object`: the kind of object.
    pub kind: Option<Cow<'a, str>>,
    /// The object's own id.
    pub id: Option<Cow<'a, str>>,
    /// The customer that it hangs on.
    pub customer: Option<Cow<'a, str>>,
    /// The payment intent that it belongs to; of an `invoice_payment`, the one inside `payment`.
    pub payment_intent: Option<Cow<'a, str>>,
    /// The charge that it belongs to; of an `invoice_payment`, the one inside `payment`.
    pub charge: Option<Cow<'a, str>>,
}

/// A verified body that cannot be an event, and why.
#[derive(Debug, Error)]
pub enum Unusable {
    /// Not JSON, or something behind it.
    #[error("the body is not one JSON object: {0}")]
    NotJson(#[from] serde_json::Error),
    /// An object without an `id`.
    #[error("the body has no `id`")]
    NoId,
    /// The first `id` is not a string of 1 to 255 bytes.
    #[error("the body's `id` is not a string of 1 to {ID_MAX} bytes")]
    BadId,
}

impl<'a> Envelope<'a> {
    /// Reads a body as it came over the wire: an optional byte order mark, one JSON object, white space.
    ///
    /// A body that is not UTF-8 is read with replacement characters in the place of what is broken: its references are
    /// ASCII, and an invoice's memo in Latin-1 is no reason to lose an invoice. Its id must be UTF-8 all the same.
    ///
    /// # Errors
    /// [`Unusable`] says what keeps the body from being an event.
    pub fn read(body: &'a [u8]) -> Result<Envelope<'a>, Unusable> {
        let json = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
        match read::envelope(json) {
            Err(Unusable::NotJson(_)) => patient::envelope(json),
            read => read,
        }
    }

    fn into_owned(self) -> Envelope<'static> {
        Envelope {
            id: owned(self.id),
            kind: self.kind.map(owned),
            account: self.account.map(owned),
            related: self.related.map(owned),
            object: self.object.into_owned(),
            created: self.created,
            livemode: self.livemode,
            thin: self.thin,
        }
    }
}

impl Object<'_> {
    fn into_owned(self) -> Object<'static> {
        Object {
            kind: self.kind.map(owned),
            id: self.id.map(owned),
            customer: self.customer.map(owned),
            payment_intent: self.payment_intent.map(owned),
            charge: self.charge.map(owned),
        }
    }
}

fn owned(text: Cow<'_, str>) -> Cow<'static, str> {
    Cow::Owned(text.into_owned())
}

#[cfg(test)]
mod tests;
