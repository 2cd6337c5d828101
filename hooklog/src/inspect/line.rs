//! One record as a line for people, or as JSON for machines.

use std::collections::BTreeMap;
use std::fmt::Write;

use anstyle::{AnsiColor, Style};
use hooklog_schemas::{Envelope, Millis, RawPosition, header, time};
use rdkafka::message::{Headers, Message};
use serde_json::{Value, json, value::RawValue};

const FAINT: Style = Style::new().dimmed();
const KEY: Style = AnsiColor::Cyan.on_default();
const TYPE: Style = AnsiColor::Green.on_default();
const ODD: Style = AnsiColor::Yellow.on_default();

/// How much of a value that is no event is shown.
const SHOWN: usize = 120;

/// Time, place, key and what the record is about. Text from outside is shown without its control characters, so that a
/// body cannot write on the terminal.
pub(super) fn text(record: &impl Message, word: &str, contradicts: Option<RawPosition>) -> String {
    let when = millis(record).and_then(time::rfc3339).unwrap_or_else(|| "-".to_owned());
    let place = format!("{word}/{}/{}", record.partition(), record.offset());
    let key = record.key().map(plain).unwrap_or_default();
    let about = match record.payload().map(Envelope::read) {
        Some(Ok(event)) => event_text(&event, named(record, header::POSITION)),
        _ => format!("{ODD}{}{ODD:#}", plain(record.payload().unwrap_or_default())),
    };
    let mark = contradicts.map(|first| format!("  {ODD}CONFLICT with {first}{ODD:#}")).unwrap_or_default();
    format!("{FAINT}{when:24} {place:18}{FAINT:#} {KEY}{key}{KEY:#}  {about}{mark}")
}

fn event_text(event: &Envelope<'_>, position: Option<String>) -> String {
    let kind = event.kind.as_deref().unwrap_or(header::CE_TYPE_UNKNOWN);
    let mut text = format!("{TYPE}{}{TYPE:#} {}", plain(kind.as_bytes()), plain(event.id.as_bytes()));
    let about = event.object.id.as_deref().or(event.related.as_deref());
    let mut more = |name: &str, value: Option<&str>| {
        let value = value.map(|value| plain(value.as_bytes()));
        value.into_iter().for_each(|value| _ = write!(text, " {FAINT}{name}{FAINT:#}{value}"));
    };
    more("", about);
    more("customer=", event.object.customer.as_deref());
    more("account=", event.account.as_deref());
    more("created=", event.created.and_then(time::rfc3339).as_deref());
    more("of ", position.as_deref());
    if !event.livemode {
        more("", Some("test"));
    }
    text
}

/// Everything of the record. A value that is one JSON document stands in it byte for byte as `value`; any other as
/// `text`, or as `hex` where it is not even UTF-8. `conflict_with` names the first record of the same id where that says
/// something else.
pub(super) fn json(record: &impl Message, word: &str, contradicts: Option<RawPosition>) -> String {
    let headers: BTreeMap<&str, Value> = record
        .headers()
        .into_iter()
        .flat_map(Headers::iter)
        .map(|header| (header.key, header.value.map_or(Value::Null, |value| String::from_utf8_lossy(value).into())))
        .collect();
    let mut about = json!({
        "topic": word, "partition": record.partition(), "offset": record.offset(), "timestamp": millis(record).map(|t| t.0),
        "key": record.key().map(String::from_utf8_lossy), "headers": headers,
    });
    if let Some(first) = contradicts {
        about["conflict_with"] = first.to_string().into();
    }
    let about = about.to_string();
    format!("{},{}}}", &about[..about.len() - 1], value(record.payload()))
}

