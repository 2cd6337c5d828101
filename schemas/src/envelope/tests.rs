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
        r#"{"id":"\ud800"}"#,
    ] {
        assert!(matches!(Envelope::read(body.as_bytes()), Err(Unusable::NotJson(_))), "{body}");
    }
    assert!(matches!(Envelope::read(b"{}"), Err(Unusable::NoId)));
    for id in ["7", "null", "{}", r#""""#, &format!(r#""{}""#, "x".repeat(256))] {
        assert!(matches!(Envelope::read(format!(r#"{{"id":{id}}}"#).as_bytes()), Err(Unusable::BadId)), "{id}");
    }
    assert_eq!(read(&format!(r#"{{"id":"{}"}}"#, "x".repeat(255))).id.len(), 255);
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
}

#[test]
fn nesting_without_end_is_refused_and_does_not_overflow_the_stack() {
    let deep = format!(r#"{{"id":"evt_1","data":{{"object":{}"#, r#"{"customer":"#.repeat(200_000));
    assert!(Envelope::read(deep.as_bytes()).is_err());
    let ignored = format!(r#"{{"id":"evt_1","x":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(read(&ignored).id, "evt_1");
}

proptest! {
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
