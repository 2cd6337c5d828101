//! What HTTP allows its clients, on real sockets: each gets its answer, and no body is taken for a request.

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::sockets::{answer, connect, exchange, request, rest, serve};
use super::*;
use crate::writer::Rejected;

const BODY: &str = r#"{"id":"evt_1"}"#;
const SOON: Duration = Duration::from_millis(150);

fn signed_post(version: &str, more: &str, body: &[u8]) -> Vec<u8> {
    let head =
        format!("POST /webhooks/shop {version}\r\nhost: x\r\nstripe-signature: {}\r\n{more}\r\n\r\n", signature(body));
    head.into_bytes()
}

fn with_length(body: &str) -> String {
    format!("content-length: {}", body.len())
}

async fn next_of(appends: &mut mpsc::Receiver<Append>) -> Append {
    tokio::time::timeout(LONG, appends.recv()).await.expect("a request reaches the queue").unwrap()
}

async fn talk(client: &mut TcpStream, bytes: &[u8]) -> String {
    client.write_all(bytes).await.unwrap();
    answer(client).await
}

#[tokio::test]
async fn requests_that_are_sent_without_waiting_are_answered_in_their_order() {
    let server = serve(limits()).await;
    let mut appends = server.appends;
    let mut client = connect(server.address).await;
    let all: String = (0..3).map(|n| request(&format!(r#"{{"id":"evt_{n}"}}"#))).collect();
    client.write_all(all.as_bytes()).await.unwrap();
    for n in 0..3 {
        let append = next_of(&mut appends).await;
        assert_eq!(append.record.id, format!("evt_{n}"));
        append.answer.send(at(0, n)).unwrap();
        assert!(answer(&mut client).await.ends_with(&format!(r#"{{"id":"evt_{n}","position":"raw/0/{n}"}}"#)));
    }
}

/// A body that nobody read must not become the next request, and a refusal is no reason to hang up.
#[tokio::test]
async fn after_any_refusal_the_next_request_of_the_connection_is_judged_by_itself() {
    let server = serve(limits()).await;
    let mut records = answering(server.appends, at(0, 0));
    let inner = request(r#"{"id":"evt_smuggled"}"#);
    let refused = |line: &str| format!("{line} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{inner}", inner.len());
    for (line, status) in [
        ("POST /webhooks/shop", "400"),
        ("POST /webhooks/none", "404"),
        ("POST /elsewhere", "404"),
        ("PUT /webhooks/shop", "405"),
        ("POST /healthz", "405"),
    ] {
        let mut client = connect(server.address).await;
        client.write_all(refused(line).as_bytes()).await.unwrap();
        client.write_all(request(BODY).as_bytes()).await.unwrap();
        client.shutdown().await.unwrap();
        let got = rest(client).await;
        assert!(got.starts_with(&format!("HTTP/1.1 {status}")), "{line}: {got}");
        assert!(got.matches("HTTP/1.1").count() == 2 && got.ends_with(r#""raw/0/0"}"#), "{line}: {got}");
        assert_eq!(records.recv().await.unwrap().id, "evt_1");
    }
    assert!(records.try_recv().is_err());
}

#[tokio::test]
async fn a_connection_lives_on_after_422_and_503() {
    let server = serve(limits()).await;
    let mut appends = server.appends;
    let mut client = connect(server.address).await;
    assert!(talk(&mut client, request("[]").as_bytes()).await.starts_with("HTTP/1.1 422"));
    client.write_all(request(BODY).as_bytes()).await.unwrap();
    next_of(&mut appends).await.answer.send(Err(Rejected::Full)).unwrap();
    assert!(answer(&mut client).await.starts_with("HTTP/1.1 503"));
    client.write_all(request(BODY).as_bytes()).await.unwrap();
    next_of(&mut appends).await.answer.send(at(0, 5)).unwrap();
    assert!(answer(&mut client).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_client_that_closes_its_sending_side_still_gets_kafkas_word() {
    let server = serve(limits()).await;
    let mut appends = server.appends;
    let mut client = connect(server.address).await;
    client.write_all(request(BODY).as_bytes()).await.unwrap();
    client.shutdown().await.unwrap();
    let append = next_of(&mut appends).await;
    let waiting = tokio::spawn(rest(client));
    // Long enough for the end of the stream to have been seen.
    for _ in 0..500 {
        tokio::task::yield_now().await;
    }
    append.answer.send(at(0, 7)).expect("somebody waits for it");
    let got = waiting.await.unwrap();
    assert!(got.starts_with("HTTP/1.1 200") && got.ends_with(r#""raw/0/7"}"#), "{got}");
}

#[tokio::test]
async fn a_client_that_hangs_up_costs_nobody_else_anything() {
    let server = serve(limits()).await;
    let mut appends = server.appends;
    let mut client = connect(server.address).await;
    client.write_all(request(BODY).as_bytes()).await.unwrap();
    let append = next_of(&mut appends).await;
    drop(client);
    let _ = append.answer.send(at(0, 7));
    let mut next = connect(server.address).await;
    next.write_all(request(BODY).as_bytes()).await.unwrap();
    next_of(&mut appends).await.answer.send(at(0, 8)).unwrap();
    assert!(answer(&mut next).await.ends_with(r#""raw/0/8"}"#));
}

#[tokio::test]
async fn who_asks_before_sending_is_told_to_go_on_or_why_not() {
    let server = serve(limits()).await;
    let _records = answering(server.appends, at(0, 0));
    let mut client = connect(server.address).await;
    let more = format!("expect: 100-continue\r\nconnection: close\r\n{}", with_length(BODY));
    client.write_all(&signed_post("HTTP/1.1", &more, BODY.as_bytes())).await.unwrap();
    let mut word = [0; 25];
    tokio::time::timeout(LONG, tokio::io::AsyncReadExt::read_exact(&mut client, &mut word)).await.unwrap().unwrap();
    assert_eq!(&word, b"HTTP/1.1 100 Continue\r\n\r\n");
    client.write_all(BODY.as_bytes()).await.unwrap();
    assert!(rest(client).await.starts_with("HTTP/1.1 200"));
    let more = format!("expect: 100-continue\r\ncontent-length: {}", (1 << 20) + 1);
    let got = exchange(connect(server.address).await, &signed_post("HTTP/1.1", &more, b"")).await;
    assert!(got.starts_with("HTTP/1.1 413"), "{got}");
    let got = exchange(
        connect(server.address).await,
        b"POST /webhooks/none HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 9\r\n\r\n",
    )
    .await;
    assert!(got.starts_with("HTTP/1.1 404"), "{got}");
}

#[tokio::test]
async fn a_body_that_is_announced_too_large_and_never_comes_is_413_and_not_408() {
    let server = serve(Limits { body_timeout: SOON, ..limits() }).await;
    let more = format!("content-length: {}", (1 << 20) + 1);
    let got = exchange(connect(server.address).await, &signed_post("HTTP/1.1", &more, b"")).await;
    assert!(got.starts_with("HTTP/1.1 413"), "{got}");
}

#[tokio::test]
async fn the_old_http_is_understood_and_its_connection_closed() {
    let server = serve(limits()).await;
    let _records = answering(server.appends, at(0, 0));
    let post = [signed_post("HTTP/1.0", &with_length(BODY), BODY.as_bytes()), BODY.into()].concat();
    let got = exchange(connect(server.address).await, &post).await;
    assert!(got.starts_with("HTTP/1.0 200"), "{got}");
}

#[tokio::test]
async fn chunks_with_extensions_and_trailers_make_up_the_body_byte_for_byte() {
    let server = serve(limits()).await;
    let mut records = answering(server.appends, at(0, 0));
    let body = "\u{feff}{\"id\":\r\n\"evt_1\"}\r\n";
    let head = signed_post("HTTP/1.1", "connection: close\r\ntransfer-encoding: chunked", body.as_bytes());
    let (first, second) = body.as_bytes().split_at(9);
    let chunks = [
        format!("{:X};name=value\r\n", first.len()).as_bytes(),
        first,
        format!("\r\n0{:x}\r\n", second.len()).as_bytes(),
        second,
        b"\r\n0\r\nstripe-signature: t=1,v1=00\r\n\r\n",
    ]
    .concat();
    let got = exchange(connect(server.address).await, &[head, chunks].concat()).await;
    assert!(got.starts_with("HTTP/1.1 200"), "{got}");
    assert_eq!(records.recv().await.unwrap().body, body.as_bytes());
}

/// HMAC is over the bytes that came; nothing unpacks them first.
#[tokio::test]
async fn what_the_head_says_of_the_bodys_encoding_changes_nothing() {
    let server = serve(limits()).await;
    let mut records = answering(server.appends, at(0, 0));
    for (more, body, status) in [
        ("content-encoding: gzip", BODY.as_bytes(), "200"),
        ("content-type: text/plain; charset=utf-16", BODY.as_bytes(), "200"),
        ("content-encoding: gzip", b"\x1f\x8b\x08\0\0\0\0\0", "422"),
    ] {
        let more = format!("connection: close\r\n{more}\r\ncontent-length: {}", body.len());
        let whole = [signed_post("HTTP/1.1", &more, body), body.to_vec()].concat();
        let got = exchange(connect(server.address).await, &whole).await;
        assert!(got.starts_with(&format!("HTTP/1.1 {status}")), "{got}");
    }
    assert_eq!(records.recv().await.unwrap().body, BODY);
}

#[tokio::test]
async fn a_signature_of_bytes_that_are_no_text_is_a_bad_one_and_other_such_headers_do_not_matter() {
    let server = serve(limits()).await;
    let _records = answering(server.appends, at(0, 0));
    for (header, status) in [
        (&b"stripe-signature: t=1,v1=\xff\xfe"[..], "400"),
        (b"stripe-signature: \xef\xbb\xbft=1,v1=00", "400"),
        (b"stripe-signature:", "400"),
    ] {
        let whole = [
            b"POST /webhooks/shop HTTP/1.1\r\nhost: x\r\nconnection: close\r\n",
            header,
            b"\r\ncontent-length: 2\r\n\r\n{}",
        ]
        .concat();
        let got = exchange(connect(server.address).await, &whole).await;
        assert!(got.starts_with(&format!("HTTP/1.1 {status}")), "{header:?}: {got}");
    }
    let head = signed_post("HTTP/1.1", &format!("connection: close\r\n{}", with_length(BODY)), BODY.as_bytes());
    let odd = [&head[..head.len() - 2], b"traceparent: \xff\xe9\r\nx-name: Zo\xeb\r\n\r\n", BODY.as_bytes()].concat();
    let got = exchange(connect(server.address).await, &odd).await;
    assert!(got.starts_with("HTTP/1.1 200"), "{got}");
}
