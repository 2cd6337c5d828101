//! The whole command against a small server that is not always well.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use bytes::Bytes;
use clap::Parser;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use serde_json::Value;

use super::{Args, execute, signature};

const SECRET: &str = "whsec_test";

/// How the server behaves; counted per body, so that a repeat of an attempt can go better.
#[derive(Clone, Copy, Default)]
struct Manners {
    /// Answer 503 to the first attempt of every so many bodies.
    unready_every: usize,
    /// Answer 422 to bodies of this type.
    unusable: &'static str,
    /// Close so many connections before reading anything.
    closes_first: usize,
}

#[derive(Default)]
struct Seen {
    attempts: HashMap<Bytes, usize>,
    bodies: usize,
    acked: Vec<Bytes>,
    connections: usize,
    wrong_signatures: usize,
}

struct Server {
    address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    /// Dropped with the server: its thread ends.
    _runtime: tokio::runtime::Runtime,
}

impl Server {
    fn start(manners: Manners) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let address = listener.local_addr().expect("bound");
        let seen = Arc::new(Mutex::new(Seen::default()));
        let app = Router::new().route("/webhooks/stripe", post(answer)).with_state((seen.clone(), manners));
        runtime.spawn(accept(listener, app, seen.clone(), manners.closes_first));
        Self { address, seen, _runtime: runtime }
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().expect("no handler panicked")
    }
}

async fn accept(listener: tokio::net::TcpListener, app: Router, seen: Arc<Mutex<Seen>>, closes_first: usize) {
    while let Ok((stream, _)) = listener.accept().await {
        let number = {
            let mut seen = seen.lock().expect("no handler panicked");
            seen.connections += 1;
            seen.connections
        };
        if number > closes_first {
            let service = TowerToHyperService::new(app.clone());
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    }
}

async fn answer(
    State((seen, manners)): State<(Arc<Mutex<Seen>>, Manners)>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, [(&'static str, &'static str); 1], &'static str) {
    let mut seen = seen.lock().expect("no handler panicked");
    seen.wrong_signatures += usize::from(!is_signed(&headers, &body));
    if !seen.attempts.contains_key(&body) {
        seen.bodies += 1;
    }
    let number = seen.bodies;
    let attempts = seen.attempts.entry(body.clone()).or_default();
    *attempts += 1;
    let is_first = *attempts == 1;
    let code = if is_first && manners.unready_every > 0 && number.is_multiple_of(manners.unready_every) {
        StatusCode::SERVICE_UNAVAILABLE
    } else if !manners.unusable.is_empty() && String::from_utf8_lossy(&body).contains(manners.unusable) {
        StatusCode::UNPROCESSABLE_ENTITY
    } else {
        seen.acked.push(body);
        StatusCode::OK
    };
    (code, [("retry-after", "0")], "said the server")
}

fn is_signed(headers: &HeaderMap, body: &[u8]) -> bool {
    let header = headers.get("stripe-signature").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let time = header.strip_prefix("t=").and_then(|rest| rest.split(',').next()).and_then(|time| time.parse().ok());
    time.is_some_and(|time| signature::header(SECRET.as_bytes(), time, body) == header)
}

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    args: Args,
}

struct Ended {
    code: u8,
    out: String,
    errors: String,
}

impl Ended {
    fn report(&self) -> Value {
        serde_json::from_str(&self.out).expect("--json prints one object")
    }
}

fn send(flags: &[&str]) -> Ended {
    let args = Command::try_parse_from([&["send"], flags].concat()).expect("the flags are right").args;
    let (mut out, mut errors) = (Vec::new(), Vec::new());
    let code = execute(&args, &mut out, &mut errors).expect("nothing unforeseen");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    Ended { code, out: text(out), errors: text(errors) }
}

fn send_to(address: SocketAddr, flags: &[&str]) -> Ended {
    let url = format!("http://{address}/webhooks/stripe");
    send(&[&["--url", &url, "--secret", SECRET, "--json"], flags].concat())
}

/// Bound, so that nobody else gets it meanwhile, but not listening.
fn port_without_listener() -> (tokio::net::TcpSocket, SocketAddr) {
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a free port");
    let address = socket.local_addr().expect("bound");
    (socket, address)
}