fn value(payload: Option<&[u8]>) -> String {
    let Some(payload) = payload else { return r#""value":null"#.to_owned() };
    match std::str::from_utf8(payload) {
        // One record is one line, so a document of several lines is text.
        Ok(text) if serde_json::from_str::<&RawValue>(text).is_ok() && !text.contains(['\n', '\r']) => {
            format!(r#""value":{text}"#)
        }
        Ok(text) => format!(r#""text":{}"#, Value::from(text)),
        Err(_) => format!(r#""hex":"{}""#, hex::encode(payload)),
    }
}

fn millis(record: &impl Message) -> Option<Millis> {
    record.timestamp().to_millis().map(Millis)
}

fn named(record: &impl Message, name: &str) -> Option<String> {
    let header = record.headers()?.iter().find(|header| header.key == name)?;
    header.value.map(|value| String::from_utf8_lossy(value).into_owned())
}

fn plain(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut plain: String = text.chars().filter(|letter| !letter.is_control()).take(SHOWN).collect();
    if text.chars().count() > SHOWN {
        plain.push('…');
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use rdkafka::message::{Header, OwnedHeaders, OwnedMessage, Timestamp};

    fn record(key: &str, value: &[u8]) -> OwnedMessage {
        let headers = OwnedHeaders::new().insert(Header { key: "hooklog_position", value: Some("raw/3/9") });
        let (topic, time) = ("p.events".to_owned(), Timestamp::CreateTime(1_767_225_600_000));
        OwnedMessage::new(Some(value.to_vec()), Some(key.into()), topic, time, 2, 17, Some(headers))
    }

    fn uncoloured(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    #[test]
    fn an_event_is_shown_by_its_type_id_object_and_position() {
        let body = br#"{"id":"evt_1","type":"charge.succeeded","livemode":true,"data":{"object":{"object":"charge","id":"ch_1","customer":"cus_1"}}}"#;
        let line = uncoloured(&text(&record("stripe/live/ch_1", body), "events", None));
        let shown: Vec<&str> = line.split_whitespace().collect();
        let expected =
            "2026-01-01T00:00:00Z events/2/17 stripe/live/ch_1 charge.succeeded evt_1 ch_1 customer=cus_1 of raw/3/9";
        assert_eq!(shown.join(" "), expected);
    }

    #[test]
    fn what_comes_from_outside_cannot_write_on_the_terminal() {
        let line = text(&record("a\x1b[31mb", b"\x1b]0;title\x07 no json"), "raw", None);
        assert!(!uncoloured(&line).contains(['\x1b', '\x07']), "{line:?}");
        assert!(!line.contains("\x1b]0;") && !line.contains("a\x1b"), "{line:?}");
    }

    #[test]
    fn a_body_stands_in_the_json_byte_for_byte_where_it_is_json() {
        let body = r#"{"id": "evt_1",  "amount":1.0}"#;
        let line = json(&record("k", body.as_bytes()), "events", None);
        assert!(line.ends_with(&format!(r#","value":{body}}}"#)), "{line}");
        let parsed: Value = serde_json::from_str(&line).unwrap();
        assert_eq!((&parsed["partition"], &parsed["offset"]), (&json!(2), &json!(17)));
        assert_eq!(parsed["headers"]["hooklog_position"], "raw/3/9");
    }

    #[test]
    fn a_record_that_contradicts_another_one_names_it() {
        let first = "raw/2/7".parse().ok();
        let line = json(&record("k", b"{}"), "raw", first);
        assert_eq!(serde_json::from_str::<Value>(&line).unwrap()["conflict_with"], "raw/2/7");
        assert!(uncoloured(&text(&record("k", b"{}"), "raw", first)).ends_with("CONFLICT with raw/2/7"));
        assert!(!json(&record("k", b"{}"), "raw", None).contains("conflict"));
    }

    #[test]
    fn a_body_of_several_lines_or_none_stays_one_line() {
        for (body, field) in
            [(&b"{\n}"[..], "text"), (b"no json", "text"), (b"\xff", "hex"), (b"\xef\xbb\xbf{}", "text")]
        {
            let line = json(&record("k", body), "raw", None);
            assert!(!line.contains('\n'), "{line}");
            assert!(serde_json::from_str::<Value>(&line).unwrap()[field].is_string(), "{line}");
        }
    }
}
