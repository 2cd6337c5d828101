//! The second reading, for bodies that the quick one stumbles over though they are JSON: half of a surrogate pair in an
//! escape, a number beyond every `f64`. Each member is first taken as the text that it is, so only what is asked for
//! has to make sense. Slow, and never needed for what Stripe sends today.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{Envelope, ID_MAX, Object, THIN, Unusable, context};
use crate::time;

pub(super) fn envelope(json: &[u8]) -> Result<Envelope<'static>, Unusable> {
    let text = String::from_utf8_lossy(json);
    let top: Members<'_> = serde_json::from_str(&text)?;
    let id = top.first("id").ok_or(Unusable::NoId)?.text().ok_or(Unusable::BadId)?;
    // Bytes that are no UTF-8 were replaced. Two ids that differ in nothing else would become one, and one event lost.
    if matches!(text, Cow::Owned(_)) && id.contains(char::REPLACEMENT_CHARACTER) {
        return Err(Unusable::BadId);
    }
    let thin = top.text("object").as_deref() == Some(THIN);
    let named = top.first("context").filter(|_| thin).and_then(Raw::any_text).and_then(context::account);
    let envelope = Envelope {
        id,
        kind: top.text("type"),
        created: top.first("created").and_then(|value| value.moment()),
        livemode: top.first("livemode").is_some_and(|value| value.0 == "true"),
        account: named.or_else(|| top.text("account")),
        thin,
        related: top.reference("related_object"),
        object: object(&top.inside("data").inside("object")),
    };
    Ok(envelope.into_owned())
}

fn object<'a>(members: &Members<'a>) -> Object<'a> {
    let kind = members.text("object");
    let is_invoice_payment = kind.as_deref() == Some("invoice_payment");
    let payment = if is_invoice_payment { members.inside("payment") } else { Members::default() };
    Object {
        kind,
        id: members.text("id"),
        customer: members.reference("customer"),
        payment_intent: members.reference("payment_intent").or_else(|| payment.reference("payment_intent")),
        charge: members.reference("charge").or_else(|| payment.reference("charge")),
    }
}

/// A value as it stands in the body.
#[derive(Clone, Copy)]
struct Raw<'a>(&'a str);

impl<'a> Raw<'a> {
    /// A string of 1 to 255 bytes. One that Unicode cannot say is none.
    fn text(self) -> Option<Cow<'a, str>> {
        self.any_text().filter(|text| (1..=ID_MAX).contains(&text.len()))
    }

    /// A string of any length.
    fn any_text(self) -> Option<Cow<'a, str>> {
        if !self.0.starts_with('"') {
            return None;
        }
        serde_json::from_str(self.0).ok().map(Cow::Owned)
    }

    fn members(self) -> Members<'a> {
        // It is valid JSON already; anything but an object has no members.
        serde_json::from_str(self.0).unwrap_or_default()
    }

    fn moment(self) -> Option<crate::Millis> {
        match serde_json::from_str(self.0) {
            Ok(seconds) => time::from_seconds(seconds),
            Err(_) => serde_json::from_str::<String>(self.0).ok().and_then(|text| time::parse(&text)),
        }
    }
}

/// An object's members in their order; of a repeated key the first counts.
#[derive(Default)]
struct Members<'a>(Vec<(String, Raw<'a>)>);

impl<'a> Members<'a> {
    fn first(&self, name: &str) -> Option<Raw<'a>> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| *value)
    }

    fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        self.first(name)?.text()
    }

    fn reference(&self, name: &str) -> Option<Cow<'a, str>> {
        let value = self.first(name)?;
        value.text().or_else(|| value.members().text("id"))
    }

    fn inside(&self, name: &str) -> Members<'a> {
        self.first(name).map(Raw::members).unwrap_or_default()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        reader.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
        let mut members = Vec::new();
        while let Some((key, value)) = map.next_entry::<&RawValue, &RawValue>()? {
            // A key that Unicode cannot say is none of those that are asked for.
            let key: String = serde_json::from_str(key.get()).unwrap_or_default();
            members.push((key, Raw(value.get())));
        }
        Ok(Members(members))
    }
}
