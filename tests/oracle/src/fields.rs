//! The few fields that are looked at, read from a parsed body. Of a key that stands twice, the last one counts here.

use serde_json::Value;

/// Parses a body, whatever stands around or inside it that is no JSON of the strict kind: a byte order mark, bytes that are
/// no UTF-8.
pub(crate) fn parse(body: &[u8]) -> Option<Value> {
    let text = String::from_utf8_lossy(body);
    serde_json::from_str(text.trim_start_matches('\u{feff}')).ok()
}

pub(crate) fn text(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

/// The id of something that is named by its id or shown whole.
pub(crate) fn id(value: &Value) -> Option<String> {
    text(value).or_else(|| text(&value["id"]))
}

pub(crate) fn object(event: &Value) -> &Value {
    &event["data"]["object"]
}

pub(crate) fn is_thin(event: &Value) -> bool {
    event["object"] == "v2.core.event"
}

pub(crate) fn is_live(event: &Value) -> bool {
    event["livemode"] == true
}
