//! A JSON body as a borrowed tree.
//!
//! Derived readers refuse a body whose key is given twice or whose field has another type than today's; the folds must be
//! total, so they look into a tree instead and treat what is not there as null.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// One JSON value that borrows from the body wherever no escape forbids it.
#[derive(Clone, Debug, PartialEq)]
pub enum Json<'a> {
    /// `null`, and what every missing field reads as.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number; Stripe's amounts and times are whole.
    Whole(i128),
    /// Any other number.
    Float(f64),
    /// A string.
    Text(Cow<'a, str>),
    /// An array.
    List(Vec<Json<'a>>),
    /// An object in the order of the body, repeated keys included.
    Map(Vec<(Cow<'a, str>, Json<'a>)>),
}

impl<'a> Json<'a> {
    /// Reads a whole document, after an optional byte order mark.
    ///
    /// # Errors
    /// What serde_json finds wrong with the text: bad syntax, bytes after the end, more than 128 levels.
    pub fn read(text: &'a str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text.strip_prefix('\u{feff}').unwrap_or(text))
    }

    /// The value of `key`, or null where this is no object or has no such key.
    pub fn get(&self, key: &str) -> &Json<'a> {
        match self {
            Json::Map(pairs) => pairs.iter().find(|(name, _)| name == key).map_or(&Json::Null, |(_, value)| value),
            _ => &Json::Null,
        }
    }

    /// The text of a string.
    pub fn text(&self) -> Option<&str> {
        match self {
            Json::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A whole number that fits; anything else is no number of Stripe's.
    pub fn whole(&self) -> Option<i64> {
        match self {
            Json::Whole(number) => i64::try_from(*number).ok(),
            _ => None,
        }
    }

    /// The elements of an array; none for anything else.
    pub fn list(&self) -> &[Json<'a>] {
        match self {
            Json::List(items) => items,
            _ => &[],
        }
    }

    /// Whether there is anything here at all.
    pub fn is_null(&self) -> bool {
        matches!(self, Json::Null)
    }

    /// The id of an object that Stripe sends either as its id or expanded.
    pub fn id(&self) -> Option<&str> {
        self.text().or_else(|| self.get("id").text())
    }
}

impl<'de> Deserialize<'de> for Json<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Tree)
    }
}

struct Tree;

impl<'de> Visitor<'de> for Tree {
    type Value = Json<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Json::Whole(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Json::Whole(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Json::Float(value))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(Json::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Json::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Json::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut pairs = Vec::new();
        while let Some(key) = map.next_key_seed(Key)? {
            pairs.push((key, map.next_value()?));
        }
        Ok(Json::Map(pairs))
    }
}

/// `Cow<str>` as a plain type always copies; this keeps what can be borrowed.
struct Key;

impl<'de> serde::de::DeserializeSeed<'de> for Key {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(KeyVisitor)
    }
}

struct KeyVisitor;

impl<'de> Visitor<'de> for KeyVisitor {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object key")
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(value.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_key_given_twice_the_first_one_counts() {
        let tree = Json::read(r#"{"status":"active","status":"canceled"}"#).unwrap();
        assert_eq!(tree.get("status").text(), Some("active"));
    }

    #[test]
    fn a_byte_order_mark_and_escapes_are_read() {
        let tree = Json::read("\u{feff}{\"a\\u0062\":\"\\u00e9\"}").unwrap();
        assert_eq!(tree.get("ab").text(), Some("é"));
    }

    #[test]
    fn what_is_missing_or_of_another_type_reads_as_null() {
        let tree = Json::read(r#"{"customer":7,"items":{"data":"x"}}"#).unwrap();
        assert_eq!(tree.get("customer").id(), None);
        assert_eq!(tree.get("items").get("data").list(), []);
        assert!(tree.get("nothing").get("below").is_null());
    }

    #[test]
    fn an_expandable_field_gives_its_id_either_way() {
        let tree = Json::read(r#"{"a":"cus_1","b":{"object":"customer","id":"cus_2"}}"#).unwrap();
        assert_eq!((tree.get("a").id(), tree.get("b").id()), (Some("cus_1"), Some("cus_2")));
    }

    #[test]
    fn nesting_without_end_is_an_error_and_no_crash() {
        assert!(Json::read(&"[".repeat(100_000)).is_err());
    }
}
