use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;

fn contradict(a: &str, b: &str) -> bool {
    let digests = [a, b].map(|body| Digest::of_bytes(Digest::of(body.as_bytes()).to_bytes()));
    let (a, b) = (Content::of(a.as_bytes()), Content::of(b.as_bytes()));
    assert_eq!(digests[0].contradicts(&digests[1]), a.contradicts(&b), "the digest says the same");
    assert_eq!(a.contradicts(&b), b.contradicts(&a), "the order makes no difference");
    a.contradicts(&b)
}

/// An event of one version of the API.
fn event(version: &str, members: &str, object: &str) -> String {
    format!(
        r#"{{"id":"evt_1","object":"event","api_version":{version},"created":1767225600,"type":"invoice.paid",
        "livemode":true,{members}"data":{{"object":{{"object":"invoice","id":"in_1",{object}}}}}}}"#
    )
}

#[test]
fn what_makes_no_difference_in_json_makes_none_here() {
    let one = r#"{"id":"evt_1","a":{"b":1,"c":[1,2.50,"é/"]},"d":null}"#;
    for same in [
        "\u{feff}{ \"d\" : null,\r\n\"a\":{\"c\":[1,2.5,\"\\u00e9\\/\"],\"b\":1},\t\"id\":\"evt_1\"}\n",
        r#"{"\u0069d":"evt_1","a":{"b":1.0,"c":[10e-1,25E-1,"é/"]},"d":null}"#,
        r#"{"id":"evt_1","a":{"b":1,"c":[1,2.5,"é/"],"b":7},"d":null,"a":8}"#,
    ] {
        assert!(!contradict(one, same), "{same}");
    }
    for other in [
        r#"{"id":"evt_1","a":{"b":1,"c":[2.50,1,"é/"]},"d":null}"#,
        r#"{"id":"evt_1","a":{"b":1,"c":[1,2.50,"é/"]},"d":false}"#,
        r#"{"id":"evt_1","a":{"b":1,"c":[1,2.50,"é/"]}}"#,
        r#"{"id":"evt_1","a":{"b":"1","c":[1,2.50,"é/"]},"d":null}"#,
        r#"{"id":"evt_1","a":{"b":1,"c":[1,2.5000000000000000000001,"é/"]},"d":null}"#,
        r#"{"id":"evt_1","a":{"b":-1,"c":[1,2.50,"é/"]},"d":null}"#,
    ] {
        assert!(contradict(one, other), "{other}");
    }
}

