//! One record's body, heard as what a view needs.

use crate::stripe::fingerprint::Fingerprint;
use crate::stripe::json::Json;
use crate::stripe::subscription::{Facts, is_id, is_terminal, short};

/// The second of an event that does not say when it was: before all others. So what it tells holds until an event comes
/// that says, and a deletion, which needs no time, revokes whatever it says.
pub const UNDATED: i64 = i64::MIN;

/// What an event's type says about its place within one second, in the order of rule 5.
///
/// The discriminants are persisted: they are only ever added to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    /// `customer.subscription.created`, the root: never after anything else.
    Created = 0,
    /// Tells a state without having changed it: `trial_will_end`, `pending_update_expired`.
    Notice = 1,
    /// `paused` and `resumed` come beside the `updated` that did it.
    PausedOrResumed = 2,
    /// `customer.subscription.updated`, and whatever else of these says what it changed.
    Updated = 3,
    /// `customer.subscription.deleted`, the sink.
    Deleted = 4,
}

/// When an event says it was, in Stripe's whole seconds, and its id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    /// The event's `created`, epoch seconds, or [`UNDATED`].
    pub second: i64,
    /// The event's id.
    pub id: String,
}

/// One event about a subscription, as it is kept while its second is the newest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SubscriptionEvent {
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

impl SubscriptionEvent {
    /// Rule 4: whether this event says of itself that it came right after `other`.
    pub fn follows(&self, other: &SubscriptionEvent) -> bool {
        matches!((&self.before, &other.object), (Some(before), Some(object)) if before.matches(object))
    }
}

/// What a record is to the views.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// A state of a subscription.
    Subscription {
        /// The subscription's id.
        id: String,
        /// The event's `created`, epoch seconds, or [`UNDATED`].
        second: i64,
        /// The status before this event, where `previous_attributes` has it.
        came_from: Option<String>,
        /// The event itself.
        told: Box<SubscriptionEvent>,
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
    /// The event's `created`, epoch seconds, where it says when it was.
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

/// Which view an event belongs to, by the type of its object; where that says none, by the event's own.
pub fn wanted(kind: &str, object: Option<&str>) -> Option<Wanted> {
    match object {
        Some("subscription") => Some(Wanted::Subscription),
        Some("customer") => Some(Wanted::Customer),
        None if kind.starts_with(ABOUT_A_SUBSCRIPTION) => Some(Wanted::Subscription),
        None if matches!(kind, "customer.created" | "customer.updated" | "customer.deleted") => Some(Wanted::Customer),
        _ => None,
    }
}

const ABOUT_A_SUBSCRIPTION: &str = "customer.subscription.";

/// Reads the data of an event that is wanted. Total: what cannot be read is [`Parsed::NotUnderstood`].
pub fn parse(label: Label<'_>, wanted: Wanted, data: &Json<'_>) -> Parsed {
    let heard = match wanted {
        Wanted::Subscription => parse_subscription(label, data),
        Wanted::Customer => parse_customer(label, data),
    };
    heard.unwrap_or_else(Parsed::NotUnderstood)
}

fn parse_subscription(label: Label<'_>, data: &Json<'_>) -> Result<Parsed, &'static str> {
    let object = data.get("object");
    let id = short(object.get("id").text())?.filter(|id| !id.is_empty()).ok_or("the subscription has no id")?;
    let second = label.created.unwrap_or(UNDATED);
    let previous = data.get("previous_attributes");
    let before = Fingerprint::of(previous).filter(|_| matches!(previous, Json::Map(pairs) if !pairs.is_empty()));
    let kind = kind(label.kind, before.is_some()).ok_or("this type of event about a subscription is not known")?;
    let came_from = previous.get("status").text().filter(|status| is_id(status)).map(str::to_owned);
    let told = SubscriptionEvent {
        id: label.id.to_owned(),
        kind,
        facts: facts(kind, object)?,
        object: Fingerprint::of(object),
        before,
    };
    Ok(Parsed::Subscription { id, second, came_from, told: Box::new(told) })
}

/// `deleted` ends a subscription whatever its object says.
fn facts(kind: Kind, object: &Json<'_>) -> Result<Facts, &'static str> {
    if kind != Kind::Deleted {
        return Facts::read(object);
    }
    let status = object.get("status").text().filter(|status| is_terminal(status)).unwrap_or("canceled");
    Facts::read_as(object, status)
}

/// A type that is not known may mean anything, so it changes nothing; Stripe tells every change by `updated` as well.
fn kind(kind: &str, claims_a_change: bool) -> Option<Kind> {
    let known = match kind.strip_prefix(ABOUT_A_SUBSCRIPTION)? {
        "created" => Kind::Created,
        "deleted" => Kind::Deleted,
        "updated" => Kind::Updated,
        "paused" | "resumed" => Kind::PausedOrResumed,
        "trial_will_end" | "pending_update_applied" | "pending_update_expired" => Kind::Notice,
        _ => return None,
    };
    let is_change = claims_a_change && matches!(known, Kind::PausedOrResumed | Kind::Notice);
    Some(if is_change { Kind::Updated } else { known })
}

fn parse_customer(label: Label<'_>, data: &Json<'_>) -> Result<Parsed, &'static str> {
    let id = short(data.get("object").get("id").text())?.filter(|id| !id.is_empty()).ok_or("the customer has no id")?;
    let moment = || Moment { second: label.created.unwrap_or(UNDATED), id: label.id.to_owned() };
    Ok(Parsed::Customer { id, deleted: (label.kind == "customer.deleted").then(moment) })
}
