//! Real sockets: what a slow, greedy or broken client gets, and what it costs.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::*;

const BODY: &str = r#"{"id":"evt_1"}"#;
const SOON: Duration = Duration::from_millis(150);

pub(super) struct Served {
    pub(super) address: SocketAddr,
    pub(super) appends: mpsc::Receiver<Append>,
    app: Arc<App>,
    stop: CancellationToken,
    served: JoinHandle<std::io::Result<()>>,
}

pub(super) async fn serve(limits: Limits) -> Served {
    serve_at("127.0.0.1:0", limits).await
}

async fn serve_at(address: &str, limits: Limits) -> Served {
    let stage = stage(limits);
    let listener = TcpListener::bind(address).await.unwrap();
    let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
    let (router, limits, token) = (stage.router, stage.limits, stop.clone());
    let served = tokio::spawn(async move { listen(listener, router, &limits, token).await });
    Served { address, appends: stage.appends, app: stage.app, stop, served }
}

pub(super) async fn connect(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).await.unwrap()
}

/// Writes `bytes` and reads until the server closes. A reset counts as closed: the rest was not wanted.
pub(super) async fn exchange(mut client: TcpStream, bytes: &[u8]) -> String {
    let _ = client.write_all(bytes).await;
    rest(client).await
}

pub(super) async fn rest(mut client: TcpStream) -> String {
    let mut got = Vec::new();
    let _ = timeout(LONG, client.read_to_end(&mut got)).await.expect("the server closes the connection");
    String::from_utf8_lossy(&got).into_owned()
}

/// Reads one answer of a connection that stays open.
pub(super) async fn answer(client: &mut TcpStream) -> String {
    let mut got = Vec::new();
    while !got.ends_with(b"}") && !got.ends_with(b"\r\n\r\n0") {
        let mut some = [0; 1024];
        let count = timeout(LONG, client.read(&mut some)).await.expect("an answer").unwrap();
        assert!(count > 0, "closed after {:?}", String::from_utf8_lossy(&got));
        got.extend(&some[..count]);
    }
    String::from_utf8(got).unwrap()
}