#[test]
fn what_belongs_to_a_delivery_is_no_content() {
    let first = event(r#""2024-06-20""#, r#""pending_webhooks":2,"request":{"id":"req_1"},"#, r#""total":7"#);
    assert!(!contradict(&first, &event(r#""2024-06-20""#, r#""pending_webhooks":0,"request":null,"#, r#""total":7"#)));
    assert!(!contradict(&first, &event(r#""2024-06-20""#, "", r#""total":7"#)));
    assert!(contradict(&first, &event(r#""2024-06-20""#, "", r#""total":8"#)));
    let nested = r#""total":7,"pending_webhooks":1"#;
    assert!(contradict(&first, &event(r#""2024-06-20""#, "", nested)), "only the event's own member is left out");
}

/// Two endpoints of different versions: fields of the object have moved, the fact is the same.
#[test]
fn renderings_of_different_versions_are_compared_in_what_depends_on_none() {
    let old = event(r#""2024-06-20""#, "", r#""subscription":"sub_1","paid":true"#);
    assert!(!contradict(&old, &event(r#""2025-03-31.basil""#, "", r#""parent":{"subscription":"sub_1"}"#)));
    assert!(!contradict(&old, &event("null", "", r#""other":1"#)));
    let basil = |from: &str, to: &str| {
        let body = event(r#""2025-03-31.basil""#, "", r#""parent":{}"#);
        assert!(body.contains(from));
        body.replace(from, to)
    };
    for (from, to) in [
        ("invoice.paid", "invoice.voided"),
        ("1767225600", "1767225601"),
        (r#""livemode":true"#, r#""livemode":false"#),
        ("in_1", "in_2"),
        (r#""object":"invoice""#, r#""object":"charge""#),
        (r#""id":"evt_1""#, r#""id":"evt_1","account":"acct_1""#),
    ] {
        assert!(contradict(&old, &basil(from, to)), "{to}");
    }
}

/// The Dashboard's old test webhooks: one id for every type.
#[test]
fn test_webhooks_of_the_dashboard_contradict_each_other() {
    let first = event(r#""2020-08-27""#, "", r#""status":"active""#);
    assert!(contradict(&first, &first.replace("invoice.paid", "invoice.voided").replace("1767225600", "1767225660")));
}

#[test]
fn a_thin_event_is_compared_by_what_it_names_too() {
    let thin = |id: &str, version: &str| {
        format!(r#"{{"id":"evt_1","object":"v2.core.event"{version},"related_object":{{"id":"{id}"}}}}"#)
    };
    assert!(!contradict(&thin("mtr_1", ""), &thin("mtr_1", r#","api_version":"x""#)));
    assert!(contradict(&thin("mtr_1", ""), &thin("mtr_2", r#","api_version":"x""#)));
}

/// Everything that ingest takes in, and what others may write into `raw`.
#[test]
fn odd_bodies_are_compared_exactly() {
    assert!(!contradict(r#"{"id":"e","a":"\ud800"}"#, r#"{"a":"\uD800","id":"e"}"#));
    assert!(contradict(r#"{"id":"e","a":"\ud800"}"#, r#"{"id":"e","a":"\ud801"}"#));
    assert!(!contradict(r#"{"id":"e","a":"\ud83d\ude00"}"#, r#"{"id":"e","a":"😀"}"#));
    assert!(contradict(r#"{"id":"e","a":"\ud83d\u0041"}"#, r#"{"id":"e","a":"\ud83dB"}"#));
    assert!(!contradict(r#"{"id":"e","a":1e999}"#, r#"{"id":"e","a":10e998}"#));
    assert!(contradict(r#"{"id":"e","a":1e999}"#, r#"{"id":"e","a":1e998}"#));
    assert!(!contradict(r#"{"id":"e","a":-0.0}"#, r#"{"id":"e","a":0}"#));
    let huge = r#"{"id":"e","a":1e99999999999999999999}"#;
    assert!(!contradict(huge, &huge.replace(':', ": ")));
    assert!(contradict(huge, r#"{"id":"e","a":1e99999999999999999998}"#));
    let bytes = |memo: &[u8]| Content::of(&[b"{\"id\":\"e\",\"memo\":\"", memo, b"\"}"].concat());
    assert!(bytes(b"caf\xe9").contradicts(&bytes(b"caf\xe8")), "both would be read with a replacement character");
    for (a, b) in [("", "{}"), ("[1]", "[2]"), ("{", "{ "), ("no json", "nor this"), (r#"{"a":1}x"#, r#"{"a":1}y"#)] {
        assert!(contradict(a, b), "{a} {b}");
        assert!(!contradict(a, a), "{a}");
    }
    let deep = |inner: &str| format!(r#"{{"id":"e","x":{}{inner}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    assert!(!contradict(&deep("1"), &format!(" {}", deep("1"))));
    assert!(contradict(&deep("1"), &deep("2")));
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-1000_i64..1000).prop_map(Value::from),
        (-1000_i32..1000).prop_map(|n| Value::from(f64::from(n) / 8.0)),
        "[a-c\"\\\\\u{e9}\n]{0,4}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 30, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec(("[a-d]", inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// The same value written otherwise: members in another order, with white space, letters as escapes.
fn otherwise(value: &Value, out: &mut String) {
    match value {
        Value::Object(members) => {
            out.push_str("{ ");
            for (n, (key, value)) in members.iter().rev().enumerate() {
                out.push_str(if n > 0 { " ,\n" } else { "" });
                otherwise(&json!(key), out);
                out.push_str(" :\t");
                otherwise(value, out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (n, item) in items.iter().enumerate() {
                out.push_str(if n > 0 { ", " } else { "" });
                otherwise(item, out);
            }
            out.push_str("\r]");
        }
        Value::String(text) => {
            out.push('"');
            text.encode_utf16().for_each(|unit| out.push_str(&format!("\\u{unit:04X}")));
            out.push('"');
        }
        Value::Number(number) if number.is_i64() => out.push_str(&format!("{number}.0e0")),
        other => out.push_str(&other.to_string()),
    }
}

fn body(value: &Value) -> String {
    Value::Object(Map::from_iter([("id".to_owned(), json!("evt_1")), ("x".to_owned(), value.clone())])).to_string()
}

proptest! {
    #[test]
    fn two_values_contradict_if_and_only_if_a_general_reader_says_they_differ(a in any_json(), b in any_json()) {
        let equal = |a: &Value, b: &Value| normal(a) == normal(b);
        prop_assert_eq!(contradict(&body(&a), &body(&b)), !equal(&a, &b), "{} {}", a, b);
        let mut again = String::from("{\"x\":");
        otherwise(&a, &mut again);
        again.push_str(",\"id\":\"evt_1\"}");
        prop_assert!(!contradict(&body(&a), &again), "{} {}", a, again);
    }

    #[test]
    fn any_bytes_have_a_content(a in proptest::collection::vec(any::<u8>(), 0..60)) {
        prop_assert!(!Content::of(&a).contradicts(&Content::of(&a)));
    }
}

/// With every number as the same kind: serde_json holds 1 and 1.0 for different.
fn normal(value: &Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64()),
        Value::Array(items) => items.iter().map(normal).collect(),
        Value::Object(members) => {
            Value::Object(members.iter().map(|(key, value)| (key.clone(), normal(value))).collect())
        }
        other => other.clone(),
    }
}
