//! The pass over the JSON. Written by hand because derived readers refuse a repeated key and a field of another type.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{Envelope, ID_MAX, Object, THIN, Unusable, context};
use crate::time;

pub(super) fn envelope(json: &[u8]) -> Result<Envelope<'_>, Unusable> {
    let mut reader = serde_json::Deserializer::from_slice(json);
    let fields = reader.deserialize_map(Fields::<Top>(PhantomData))?;
    reader.end()?;
    let id = match fields.id.ok_or(Unusable::NoId)? {
        Value::Text(id) if (1..=ID_MAX).contains(&id.len()) => id,
        _ => return Err(Unusable::BadId),
    };
    let mut envelope = Envelope { id, ..fields.envelope };
    if envelope.thin {
        envelope.account = fields.context.and_then(context::account).or(envelope.account);
    }
    Ok(envelope)
}

/// Takes in one object's members; a reader for each object whose members matter.
trait Members<'de>: Default {
    fn member<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error>;
}

#[derive(Default)]
struct Top<'a> {
    id: Option<Value<'a>>,
    seen: Seen,
    /// `context`, which only a thin event has a use for.
    context: Option<Cow<'a, str>>,
    envelope: Envelope<'a>,
}

/// Which members were met already: of a repeated key the first counts, also where it held nothing of use.
#[derive(Default)]
struct Seen(u16);

impl Seen {
    fn first(&mut self, bit: u16) -> bool {
        let first = self.0 & (1 << bit) == 0;
        self.0 |= 1 << bit;
        first
    }
}

impl<'de> Members<'de> for Top<'de> {
    fn member<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        let to = &mut self.envelope;
        match name {
            "id" if self.id.is_none() => self.id = Some(map.next_value()?),
            "type" if self.seen.first(0) => to.kind = map.next_value::<Value<'_>>()?.short_text(),
            "created" if self.seen.first(1) => to.created = map.next_value::<Value<'_>>()?.moment(),
            "livemode" if self.seen.first(2) => to.livemode = matches!(map.next_value()?, Value::Bool(true)),
            "account" if self.seen.first(3) => to.account = map.next_value::<Value<'_>>()?.short_text(),
            "object" if self.seen.first(4) => {
                to.thin = matches!(map.next_value()?, Value::Text(text) if text == THIN);
            }
            "related_object" if self.seen.first(5) => to.related = map.next_value::<Value<'_>>()?.reference(),
            "context" if self.seen.first(7) => self.context = map.next_value::<Value<'_>>()?.text(),
            "data" if self.seen.first(6) => to.object = map.next_value::<OrNothing<Data<'_>>>()?.0.object,
            _ => return skip(map),
        }
        Ok(())
    }
}

#[derive(Default)]
struct Data<'a> {
    seen: Seen,
    object: Object<'a>,
}

impl<'de> Members<'de> for Data<'de> {
    fn member<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "object" if self.seen.first(0) => {
                self.object = map.next_value::<OrNothing<ObjectMembers<'_>>>()?.0.finish();
            }
            _ => return skip(map),
        }
        Ok(())
    }
}

#[derive(Default)]
struct ObjectMembers<'a> {
    seen: Seen,
    object: Object<'a>,
    payment: Payment<'a>,
}

impl<'de> Members<'de> for ObjectMembers<'de> {
    fn member<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        let to = &mut self.object;
        match name {
            "object" if self.seen.first(0) => to.kind = map.next_value::<Value<'_>>()?.short_text(),
            "id" if self.seen.first(1) => to.id = map.next_value::<Value<'_>>()?.short_text(),
            "customer" if self.seen.first(2) => to.customer = map.next_value::<Value<'_>>()?.reference(),
            "payment_intent" if self.seen.first(3) => to.payment_intent = map.next_value::<Value<'_>>()?.reference(),
            "charge" if self.seen.first(4) => to.charge = map.next_value::<Value<'_>>()?.reference(),
            "payment" if self.seen.first(5) => self.payment = map.next_value::<OrNothing<Payment<'_>>>()?.0,
            _ => return skip(map),
        }
        Ok(())
    }
}

impl<'a> ObjectMembers<'a> {
    /// An `invoice_payment` names its payment one level further down.
    /// <https://docs.stripe.com/api/invoice-payment/object>
    fn finish(self) -> Object<'a> {
        let mut object = self.object;
        if object.kind.as_deref() == Some("invoice_payment") {
            object.payment_intent = object.payment_intent.or(self.payment.payment_intent);
            object.charge = object.charge.or(self.payment.charge);
        }
        object
    }
}