fn id(body: &[u8]) -> String {
    let event: Value = serde_json::from_slice(body).expect("JSON");
    event["id"].as_str().expect("an id").to_owned()
}

#[test]
fn with_retry_everything_is_acknowledged_in_the_end_and_written_down_once() {
    let server = Server::start(Manners { unready_every: 3, closes_first: 2, ..Manners::default() });
    let dir = tempfile::tempdir().expect("a temporary directory");
    let acks = dir.path().join("acks");
    let flags =
        ["--events", "300", "--duplicates", "0.2", "--shuffle", "--retry", "--acks", acks.to_str().expect("UTF-8")];
    let ended = send_to(server.address, &flags);
    let report = ended.report();
    assert_eq!(ended.code, 0, "{}", ended.errors);
    assert_eq!((&report["events"], &report["posts"]), (&300.into(), &360.into()));
    assert_eq!(
        (&report["acked"], &report["not_acked"], &report["acked_events"]),
        (&360.into(), &0.into(), &300.into())
    );
    assert_eq!(report["by_status"]["200"], 360);
    assert!(report["by_status"]["503"].as_u64().is_some_and(|count| count >= 100), "{report}");
    let seen = server.seen();
    let sent: BTreeSet<_> = seen.acked.iter().map(|body| id(body)).collect();
    let written = std::fs::read_to_string(&acks).expect("the file is there");
    assert_eq!(written.lines().count(), 300);
    assert_eq!(written.lines().map(str::to_owned).collect::<BTreeSet<_>>(), sent);
    assert_eq!((seen.acked.len(), seen.wrong_signatures), (360, 0));
}

#[test]
fn without_retry_what_was_refused_is_counted_and_the_answer_is_no() {
    let server = Server::start(Manners { unready_every: 3, ..Manners::default() });
    let ended = send_to(server.address, &["--events", "90", "--concurrency", "1"]);
    let report = ended.report();
    assert_eq!(ended.code, 1);
    assert_eq!((&report["acked"], &report["not_acked"]), (&60.into(), &30.into()));
    assert!(
        ended.errors.contains("30 not acknowledged") && ended.errors.contains("503: said the server"),
        "{}",
        ended.errors
    );
}

#[test]
fn what_the_server_judges_unusable_is_reported_and_not_tried_again() {
    let server = Server::start(Manners { unusable: "\"type\":\"customer.created\"", ..Manners::default() });
    let ended = send_to(server.address, &["--events", "250", "--customers", "10", "--retry"]);
    assert_eq!(ended.code, 1);
    assert_eq!(ended.report()["by_status"]["422"], 10);
    assert!(ended.errors.contains("10 not acknowledged"), "{}", ended.errors);
    assert!(server.seen().attempts.values().all(|attempts| *attempts == 1));
}

/// A few more than posts at once are normal: the client starts one while it waits for another to come free.
#[test]
fn connections_are_kept_and_not_made_anew_for_each_post() {
    let server = Server::start(Manners::default());
    assert_eq!(send_to(server.address, &["--events", "400", "--concurrency", "4"]).code, 0);
    let connections = server.seen().connections;
    assert!(connections <= 40, "{connections} connections for 400 posts");
}

#[test]
fn where_nobody_listens_the_way_out_is_named() {
    let (_held, address) = port_without_listener();
    for flags in [&["--events", "3"][..], &["--events", "3", "--retry", "--retry-for", "0"]] {
        let ended = send_to(address, flags);
        assert_eq!(ended.code, 3);
        assert!(ended.errors.contains("hooklog up"), "{}", ended.errors);
        assert!(ended.report()["not_acked"].as_u64().is_some_and(|count| count > 0), "{}", ended.out);
    }
}

#[test]
fn where_nobody_listens_not_every_event_is_tried_in_vain() {
    let (_held, address) = port_without_listener();
    let ended = send_to(address, &["--events", "10000", "--concurrency", "2"]);
    assert_eq!(ended.code, 3);
    assert!(ended.report()["posts"].as_u64().is_some_and(|posts| posts < 100), "{}", ended.out);
}

