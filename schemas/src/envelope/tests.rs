use proptest::prelude::*;

use super::*;

fn read(body: &str) -> Envelope<'_> {
    Envelope::read(body.as_bytes()).unwrap_or_else(|e| panic!("{e}: {body}"))
}

#[test]
fn a_snapshot_event_is_read() {
    let event = read(
        r#"{"id":"evt_1","object":"event","account":"acct_1","api_version":"2025-03-31.basil","created":1767225600,
        "data":{"object":{"id":"sub_1","object":"subscription","customer":"cus_1","items":{"data":[{"id":"no"}]}},
        "previous_attributes":{"status":"trialing"}},"livemode":true,"type":"customer.subscription.updated"}"#,
    );
    assert_eq!(event.id, "evt_1");
    assert_eq!(event.kind.as_deref(), Some("customer.subscription.updated"));
    assert_eq!(event.created, Some(Millis(1_767_225_600_000)));
    assert_eq!(event.account.as_deref(), Some("acct_1"));
    assert!(event.livemode && !event.thin);
    assert_eq!(event.object.id.as_deref(), Some("sub_1"));
    assert_eq!(event.object.customer.as_deref(), Some("cus_1"));
}

#[test]
fn a_thin_event_is_read() {
    let event = read(
        r#"{"id":"evt_2","object":"v2.core.event","created":"2026-01-01T00:00:00.246Z","livemode":true,
        "type":"v1.billing.meter.error_report_triggered","related_object":{"id":"mtr_1","type":"billing.meter","url":"/x"}}"#,
    );
    assert!(event.thin);
    assert_eq!(event.related.as_deref(), Some("mtr_1"));
    assert_eq!(event.created, Some(Millis(1_767_225_600_246)));
    assert_eq!(event.object, Object::default());
}

