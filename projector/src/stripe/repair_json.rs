//! JSON that the grammar allows and no value of ours can hold: half a surrogate pair, a number beyond all floats.
//!
//! Ingest skips over such a thing, so it is in the log. It stands in a name or a note that no view needs, and is no reason to
//! lose what the event says of a subscription.

/// The same text with the replacement character for half a pair and null for a number that is out of range.
pub fn repaired(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let taken = match first {
            '"' => string(rest, &mut out),
            '-' | '0'..='9' => number(rest, &mut out),
            other => copy(rest, other.len_utf8(), &mut out),
        };
        rest = &rest[taken..];
    }
    out
}

fn copy(rest: &str, length: usize, out: &mut String) -> usize {
    out.push_str(&rest[..length]);
    length
}

fn number(rest: &str, out: &mut String) -> usize {
    let is_part = |c: char| matches!(c, '0'..='9' | '-' | '+' | '.' | 'e' | 'E');
    let length = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
    if rest[..length].parse::<f64>().is_ok_and(f64::is_finite) {
        return copy(rest, length, out);
    }
    out.push_str("null");
    length
}

fn string(rest: &str, out: &mut String) -> usize {
    let mut at = copy(rest, 1, out);
    while let Some(next) = rest[at..].chars().next() {
        at += match next {
            '\\' => escape(&rest[at..], out),
            other => copy(&rest[at..], other.len_utf8(), out),
        };
        if next == '"' {
            break;
        }
    }
    at
}

fn escape(rest: &str, out: &mut String) -> usize {
    const UNIT: usize = "\\u0000".len();
    match unit(rest) {
        Some(0xd800..=0xdbff) if matches!(rest.get(UNIT..).and_then(unit), Some(0xdc00..=0xdfff)) => {
            copy(rest, 2 * UNIT, out)
        }
        Some(0xd800..=0xdfff) => {
            out.push('\u{fffd}');
            UNIT
        }
        _ => copy(rest, 1 + rest[1..].chars().next().map_or(0, char::len_utf8), out),
    }
}

/// The UTF-16 unit of an escape that begins here.
fn unit(text: &str) -> Option<u16> {
    u16::from_str_radix(text.strip_prefix("\\u")?.get(..4)?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::super::json::Json;
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(repaired(text), expected);
        Json::read(&repaired(text)).unwrap();
    }

    #[test]
    fn half_a_surrogate_pair_becomes_the_replacement_character() {
        check(
            r#"{"a":"x\ud83d","b":"\udc00y\ud83d\u0041"}"#,
            "{\"a\":\"x\u{fffd}\",\"b\":\"\u{fffd}y\u{fffd}\\u0041\"}",
        );
        check(r#"["\ud83d\ude00","\\ud83d","\"\\"]"#, r#"["\ud83d\ude00","\\ud83d","\"\\"]"#);
    }

    #[test]
    fn a_number_beyond_all_floats_becomes_null() {
        check(
            r#"{"a":1e999,"b":-1E+400,"c":[5,-0.5e-3],"d":"1e999"}"#,
            r#"{"a":null,"b":null,"c":[5,-0.5e-3],"d":"1e999"}"#,
        );
    }

    proptest! {
        #[test]
        fn whatever_the_text_is_it_ends_and_good_json_stays_as_it_is(text in any::<String>(), number in any::<f64>()) {
            let _ = repaired(&text);
            let good = serde_json::json!({"text": text, "number": number, "list": [text, 5]}).to_string();
            prop_assert_eq!(repaired(&good), good);
        }
    }
}
