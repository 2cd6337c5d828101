use axum::body::Body;
use axum::http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use tower::ServiceExt;

use super::*;
use crate::writer::Rejected;

const BODY: &[u8] = br#"{"id":"evt_1","type":"invoice.paid"}"#;

fn post(path: &str, signature: &str, body: &[u8]) -> Request<Body> {
    Request::post(path).header("Stripe-Signature", signature).body(Body::from(body.to_vec())).unwrap()
}

fn genuine(body: &[u8]) -> Request<Body> {
    post("/webhooks/shop", &signature(body), body)
}

async fn send(router: &Router, request: Request<Body>) -> Response<Body> {
    router.clone().oneshot(request).await.unwrap()
}

async fn text(response: Response<Body>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

/// Posts each body, genuinely signed, and gives the statuses and the records that reached the queue.
async fn posted(bodies: &[&[u8]]) -> (Vec<u16>, Vec<Record>) {
    let stage = stage(limits());
    let mut records = answering(stage.appends, at(0, 0));
    let mut statuses = Vec::new();
    for body in bodies {
        statuses.push(send(&stage.router, genuine(body)).await.status().as_u16());
    }
    drop((stage.router, stage.app));
    let mut written = Vec::new();
    while let Some(record) = records.recv().await {
        written.push(record);
    }
    (statuses, written)
}

#[tokio::test]
async fn a_genuine_event_is_answered_with_its_id_and_position_once_it_is_acknowledged() {
    let stage = stage(limits());
    let mut records = answering(stage.appends, at(3, 1234));
    let mut request = genuine(BODY);
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    request.headers_mut().insert("traceparent", trace.parse().unwrap());
    let response = send(&stage.router, request).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-type"], "application/json");
    assert_eq!(text(response).await, r#"{"id":"evt_1","position":"raw/3/1234"}"#);
    let record = records.recv().await.unwrap();
    assert_eq!((record.id.as_str(), record.body.as_ref()), ("evt_1", BODY));
    assert_eq!((record.namespace.as_str(), record.source.as_ref()), ("stripe", "shop"));
    assert_eq!(record.traceparent, trace);
    assert!((record.received_at.0 / 1000 - record.signature_time).abs() <= 2);
}

#[tokio::test]
async fn no_answer_is_given_before_the_acknowledgement() {
    let mut stage = stage(limits());
    let answer = tokio::spawn(stage.router.clone().oneshot(genuine(BODY)));
    let append = stage.appends.recv().await.unwrap();
    tokio::task::yield_now().await;
    assert!(!answer.is_finished());
    append.answer.send(at(0, 7)).unwrap();
    assert_eq!(answer.await.unwrap().unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn the_body_is_kept_byte_for_byte_whatever_it_looks_like() {
    let bodies: [&[u8]; 6] = [
        b"\xef\xbb\xbf{ \"id\" : \"evt_bom\" }",
        b"{\r\n\t\"id\":\"evt_crlf\"\r\n}\r\n",
        "{\"id\":\"evt_utf8\",\"n\":\"Zoë ☃\"}\n".as_bytes(),
        b"{\"id\":\"evt_latin1\",\"n\":\"Zo\xeb\"}",
        br#"{"id":"evt_twice","id":"evt_second","a":1.0,"a":1e2}"#,
        br#"  {"z":1,"id":"evt_\u0041"}   "#,
    ];
    let (statuses, records) = posted(&bodies).await;
    assert_eq!(statuses, [200; 6]);
    assert_eq!(records.iter().map(|record| record.body.as_ref()).collect::<Vec<_>>(), bodies);
    let ids: Vec<_> = records.iter().map(|record| record.id.as_str()).collect();
    assert_eq!(ids, ["evt_bom", "evt_crlf", "evt_utf8", "evt_latin1", "evt_twice", "evt_A"]);
}

#[tokio::test]
async fn unknown_types_thin_events_and_bodies_without_a_type_are_taken_in() {
    let bodies: [&[u8]; 6] = [
        br#"{"id":"evt_5","type":"\ud800","created":1e999}"#,
        br#"{"id":"evt_6","\udfff":[],"data":{"object":{"id":-1e400}}}"#,
        br#"{"id":"evt_1","object":"event","type":"no.such.thing","api_version":"3024-01-01"}"#,
        br#"{"id":"evt_2","object":"v2.core.event","created":"2026-01-01T00:00:00Z","related_object":{"id":"x"}}"#,
        br#"{"id":"evt_3"}"#,
        br#"{"id":"evt_4","type":7,"livemode":"perhaps","data":[]}"#,
    ];
    assert_eq!(posted(&bodies).await.0, [200; 6]);
}

#[tokio::test]
async fn what_is_verified_but_no_event_gets_422_and_is_not_written() {
    let long = format!(r#"{{"id":"{}"}}"#, "x".repeat(256));
    let bodies: [&[u8]; 15] = [
        b"{\"id\":\"evt_\xff\"}",
        br#"{"id":"evt_\ud800"}"#,
        b"\xef\xbb\xbf\xef\xbb\xbf{\"id\":\"evt_1\"}",
        br#"{"data":{"id":"evt_1"}}"#,
        b"",
        b"null",
        b"[]",
        b"\"evt_1\"",
        br#"{"id":"evt_1""#,
        br#"{"id":"evt_1"} {"id":"evt_2"}"#,
        b"{}",
        br#"{"id":""}"#,
        br#"{"id":7,"id":"evt_1"}"#,
        b"id=evt_1&type=x",
        long.as_bytes(),
    ];
    let (statuses, records) = posted(&bodies).await;
    assert_eq!(statuses, [422; 15]);
    assert_eq!(records, []);
}

#[tokio::test]
async fn an_id_of_255_bytes_is_taken_in() {
    let body = format!(r#"{{"id":"{}"}}"#, "x".repeat(255));
    assert_eq!(posted(&[body.as_bytes()]).await.0, [200]);
}

#[tokio::test]
async fn the_same_event_with_a_fresh_signature_or_other_pending_webhooks_is_written_again() {
    let bodies: [&[u8]; 3] = [BODY, BODY, br#"{"id":"evt_1","type":"invoice.paid","pending_webhooks":2}"#];
    let (statuses, records) = posted(&bodies).await;
    assert_eq!((statuses, records.len()), (vec![200; 3], 3));
}

#[tokio::test]
async fn whatever_is_wrong_with_a_signature_the_answer_is_the_same_400_and_nothing_is_written() {
    let mut stage = stage(limits());
    let time = now();
    let good = signature(BODY);
    let v1 = good.split_once(",v1=").unwrap().1.to_owned();
    let mut answers = Vec::new();
    for header in [
        String::new(),
        format!("t={time},v0={v1}"),
        format!("v1={v1}"),
        format!("t=,v1={v1}"),
        format!("t={time},v1="),
        format!("t={time},t={time},v1={v1}"),
        signed(SECRET, time - 310, BODY),
        signed(SECRET, time + 310, BODY),
        signed("whsec_canary0b", time, BODY),
        signed(SECRET, time, b"{}"),
    ] {
        let response = send(&stage.router, post("/webhooks/shop", &header, BODY)).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{header}");
        answers.push(text(response).await);
    }
    let absent = Request::post("/webhooks/shop").body(Body::from(BODY)).unwrap();
    let twice = Request::post("/webhooks/shop").header("stripe-signature", &good).header("stripe-signature", &good);
    for request in [absent, twice.body(Body::from(BODY)).unwrap()] {
        let response = send(&stage.router, request).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
        answers.push(text(response).await);
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert!(stage.appends.try_recv().is_err());
}

#[tokio::test]
async fn the_secret_of_one_source_does_not_open_another_and_a_rolled_one_still_passes() {
    let stage = stage(limits());
    let mut records = answering(stage.appends, at(0, 0));
    for (path, secret, status) in [
        ("/webhooks/shop", "whsec_canary0b", 400),
        ("/webhooks/b", SECRET, 400),
        ("/webhooks/b", "whsec_canary0b", 200),
        ("/webhooks/shop", "whsec_canary0old", 200),
    ] {
        let response = send(&stage.router, post(path, &signed(secret, now(), BODY), BODY)).await;
        assert_eq!(response.status().as_u16(), status, "{path} {secret}");
    }
    let sources = [records.recv().await.unwrap(), records.recv().await.unwrap()].map(|record| record.source);
    assert_eq!(sources.map(|name| name.to_string()), ["b", "shop"]);
}

#[tokio::test]
async fn a_garbled_body_is_refused_before_anybody_looks_into_it() {
    let stage = stage(limits());
    let response = send(&stage.router, post("/webhooks/shop", &signature(BODY), b"not json")).await;
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn whenever_kafka_does_not_acknowledge_the_answer_is_503_with_retry_after() {
    use rdkafka::types::RDKafkaErrorCode::MessageSizeTooLarge;
    for rejected in [
        Rejected::Full,
        Rejected::Renewing,
        Rejected::Stopping,
        Rejected::Deadline,
        Rejected::Unplaced,
        Rejected::Kafka(MessageSizeTooLarge),
    ] {
        let stage = stage(limits());
        let _records = answering(stage.appends, Err(rejected));
        let response = send(&stage.router, genuine(BODY)).await;
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE, "{rejected}");
        assert_eq!(response.headers()["retry-after"], "5");
    }
}

#[tokio::test]
async fn an_answer_that_does_not_come_in_time_is_503() {
    let mut stage = stage(Limits { ack_timeout: Duration::from_millis(100), ..limits() });
    let response = send(&stage.router, genuine(BODY)).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    // The writer sees that nobody waits any more and spares Kafka the record.
    assert!(stage.appends.recv().await.unwrap().answer.is_closed());
}

#[tokio::test]
async fn a_full_queue_is_503_at_once_and_so_is_a_writer_that_is_gone() {
    let mut stage = stage(Limits { queue_records: 1, ..limits() });
    let waiting = tokio::spawn(stage.router.clone().oneshot(genuine(BODY)));
    while stage.appends.is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(send(&stage.router, genuine(BODY)).await.status(), StatusCode::SERVICE_UNAVAILABLE);
    drop(stage.appends.recv().await.unwrap());
    assert_eq!(
        waiting.await.unwrap().unwrap().status(),
        StatusCode::SERVICE_UNAVAILABLE,
        "an answer that was dropped is no 200"
    );
    drop(stage.appends);
    assert_eq!(send(&stage.router, genuine(BODY)).await.status(), StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn the_cap_is_kept_to_the_byte_and_room_for_bodies_is_given_back() {
    let stage = stage(limits());
    let _records = answering(stage.appends, at(0, 0));
    let free = stage.app.room.available_permits();
    let mut body = br#"{"id":"evt_1","pad":""#.to_vec();
    body.resize((1 << 20) - 2, b'x');
    body.extend(b"\"}");
    assert_eq!(body.len(), 1 << 20);
    assert_eq!(send(&stage.router, genuine(&body)).await.status(), StatusCode::OK);
    body.push(b' ');
    assert_eq!(send(&stage.router, genuine(&body)).await.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(stage.app.room.available_permits(), free);
}

#[tokio::test]
async fn without_room_for_its_body_a_request_gets_503() {
    let stage = stage(limits());
    let _all = stage.app.room.clone().acquire_many_owned(u32::try_from(stage.app.room.available_permits()).unwrap());
    let _held = _all.await.unwrap();
    let response = send(&stage.router, genuine(BODY)).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.headers()["retry-after"], "5");
}

#[tokio::test]
async fn other_methods_get_405_with_allow_and_other_paths_404_and_nothing_redirects() {
    let stage = stage(limits());
    for method in [Method::GET, Method::HEAD, Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS] {
        let request = Request::builder().method(&method).uri("/webhooks/shop").body(Body::empty()).unwrap();
        let response = send(&stage.router, request).await;
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED, "{method}");
        assert_eq!(response.headers()["allow"], "POST");
    }
    for path in [
        "/",
        "/webhooks",
        "/webhooks/",
        "/webhooks/shop/",
        "/webhooks/shop/x",
        "//webhooks/shop",
        "/webhooks/none",
        "/webhooks/..",
        "/webhooks/SHOP",
        "/webhooks/%ff",
        "/webhooks/shop%00",
        "/webhooks/shop%2f",
        "/webhooks/%2e%2e/shop",
        "/webhooks/sh%6",
    ] {
        let response = send(&stage.router, post(path, &signature(BODY), BODY)).await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn a_query_and_a_letter_written_in_percent_make_no_other_path() {
    let stage = stage(limits());
    let _records = answering(stage.appends, at(0, 0));
    for path in ["/webhooks/shop?a=b", "/webhooks/shop?", "/webhooks/sh%6Fp", "http://h:1/webhooks/shop"] {
        assert_eq!(send(&stage.router, post(path, &signature(BODY), BODY)).await.status(), StatusCode::OK, "{path}");
    }
}

#[tokio::test]
async fn it_is_alive_without_kafka_and_ready_only_with_it() {
    let stage = stage(limits());
    let get = |path: &str| Request::get(path).body(Body::empty()).unwrap();
    assert_eq!(send(&stage.router, get("/readyz")).await.status(), StatusCode::OK);
    stage.readiness.send_replace(Readiness::NotReady("topic hooklog.raw is not there".to_owned()));
    let response = send(&stage.router, get("/readyz")).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(text(response).await.contains("topic hooklog.raw is not there"));
    assert_eq!(send(&stage.router, get("/healthz")).await.status(), StatusCode::OK);
}