#[test]
fn the_context_of_a_thin_event_names_its_account() {
    let account = |members: &str| {
        let quick = format!(r#"{{"id":"evt_2","object":"v2.core.event"{members}}}"#);
        let patient = format!(r#"{{"id":"evt_2","x":1e999,"type":"\ud800","object":"v2.core.event"{members}}}"#);
        let [quick, patient] = [quick, patient].map(|body| read(&body).account.map(Cow::into_owned));
        assert_eq!(quick, patient, "{members}");
        quick
    };
    let some = |account: &str| Some(account.to_owned());
    assert_eq!(account(r#","context":"acct_7""#), some("acct_7"));
    assert_eq!(account(r#","context":"org_1\/acct_7""#), some("acct_7"));
    assert_eq!(account(&format!(r#","context":"org_{}/acct_7""#, "x".repeat(300))), some("acct_7"));
    assert_eq!(account(r#","account":"acct_8","context":"acct_7""#), some("acct_7"));
    assert_eq!(account(r#","context":"org_1","account":"acct_8""#), some("acct_8"));
    assert_eq!(account(r#","context":"acct_7","context":"acct_8""#), some("acct_7"), "the first one counts");
    for odd in ["null", "7", r#"["acct_7"]"#, r#"{"id":"acct_7"}"#, "\"\""] {
        assert_eq!(account(&format!(r#","context":{odd}"#)), None, "{odd}");
    }
    let snapshot = read(r#"{"id":"evt_1","object":"event","context":"acct_7","account":"acct_8"}"#);
    assert_eq!(snapshot.account.as_deref(), Some("acct_8"), "a snapshot event has a field of its own");
    assert_eq!(read(r#"{"id":"evt_1","object":"event","context":"acct_7"}"#).account, None);
}

#[test]
fn the_first_of_a_repeated_key_counts_even_where_it_is_of_no_use() {
    let event = read(
        r#"{"id":"evt_1","id":"evt_2","type":7,"type":"x","livemode":"yes","livemode":true,"data":1,"data":{"object":{"id":"x"}}}"#,
    );
    assert_eq!(event.id, "evt_1");
    assert_eq!(event.kind, None);
    assert!(!event.livemode);
    assert_eq!(event.object.id, None);
    assert!(matches!(Envelope::read(br#"{"id":null,"id":"evt_2"}"#), Err(Unusable::BadId)));
}

#[test]
fn fields_of_another_type_count_as_absent() {
    for odd in ["null", "7", "-7", "1.5", "true", r#""""#, "[]", "[1,[2]]", "{}", r#"{"id":[]}"#] {
        let event = format!(
            r#"{{"id":"evt_1","type":{odd},"account":{odd},"livemode":{odd},"object":{odd},"related_object":{odd},
            "data":{odd},"created":{odd}}}"#
        );
        let event = read(&event);
        assert_eq!((event.kind, event.account, event.related), (None, None, None), "{odd}");
        let event = format!(
            r#"{{"id":"evt_1","data":{{"object":{{"id":{odd},"customer":{odd},"payment":{odd},"charge":{odd}}}}}}}"#
        );
        assert_eq!(read(&event).object, Object::default(), "{odd}");
    }
}

#[test]
fn bodies_that_are_no_event_say_why() {
    for body in [
        "",
        " ",
        "null",
        "[]",
        "7",
        r#""evt_1""#,
        "{",
        r#"{"id":"evt_1"} x"#,
        r#"{"id":"evt_1"}{}"#,
        r#"{"id":"evt_1",}"#,
        r#"{"id":"evt_1","a":01}"#,
        r#"{"id":"evt_1","a":1e}"#,
        r#"{"id":"evt_1","a":"\ud80"}"#,
        "{\"id\":\"evt_1\",\"a\nb\":1}",
        r#"{"id":"evt_1",id:2}"#,
        r#"{'id':'evt_1'}"#,
        "\u{feff}\u{feff}{\"id\":\"evt_1\"}",
        " \u{feff}{\"id\":\"evt_1\"}",
        "{\"id\":\"evt_1\"}\0",
    ] {
        assert!(matches!(Envelope::read(body.as_bytes()), Err(Unusable::NotJson(_))), "{body}");
    }
    assert!(matches!(Envelope::read(b"{}"), Err(Unusable::NoId)));
    let long = [format!(r#""{}""#, "x".repeat(256)), format!(r#""{}""#, "é".repeat(128))];
    let odd = ["7", "1e999", "null", "{}", r#"["evt_1"]"#, r#""""#, r#""\ud800""#, r#""evt\udc00\ud800""#];
    for id in odd.into_iter().chain(long.iter().map(String::as_str)) {
        assert!(matches!(Envelope::read(format!(r#"{{"id":{id}}}"#).as_bytes()), Err(Unusable::BadId)), "{id}");
    }
    assert_eq!(read(&format!(r#"{{"id":"{}"}}"#, "x".repeat(255))).id.len(), 255);
    assert_eq!(read(&format!(r#"{{"id":"{}x"}}"#, "é".repeat(127))).id.len(), 255);
    // Bytes count as they stand in Kafka, not as they were escaped.
    assert_eq!(read(&format!(r#"{{"id":"{}"}}"#, r"\u0041".repeat(255))).id.len(), 255);
    assert!(Envelope::read(format!(r#"{{"id":"{}"}}"#, r"\u00e9".repeat(128)).as_bytes()).is_err());
}

#[test]
fn odd_bytes_around_and_inside_the_object_are_no_obstacle() {
    let plain = read(r#"{"id":"evt_1","data":{"object":{"id":"in_1"}}}"#);
    assert_eq!(
        Envelope::read(b"\xef\xbb\xbf{\"id\":\"evt_1\",\r\n \"data\" :\t{\"object\":{\"id\":\"in_1\"}}}\r\n\n").ok(),
        Some(plain.clone())
    );
    assert_eq!(
        Envelope::read(b"{\"memo\":\"caf\xe9\",\"id\":\"evt_1\",\"data\":{\"object\":{\"id\":\"in_1\"}}}").ok(),
        Some(plain.clone())
    );
    assert_eq!(
        Envelope::read(b"{\"caf\xe9\":1,\"id\":\"evt_1\",\"data\":{\"object\":{\"id\":\"in_1\"}}}").ok(),
        Some(plain)
    );
    assert!(Envelope::read(b"\xef\xbb\xbf\xef\xbb\xbf{\"id\":\"evt_1\"}").is_err(), "one byte order mark, not two");
}

#[test]
fn escapes_are_read_as_what_they_stand_for() {
    assert_eq!(read(r#"{"\u0069d":"evt_\u0031"}"#).id, "evt_1");
    assert_eq!(read(r#"{"id":"evt_\u0000\ud83d\ude00\/"}"#).id, "evt_\0\u{1f600}/");
}

#[test]
fn an_id_that_is_no_utf8_is_none_since_two_of_them_would_look_the_same() {
    for body in [&b"{\"id\":\"evt_\xff\"}"[..], b"{\"id\":\"evt_\xfe\"}", b"{\"id\":\"\xed\xa0\x80\"}"] {
        assert!(matches!(Envelope::read(body), Err(Unusable::BadId)), "{body:?}");
    }
    assert_eq!(read("{\"id\":\"evt_\u{fffd}\"}").id, "evt_\u{fffd}");
}

/// Each is JSON, and no strict reader of strings and numbers can take it in.
#[test]
fn half_a_surrogate_pair_or_a_number_without_measure_loses_no_event() {
    let huge = "9".repeat(400);
    for odd in [r#""\ud800""#, r#""\ude00x""#, "1e999", "-1e999", "[1e999]", r#"{"\ud800":1e999}"#, &huge] {
        for name in ["type", "created", "livemode", "account", "object", "related_object", "data", "other"] {
            let body = format!(r#"{{"{name}":{odd},"id":"evt_1"}}"#);
            assert_eq!(read(&body), Envelope { id: "evt_1".into(), ..Envelope::default() }, "{body}");
        }
        let body = format!(
            r#"{{"id":"evt_1","\udfff":1,"type":{odd},"livemode":true,"created":7,"account":"acct_1","data":{{"a":{odd},
            "object":{{"object":"invoice","charge":{odd},"id":"in_1","customer":{{"id":"cus_1","b":{odd}}}}}}}}}"#
        );
        let event = read(&body);
        assert_eq!((event.id.as_ref(), event.kind, event.created), ("evt_1", None, Some(Millis(7000))));
        assert_eq!((event.livemode, event.account.as_deref()), (true, Some("acct_1")));
        assert_eq!((event.object.kind.as_deref(), event.object.id.as_deref()), (Some("invoice"), Some("in_1")));
        assert_eq!((event.object.customer.as_deref(), event.object.charge), (Some("cus_1"), None));
    }
    let long = format!(r#"{{"id":"{}","type":1e999}}"#, "x".repeat(256));
    assert!(matches!(Envelope::read(long.as_bytes()), Err(Unusable::BadId)));
    let thin = r#"{"id":"evt_1","type":"\ud800","object":"v2.core.event","created":"2026-01-01T00:00:00.246Z",
        "related_object":{"id":"ba_1"}}"#;
    let event = read(thin);
    let created = Some(Millis(1_767_225_600_246));
    assert_eq!((event.thin, event.related.as_deref(), event.created), (true, Some("ba_1"), created));
    let payment = r#"{"id":"evt_1","type":1e999,"data":{"object":{"object":"invoice_payment",
        "payment":{"charge":"ch_1","payment_intent":"pi_1"}}}}"#;
    assert_eq!(read(payment).object.payment_intent.as_deref(), Some("pi_1"));
}

#[test]
fn nested_ids_are_not_the_events() {
    assert_eq!(read(r#"{"data":{"id":"no","object":{"id":"no"}},"x":[{"id":"no"}],"id":"evt_1"}"#).id, "evt_1");
    assert!(matches!(Envelope::read(br#"{"data":{"id":"evt_1"}}"#), Err(Unusable::NoId)));
}

#[test]
fn nesting_without_end_is_refused_and_does_not_overflow_the_stack() {
    let deep = format!(r#"{{"id":"evt_1","data":{{"object":{}"#, r#"{"customer":"#.repeat(200_000));
    assert!(Envelope::read(deep.as_bytes()).is_err());
    let ignored = format!(r#"{{"id":"evt_1","x":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(read(&ignored).id, "evt_1");
}

/// Members that matter, and some that do not, with values of every kind.
fn odd_body() -> impl Strategy<Value = String> {
    let key = prop_oneof![
        "(id|type|created|livemode|account|context|object|related_object|data|x)",
        "(customer|payment_intent|charge|payment)",
        Just(r"\u0069d".to_owned()),
    ];
    let leaf = prop_oneof![
        "(null|true|false|-?[1-9][0-9]{0,24}|0|[0-9]\\.[0-9]e[0-9]{1,2})",
        "\"(evt|cus|pi|invoice_payment|v2\\.core\\.event)[a-z0-9é]{0,4}\"",
        "\"2026-01-0[1-9]T00:00:00Z\"",
        "\"(org_1/)?acct_[0-9]\"",
    ];
    let value = leaf.prop_recursive(4, 40, 6, move |inner| {
        let member = (key.clone(), inner.clone()).prop_map(|(key, value)| format!("\"{key}\":{value}"));
        prop_oneof![
            3 => proptest::collection::vec(member, 0..6).prop_map(|items| format!("{{{}}}", items.join(","))),
            1 => proptest::collection::vec(inner, 0..3).prop_map(|items| format!("[{}]", items.join(","))),
        ]
    });
    let object = prop_oneof![value.clone(), Just("\"v2.core.event\"".to_owned())];
    (value.clone(), object, value.clone(), value).prop_map(|(first, second, third, fourth)| {
        format!(
            r#"{{"id":"evt_1","type":{third},"data":{{"object":{first}}},"object":{second},"created":1,"context":{fourth}}}"#
        )
    })
}

proptest! {
    #[test]
    fn both_readings_of_a_body_see_the_same(body in odd_body()) {
        let quick = read::envelope(body.as_bytes()).expect("nothing in it offends the quick one");
        prop_assert_eq!(quick, patient::envelope(body.as_bytes()).expect("JSON"), "{}", body);
    }

    #[test]
    fn any_bytes_are_read_or_refused_without_a_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Envelope::read(&body);
    }

    #[test]
    fn what_a_general_reader_sees_is_what_this_one_sees(id in "[a-zA-Z0-9_\"\\\\é]{1,40}", customer in proptest::option::of("[a-z0-9_]{1,20}"), live in any::<bool>()) {
        let value = serde_json::json!({"id": id, "livemode": live, "data": {"object": {"id": "x", "customer": customer}}});
        let body = serde_json::to_vec(&value).expect("serialisable");
        let event = Envelope::read(&body).expect("readable");
        prop_assert_eq!(event.id.as_ref(), id.as_str());
        prop_assert_eq!(event.livemode, live);
        prop_assert_eq!(event.object.customer.as_deref(), customer.as_deref());
    }
}