#[test]
fn a_body_of_ones_own_arrives_byte_for_byte() {
    let server = Server::start(Manners::default());
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("event.json");
    let body = "\u{feff}{ \"id\":\t\"evt_own\",\r\n\"name\" : \"Zoë\" }\r\n\n".as_bytes();
    std::fs::write(&path, body).expect("it is ours");
    let ended = send_to(server.address, &["--file", path.to_str().expect("UTF-8")]);
    assert_eq!(ended.code, 0, "{}", ended.errors);
    assert_eq!(server.seen().acked, [Bytes::from(body)]);
}

#[test]
fn a_file_that_breaks_off_is_wrong_use_but_what_went_is_reported() {
    let server = Server::start(Manners::default());
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("events.ndjson");
    std::fs::write(&path, "{\"id\":\"evt_1\"}\n{\"id\":\"evt_2\"}\n{\"id\":").expect("it is ours");
    let ended = send_to(server.address, &["--file", path.to_str().expect("UTF-8"), "--concurrency", "1"]);
    assert_eq!(ended.code, 2);
    assert!(ended.errors.contains("event 3 ends in the middle"), "{}", ended.errors);
}

#[test]
fn printing_writes_a_body_a_line_and_needs_no_server() {
    let ended = send(&["--print", "--events", "200", "--duplicates", "0.5", "--seed", "3"]);
    assert_eq!((ended.code, ended.out.lines().count()), (0, 300));
    let ids: BTreeSet<_> = ended.out.lines().map(|line| id(line.as_bytes())).collect();
    assert_eq!(ids.len(), 200);
    assert_eq!(ended.out, send(&["--print", "--events", "200", "--duplicates", "0.5", "--seed", "3"]).out);
}

#[test]
fn wrong_use_is_said_and_nothing_is_sent() {
    let ended = send(&["--url", "https://example.com/", "--secret", SECRET]);
    assert_eq!(ended.code, 2);
    assert!(ended.errors.contains("plain http"), "{}", ended.errors);
    assert!(!ended.errors.contains(SECRET));
    assert_eq!(send(&["--file", "/nonexistent/events"]).code, 2);
    assert!(Command::try_parse_from(["send", "--events", "0"]).is_err());
    assert!(Command::try_parse_from(["send", "--duplicates", "-1"]).is_err());
    assert!(Command::try_parse_from(["send", "--retry-for", "5"]).is_err());
}

/// The binary's common flags are global, and stand before or behind the command.
#[test]
fn flags_that_the_binary_shares_are_taken_from_either_place() {
    #[derive(Parser)]
    struct Binary {
        #[arg(long, global = true)]
        data_dir: Option<std::path::PathBuf>,
        #[arg(long, global = true)]
        json: bool,
        #[command(subcommand)]
        command: Sub,
    }
    #[derive(clap::Subcommand)]
    enum Sub {
        Send(Args),
    }
    for flags in [["h", "--data-dir", "d", "--json", "send"], ["h", "send", "--data-dir", "d", "--json"]] {
        let binary = Binary::try_parse_from(flags).expect("the flags are right");
        let Sub::Send(args) = binary.command;
        assert_eq!((args.json, args.data_dir), (true, Some("d".into())));
        assert_eq!((binary.json, binary.data_dir), (true, Some("d".into())));
    }
}

#[test]
fn at_a_rate_every_post_goes_out_and_no_attempt_is_left_out() {
    let server = Server::start(Manners::default());
    let ended = send_to(server.address, &["--events", "50", "--rate", "100000"]);
    assert_eq!((ended.code, server.seen().acked.len()), (0, 50));
}

#[test]
fn the_table_names_acks_and_latencies() {
    let server = Server::start(Manners::default());
    let url = format!("http://{}", server.address);
    let ended = send(&["--url", &url, "--secret", SECRET, "--events", "20"]);
    assert_eq!(ended.code, 0, "{}", ended.errors);
    for word in ["events", "posts", "200 acknowledged", "p50", "p90", "p99", "max", "a second"] {
        assert!(ended.out.contains(word), "{word}: {}", ended.out);
    }
}
