//! One record's body, heard as what a view needs.

use crate::stripe::fingerprint::Fingerprint;
use crate::stripe::json::Json;
use crate::stripe::subscription::{Facts, is_terminal, short};

/// What an event's type says about its place within one second, in the order of rule 5.
///
/// The discriminants are persisted: they are only ever added to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    /// `customer.subscription.created`, the root: never after anything else.
    Created = 0,
    /// Tells a state without having changed it: `trial_will_end`, `pending_update_expired`, types we do not know.
    Notice = 1,
    /// `paused` and `resumed` come beside the `updated` that did it.
    PausedOrResumed = 2,
    /// `customer.subscription.updated`, and whatever else says what it changed.
    Updated = 3,
    /// `customer.subscription.deleted`, the sink.
    Deleted = 4,
}

/// When an event says it was, in Stripe's whole seconds, and its id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    /// The event's `created`, epoch seconds.
    pub second: i64,
    /// The event's id.
    pub id: String,
}

/// One event about a subscription, as it is kept while its second is the newest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Told {
    /// The event's id.
    pub id: String,
    /// Its place within a second.
    pub kind: Kind,
    /// The state it tells.
    pub facts: Facts,
    /// The object's leaves, for events that follow this one; absent when there were too many.
    pub object: Option<Fingerprint>,
    /// The leaves of `previous_attributes`; absent when the event claims to follow nothing.
    pub before: Option<Fingerprint>,
}

impl Told {
    /// Rule 4: whether this event says of itself that it came right after `other`.
    pub fn follows(&self, other: &Told) -> bool {
        matches!((&self.before, &other.object), (Some(before), Some(object)) if before.matches(object))
    }
}

/// What a record is to the views.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A state of a subscription.
    Subscription {
        /// The subscription's id.
        id: String,
        /// The event's `created`, epoch seconds.
        second: i64,
        /// The status before this event, where `previous_attributes` has it.
        came_from: Option<String>,
        /// The event itself.
        told: Box<Told>,
    },
    /// Something about a customer object.
    Customer {
        /// The customer's id.
        id: String,
        /// Set when this is `customer.deleted`.
        deleted: Option<Moment>,
    },
    /// An event that these views do not need: skipped and counted.
    NotNeeded,
    /// It should be one of the first two, but says too little; the words go into the tally.
    NotUnderstood(&'static str),
}

/// The fields of the envelope that decide how the rest is read.
#[derive(Clone, Copy, Debug)]
pub struct Label<'a> {
    /// The event's id.
    pub id: &'a str,
    /// The event's type.
    pub kind: &'a str,
    /// The event's `created`, epoch seconds.
    pub created: Option<i64>,
}

/// The object types these views fold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// `data.object.object` is `subscription`.
    Subscription,
    /// `data.object.object` is `customer`.
    Customer,
}

/// Which view an event belongs to, by the type of its object, as its subject is.
///
/// # Errors
/// In words for the tally, when the event's own type says that it is wanted and its object has no type.
pub fn wanted(kind: &str, object: Option<&str>) -> Result<Option<Wanted>, &'static str> {
    match object {
        Some("subscription") => Ok(Some(Wanted::Subscription)),
        Some("customer") => Ok(Some(Wanted::Customer)),
        None if kind.starts_with("customer.subscription.") || kind == "customer.deleted" => {
            Err("the object has no type")
        }
        _ => Ok(None),
    }
}

/// Reads the data of an event that is wanted. Total: what cannot be read is [`Heard::NotUnderstood`].
pub fn hear(label: Label<'_>, wanted: Wanted, data: &Json<'_>) -> Heard {
    let heard = match wanted {
        Wanted::Subscription => hear_subscription(label, data),
        Wanted::Customer => hear_customer(label, data),
    };
    heard.unwrap_or_else(Heard::NotUnderstood)
}

fn hear_subscription(label: Label<'_>, data: &Json<'_>) -> Result<Heard, &'static str> {
    let object = data.get("object");
    let id = short(object.get("id").text())?.filter(|id| !id.is_empty()).ok_or("the subscription has no id")?;
    let second = label.created.ok_or("the event has no time of creation")?;
    let previous = data.get("previous_attributes");
    let before = Fingerprint::of(previous).filter(|_| matches!(previous, Json::Map(pairs) if !pairs.is_empty()));
    let kind = kind(label.kind, before.is_some());
    let told =
        Told { id: label.id.to_owned(), kind, facts: facts(kind, object)?, object: Fingerprint::of(object), before };
    Ok(Heard::Subscription { id, second, came_from: short(previous.get("status").text())?, told: Box::new(told) })
}

/// `deleted` ends a subscription whatever its object says.
fn facts(kind: Kind, object: &Json<'_>) -> Result<Facts, &'static str> {
    if kind != Kind::Deleted {
        return Facts::read(object);
    }
    let status = object.get("status").text().filter(|status| is_terminal(status)).unwrap_or("canceled");
    Facts::read_as(object, status)
}

fn kind(kind: &str, claims_a_change: bool) -> Kind {
    match kind.strip_prefix("customer.subscription.") {
        Some("created") => Kind::Created,
        Some("deleted") => Kind::Deleted,
        Some("updated") => Kind::Updated,
        _ if claims_a_change => Kind::Updated,
        Some("paused" | "resumed") => Kind::PausedOrResumed,
        _ => Kind::Notice,
    }
}

fn hear_customer(label: Label<'_>, data: &Json<'_>) -> Result<Heard, &'static str> {
    let id = short(data.get("object").get("id").text())?.filter(|id| !id.is_empty()).ok_or("the customer has no id")?;
    let deleted = match label.kind {
        "customer.deleted" => {
            let second = label.created.ok_or("the event has no time of creation")?;
            Some(Moment { second, id: label.id.to_owned() })
        }
        _ => None,
    };
    Ok(Heard::Customer { id, deleted })
}
