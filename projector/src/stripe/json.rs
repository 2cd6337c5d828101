//! A JSON body as a borrowed tree.
//!
//! Derived readers refuse a body whose key is given twice or whose field has another type than today's; the folds must be
//! total, so they look into a tree instead and treat what is not there as null.

use std::borrow::Cow;
use std::fmt;

use hooklog_schemas::time;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Every whole number below 2^53 has a float of its own.
const WHOLE_BELOW: f64 = 9_007_199_254_740_992.0;

/// What lies deeper reads as null: serde_json gives a whole document up that goes deeper than 128 levels. Nothing of Stripe's
/// goes below ten.
const DEEPEST: usize = 100;

/// One JSON value that borrows from the body wherever no escape forbids it.
#[derive(Clone, Debug, PartialEq)]
pub enum Json<'a> {
    /// `null`, and what every missing field reads as.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number, also where it was written with a fraction of nothing (`5.0`); Stripe's amounts and times are whole.
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
    /// What serde_json finds wrong with the text: bad syntax, bytes after the end, or what [`super::mend`] mends.
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

    /// Epoch seconds that a calendar reaches: a number, also as text, or ISO 8601 as thin events write it.
    pub fn second(&self) -> Option<i64> {
        let moment = match self.whole().or_else(|| self.text()?.parse().ok()) {
            Some(seconds) => time::from_seconds(seconds),
            None => time::parse(self.text()?),
        };
        Some(moment?.0.div_euclid(1000))
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
        Tree { room: DEEPEST }.deserialize(deserializer)
    }
}

/// A tree with room for so many levels.
#[derive(Clone, Copy)]
struct Tree {
    room: usize,
}

impl<'de> DeserializeSeed<'de> for Tree {
    type Value = Json<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        match self.room {
            0 => deserializer.deserialize_ignored_any(IgnoredAny).map(|_| Json::Null),
            _ => deserializer.deserialize_any(self),
        }
    }
}

impl Tree {
    fn below(self) -> Self {
        Self { room: self.room - 1 }
    }
}

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
        let is_whole = value.fract() == 0.0 && value.abs() < WHOLE_BELOW;
        Ok(if is_whole { Json::Whole(value as i128) } else { Json::Float(value) })
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(Json::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Json::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(self.below())? {
            items.push(item);
        }
        Ok(Json::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut pairs = Vec::new();
        while let Some(key) = map.next_key_seed(Key)? {
            pairs.push((key, map.next_value_seed(self.below())?));
        }
        Ok(Json::Map(pairs))
    }
}

/// `Cow<str>` as a plain type always copies; this keeps what can be borrowed.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
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
    fn a_number_is_the_same_however_it_is_written() {
        let whole = |text: &str| Json::read(text).unwrap().whole();
        assert_eq!((whole("5"), whole("5.0"), whole("5e0"), whole("-0.0")), (Some(5), Some(5), Some(5), Some(0)));
        assert_eq!(
            (whole("5.5"), whole("1e300"), whole("\"5\""), whole("99999999999999999999")),
            (None, None, None, None)
        );
    }

    #[test]
    fn seconds_are_read_from_numbers_and_texts_that_a_calendar_reaches() {
        let second = |text: &str| Json::read(text).unwrap().second();
        for text in ["1700000000", "1700000000.0", "\"1700000000\"", "\"2023-11-14T22:13:20.9Z\""] {
            assert_eq!(second(text), Some(1_700_000_000), "{text}");
        }
        assert_eq!((second("-5"), second("0")), (Some(-5), Some(0)));
        // The second of these counts milliseconds.
        for text in ["null", "1700000000000", "9223372036854775807", "1e300", "\"soon\"", "[1]", "1.5"] {
            assert_eq!(second(text), None, "{text}");
        }
    }

    #[test]
    fn what_lies_too_deep_reads_as_null_and_the_rest_as_it_is() {
        let text = format!(r#"{{"deep":{}1{},"status":"active"}}"#, "[".repeat(5_000), "]".repeat(5_000));
        assert_eq!(Json::read(&text).unwrap().get("status").text(), Some("active"));
    }

    #[test]
    fn nesting_without_end_is_an_error_and_no_crash() {
        assert!(Json::read(&"[".repeat(100_000)).is_err());
    }
}