pub(super) fn request(body: &str) -> String {
    let (signature, length) = (signature(body.as_bytes()), body.len());
    format!(
        "POST /webhooks/shop HTTP/1.1\r\nhost: x\r\nstripe-signature: {signature}\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

fn head(more: &str) -> String {
    format!("POST /webhooks/shop HTTP/1.1\r\nhost: x\r\nstripe-signature: t=1,v1=00\r\n{more}\r\n\r\n")
}

#[tokio::test]
async fn a_client_that_says_nothing_is_disconnected() {
    let server = serve(Limits { header_timeout: SOON, ..limits() }).await;
    assert_eq!(exchange(connect(server.address).await, b"").await, "");
}

#[tokio::test]
async fn a_client_that_never_ends_its_headers_is_disconnected() {
    let server = serve(Limits { header_timeout: SOON, ..limits() }).await;
    exchange(connect(server.address).await, b"POST /webhooks/shop HTTP/1.1\r\nhost: x\r\na: ").await;
}

#[tokio::test]
async fn a_client_that_drips_its_headers_byte_by_byte_is_disconnected() {
    let server = serve(Limits { header_timeout: SOON, ..limits() }).await;
    let (reader, mut writer) = connect(server.address).await.into_split();
    let dripping = tokio::spawn(async move {
        loop {
            if writer.write_all(b"a").await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    timeout(LONG, dripping).await.expect("the server closes the connection").unwrap();
    drop(reader);
}

#[tokio::test]
async fn a_kept_alive_connection_without_a_next_request_is_disconnected() {
    let server = serve(Limits { header_timeout: SOON, ..limits() }).await;
    let _records = answering(server.appends, at(0, 0));
    let got = exchange(connect(server.address).await, request(BODY).as_bytes()).await;
    assert!(got.starts_with("HTTP/1.1 200"), "{got}");
}

#[tokio::test]
async fn a_body_that_does_not_arrive_in_time_gets_408_and_its_connection_is_closed() {
    let server = serve(Limits { body_timeout: SOON, ..limits() }).await;
    let got = exchange(connect(server.address).await, (head("content-length: 100") + "{").as_bytes()).await;
    assert!(got.starts_with("HTTP/1.1 408"), "{got}");
    let got =
        exchange(connect(server.address).await, (head("transfer-encoding: chunked") + "1\r\n{\r\n").as_bytes()).await;
    assert!(got.starts_with("HTTP/1.1 408"), "{got}");
}

#[tokio::test]
async fn a_body_above_the_cap_gets_413_announced_or_not() {
    let server = serve(Limits { body_bytes: 10_000, ..limits() }).await;
    let free = server.app.room.available_permits();
    let announced = head("content-length: 10001") + &"x".repeat(10_001);
    let got = exchange(connect(server.address).await, announced.as_bytes()).await;
    assert!(got.starts_with("HTTP/1.1 413"), "{got}");
    let chunk = format!("3e8\r\n{}\r\n", "x".repeat(1000));
    let chunked = head("transfer-encoding: chunked") + &chunk.repeat(11) + "0\r\n\r\n";
    let got = exchange(connect(server.address).await, chunked.as_bytes()).await;
    assert!(got.starts_with("HTTP/1.1 413"), "{got}");
    assert_eq!(server.app.room.available_permits(), free);
}

#[tokio::test]
async fn the_cap_holds_to_the_byte_for_a_body_of_unannounced_length() {
    let server = serve(Limits { body_bytes: 10_000, ..limits() }).await;
    let chunk = format!("3e8\r\n{}\r\n", "x".repeat(1000));
    // The signature is wrong: 400 means that the whole body was read.
    for (last, status) in [("", "HTTP/1.1 400"), ("1\r\nx\r\n", "HTTP/1.1 413")] {
        let request = head("connection: close\r\ntransfer-encoding: chunked") + &chunk.repeat(10) + last + "0\r\n\r\n";
        let got = exchange(connect(server.address).await, request.as_bytes()).await;
        assert!(got.starts_with(status), "{last:?}: {got}");
    }
}

#[tokio::test]
async fn a_body_without_end_is_cut_off_and_never_kept() {
    let server = serve(Limits { body_bytes: 10_000, ..limits() }).await;
    let (reader, mut writer) = connect(server.address).await.into_split();
    writer.write_all(head("transfer-encoding: chunked").as_bytes()).await.unwrap();
    let chunk = format!("3e8\r\n{}\r\n", "x".repeat(1000));
    let flood = tokio::spawn(async move { while writer.write_all(chunk.as_bytes()).await.is_ok() {} });
    timeout(LONG, flood).await.expect("the server closes the connection").unwrap();
    drop(reader);
}

#[tokio::test]
async fn an_announcement_of_a_huge_body_is_answered_without_waiting_for_it() {
    let server = serve(limits()).await;
    let got = exchange(connect(server.address).await, head("content-length: 9000000000").as_bytes()).await;
    assert!(got.starts_with("HTTP/1.1 413"), "{got}");
}

#[tokio::test]
async fn a_truncated_body_reaches_nobody() {
    let mut server = serve(limits()).await;
    let mut client = connect(server.address).await;
    let whole = request(BODY);
    client.write_all(&whole.as_bytes()[..whole.len() - 1]).await.unwrap();
    client.shutdown().await.unwrap();
    rest(client).await;
    assert!(server.appends.try_recv().is_err());
}

#[tokio::test]
async fn garbage_is_answered_400_at_most_and_the_connection_is_closed() {
    let server = serve(limits()).await;
    for garbage in [
        "\x16\x03\x01\x02\x00\x01\x00",
        "GET / HTTP/9.9\r\n\r\n",
        "hello\r\n\r\n",
        "\0\0\0\0\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let got = exchange(connect(server.address).await, garbage.as_bytes()).await;
        assert!(got.is_empty() || got.starts_with("HTTP/1.1 4"), "{garbage:?}: {got}");
    }
    let smuggled = head("content-length: 5\r\ncontent-length: 6") + "12345";
    assert!(exchange(connect(server.address).await, smuggled.as_bytes()).await.starts_with("HTTP/1.1 400"));
}

#[tokio::test]
async fn headers_above_their_caps_get_431() {
    let server = serve(limits()).await;
    let many = "GET /healthz HTTP/1.1\r\n".to_owned() + &"a: b\r\n".repeat(65) + "\r\n";
    let large = format!("GET /healthz HTTP/1.1\r\na: {}\r\n\r\n", "b".repeat(17 << 10));
    for request in [many, large] {
        let got = exchange(connect(server.address).await, request.as_bytes()).await;
        assert!(got.starts_with("HTTP/1.1 431"), "{got}");
    }
}

/// Each byte comes in time, the whole does not.
#[tokio::test]
async fn a_body_that_drips_gets_408() {
    let server = serve(Limits { body_timeout: SOON, ..limits() }).await;
    let (reader, mut writer) = connect(server.address).await.into_split();
    writer.write_all(head("content-length: 1000000").as_bytes()).await.unwrap();
    tokio::spawn(async move {
        while writer.write_all(b"{").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    let mut got = [0; 12];
    let mut reader = reader;
    timeout(LONG, reader.read_exact(&mut got)).await.expect("an answer").unwrap();
    assert_eq!(&got, b"HTTP/1.1 408");
}

#[tokio::test]
async fn it_listens_on_ipv6_as_well() {
    let server = serve_at("[::1]:0", limits()).await;
    let _records = answering(server.appends, at(0, 0));
    let mut client = connect(server.address).await;
    client.write_all(request(BODY).as_bytes()).await.unwrap();
    assert!(answer(&mut client).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn above_the_cap_a_connection_waits_until_another_one_ends() {
    let server = serve(Limits { connections: 1, ..limits() }).await;
    let mut records = answering(server.appends, at(0, 0));
    let mut first = connect(server.address).await;
    first.write_all(request(r#"{"id":"evt_first"}"#).as_bytes()).await.unwrap();
    answer(&mut first).await;
    let mut second = connect(server.address).await;
    second.write_all(request(r#"{"id":"evt_second"}"#).as_bytes()).await.unwrap();
    for _ in 0..50 {
        first.write_all(request(r#"{"id":"evt_first"}"#).as_bytes()).await.unwrap();
        answer(&mut first).await;
    }
    drop(first);
    answer(&mut second).await;
    let mut order = Vec::new();
    while let Ok(record) = records.try_recv() {
        order.push(record.id);
    }
    assert_eq!((order.len(), order.iter().position(|id| id == "evt_second")), (52, Some(51)));
}

#[tokio::test]
async fn a_connection_is_closed_when_its_life_is_over_after_its_current_answer() {
    let server = serve(Limits { connection_life: SOON, ..limits() }).await;
    let mut appends = server.appends;
    let client = tokio::spawn(exchange(connect(server.address).await, request(BODY).leak().as_bytes()));
    let append = appends.recv().await.unwrap();
    // One that came later and asks nothing is closed when its own life is over: by then that of the first one is, too, while
    // its request is under way.
    assert_eq!(rest(connect(server.address).await).await, "");
    append.answer.send(at(0, 7)).unwrap();
    let got = client.await.unwrap();
    assert!(got.starts_with("HTTP/1.1 200") && got.ends_with(r#""raw/0/7"}"#), "{got}");
}

#[tokio::test]
async fn when_it_stops_what_is_under_way_is_answered_and_nobody_new_is_let_in() {
    let mut server = serve(limits()).await;
    let _idle = connect(server.address).await;
    let client = tokio::spawn(exchange(connect(server.address).await, request(BODY).leak().as_bytes()));
    let append = server.appends.recv().await.unwrap();
    server.stop.cancel();
    let refused = async {
        while TcpStream::connect(server.address).await.is_ok() {
            tokio::task::yield_now().await
        }
    };
    timeout(LONG, refused).await.expect("the listener closes");
    assert!(!server.served.is_finished());
    append.answer.send(at(0, 7)).unwrap();
    assert!(client.await.unwrap().starts_with("HTTP/1.1 200"));
    timeout(LONG, server.served).await.expect("it ends").unwrap().unwrap();
}

#[tokio::test]
async fn when_it_stops_a_request_that_does_not_finish_is_cut_and_gets_no_200() {
    let mut server = serve(Limits { drain: SOON, ..limits() }).await;
    let client = tokio::spawn(exchange(connect(server.address).await, request(BODY).leak().as_bytes()));
    let append = server.appends.recv().await.unwrap();
    server.stop.cancel();
    timeout(LONG, server.served).await.expect("it ends").unwrap().unwrap();
    assert_eq!(client.await.unwrap(), "");
    assert!(append.answer.is_closed());
}