#[derive(Default)]
struct Payment<'a> {
    seen: Seen,
    payment_intent: Option<Cow<'a, str>>,
    charge: Option<Cow<'a, str>>,
}

impl<'de> Members<'de> for Payment<'de> {
    fn member<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "payment_intent" if self.seen.first(0) => {
                self.payment_intent = map.next_value::<Value<'_>>()?.reference();
            }
            "charge" if self.seen.first(1) => self.charge = map.next_value::<Value<'_>>()?.reference(),
            _ => return skip(map),
        }
        Ok(())
    }
}

fn skip<'de, A: MapAccess<'de>>(map: &mut A) -> Result<(), A::Error> {
    map.next_value::<IgnoredAny>().map(drop)
}

/// Reads an object's members and refuses everything else; only the body as a whole must be an object.
struct Fields<T>(PhantomData<T>);

impl<'de, T: Members<'de>> Visitor<'de> for Fields<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
        let mut members = T::default();
        while let Some(Text(name)) = map.next_key()? {
            members.member(&name, &mut map)?;
        }
        Ok(members)
    }
}

/// A key, borrowed unless it was written with escapes.
struct Text<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        match reader.deserialize_str(ValueVisitor)? {
            Value::Text(text) => Ok(Text(text)),
            _ => Err(D::Error::custom("a key is not a string")),
        }
    }
}

/// What a member can hold, as far as anyone here asks.
enum Value<'a> {
    Text(Cow<'a, str>),
    Seconds(i64),
    Bool(bool),
    /// An object with, perhaps, a string `id`: an expanded reference.
    Expanded(Option<Cow<'a, str>>),
    Other,
}

impl<'a> Value<'a> {
    fn text(self) -> Option<Cow<'a, str>> {
        if let Value::Text(text) = self { Some(text) } else { None }
    }

    fn short_text(self) -> Option<Cow<'a, str>> {
        match self {
            Value::Text(text) if (1..=ID_MAX).contains(&text.len()) => Some(text),
            _ => None,
        }
    }

    fn reference(self) -> Option<Cow<'a, str>> {
        match self {
            Value::Expanded(Some(id)) => Value::Text(id).short_text(),
            other => other.short_text(),
        }
    }

    fn moment(&self) -> Option<crate::Millis> {
        match self {
            Value::Seconds(seconds) => time::from_seconds(*seconds),
            Value::Text(text) => time::parse(text),
            _ => None,
        }
    }
}

impl<'de> Deserialize<'de> for Value<'de> {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        reader.deserialize_any(ValueVisitor)
    }
}

#[derive(Default)]
struct Reference<'a>(Option<Option<Cow<'a, str>>>);

impl<'de> Members<'de> for Reference<'de> {
    fn member<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "id" if self.0.is_none() => self.0 = Some(map.next_value::<Value<'_>>()?.short_text()),
            _ => return skip(map),
        }
        Ok(())
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value<'de>, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value<'de>, E> {
        Ok(Value::Seconds(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value<'de>, E> {
        Ok(i64::try_from(value).map_or(Value::Other, Value::Seconds))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Value<'de>, E> {
        Ok(Value::Other)
    }

    fn visit_unit<E>(self) -> Result<Value<'de>, E> {
        Ok(Value::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value<'de>, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Value::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Value<'de>, A::Error> {
        let reference = Fields::<Reference<'_>>(PhantomData).visit_map(map)?;
        Ok(Value::Expanded(reference.0.flatten()))
    }
}

/// `T` where there is an object, its default where there is anything else.
struct OrNothing<T>(T);

impl<'de, T: Members<'de>> Deserialize<'de> for OrNothing<T> {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        reader.deserialize_any(OrNothingVisitor(PhantomData)).map(OrNothing)
    }
}

struct OrNothingVisitor<T>(PhantomData<T>);

macro_rules! counts_as_nothing {
    ($($name:ident: $kind:ty),*) => {$(
        fn $name<E>(self, _: $kind) -> Result<T, E> {
            Ok(T::default())
        }
    )*};
}

impl<'de, T: Members<'de>> Visitor<'de> for OrNothingVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    counts_as_nothing!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str);

    fn visit_unit<E>(self) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<T, A::Error> {
        ValueVisitor.visit_seq(seq).map(|_| T::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        Fields(PhantomData).visit_map(map)
    }
}
