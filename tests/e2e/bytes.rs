//! A body comes out as it came in, whatever it looks like.

use std::collections::BTreeMap;

use hooklog_test_support::{Broker, Site};

const HOOKLOG: &str = env!("CARGO_BIN_EXE_hooklog");

/// Something that the views want, with an odd value in it.
fn of_a_customer(id: &str, odd: &str) -> String {
    format!(
        r#"{{"id":"{id}","type":"customer.deleted","created":1,"data":{{"object":{{"odd":{odd},"id":"cus_{id}","object":"customer"}}}}}}"#
    )
}

/// What some program between here and there would have liked to tidy up, by the id in it.
fn bodies() -> BTreeMap<&'static str, Vec<u8>> {
    let text = |text: &str| text.as_bytes().to_vec();
    BTreeMap::from([
        ("evt_bom", text("\u{feff}{\"id\":\"evt_bom\",\"object\":\"event\"}")),
        ("evt_crlf", text("{\r\n\t\"id\" :  \"evt_crlf\" ,\r\n \"livemode\":true\r\n}\r\n")),
        ("evt_space", text(" \n\t{  \"id\"\n:\"evt_space\"\t}  \n\n")),
        ("evt_words", text("{\"id\":\"evt_words\",\"name\":\"Zoë Şahin 株式会社 🦀 \u{202e}e\\u0301\\/\"}\n")),
        ("evt_twice", text("{\"id\":\"evt_twice\",\"a\":1,\"a\":2,\"id\":\"evt_other\"}")),
        ("evt_numbers", text("{\"id\":\"evt_numbers\",\"n\":[1.0,1e2,-0,0.10,123456789012345678901234567890]}")),
        ("evt_latin", b"{\"id\":\"evt_latin\",\"name\":\"Z\xff\xfe\xe9\"}\n".to_vec()),
        ("evt_half", text(r#"{"id":"evt_half","type":"\ud800","data":{"object":{"\udfff":"\udc00"}}}"#)),
        ("evt_huge", text(&of_a_customer("evt_huge", "-1e999"))),
        ("evt_deep", text(&of_a_customer("evt_deep", &("[".repeat(50_000) + &"]".repeat(50_000))))),
        ("evt_zero", text("{\"id\":\"evt_zero\",\"text\":\"\\u0000\u{7f}\"}\n")),
        (
            "evt_all",
            b"\xef\xbb\xbf\r\n{ \"id\" : \"evt_all\" ,\r\n\t\"data\":{\"object\":{\"id\":\"cus_\xc3\xa9\",\
            \"object\":\"customer\",\"name\":\"\xc3\x28\"}} }\r\n\r\n"
                .to_vec(),
        ),
    ])
}

#[test]
fn the_bytes_of_every_odd_body_are_the_same_in_raw_and_in_events() {
    let site = Site::on(Broker::shared(HOOKLOG), HOOKLOG);
    let (up, bodies) = (site.up(), bodies());
    for (id, body) in &bodies {
        let answer = up.post(body);
        assert_eq!((answer.status, answer.json()["id"].as_str()), (200, Some(*id)), "{answer:?}");
    }
    let (raw, events) = site.processed(up.brokers());
    let of_raw: BTreeMap<_, _> = raw.iter().map(|record| (record.key.as_str(), record.value.clone())).collect();
    assert_eq!(of_raw, bodies);
    let id = |event: &hooklog_test_support::Record| event.header("ce_id").unwrap().to_owned();
    let of_events: BTreeMap<_, _> = events.iter().map(|event| (id(event), event.value.clone())).collect();
    assert_eq!(of_events, bodies.into_iter().map(|(id, body)| (id.to_owned(), body)).collect());
    assert_eq!(events.len(), raw.len());
    up.views_follow();
}

#[test]
fn a_megabyte_comes_through_and_a_byte_more_is_refused_and_is_nowhere() {
    let site = Site::on(Broker::shared(HOOKLOG), HOOKLOG);
    let up = site.up();
    let of_length = |id: &str, length: usize| {
        let mut body = format!("{{\"id\":\"{id}\",\"pad\":\"").into_bytes();
        body.resize(length - 2, b'x');
        body.extend(b"\"}");
        body
    };
    let (largest, too_large) = (of_length("evt_largest", 1 << 20), of_length("evt_too_large", (1 << 20) + 1));
    assert_eq!(up.post(&largest).status, 200);
    assert_eq!(up.post(&too_large).status, 413);
    let (raw, events) = site.processed(up.brokers());
    assert_eq!((raw.len(), events.len()), (1, 1));
    assert!(raw[0].value == largest && events[0].value == largest);
}
