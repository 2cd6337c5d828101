//! The whole command against a small server that is not always well.

mod server;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::Parser;
use serde_json::Value;
use server::{Manners, Server};

use super::{Args, execute};
use crate::settings::Common;

const SECRET: &str = "whsec_test";

/// The flags, as on the command line.
#[derive(Parser)]
pub(super) struct Command {
    #[command(flatten)]
    pub(super) common: Common,
    #[command(flatten)]
    pub(super) args: Args,
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
    let Command { common, args } = Command::try_parse_from([&["send"], flags].concat()).expect("the flags are right");
    let (mut out, mut errors) = (Vec::new(), Vec::new());
    let code = execute(&args, &common, &mut out, &mut errors).expect("nothing unforeseen");
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

#[test]
fn what_the_configuration_says_is_where_it_goes_and_what_signs_it() {
    let server = Server::start(Manners::default());
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("h.toml");
    let config = format!(
        "data_dir = \"d\"\ningest_addr = \"{}\"\n[sources.stripe]\nsecret_files = [\"secret\"]\n",
        server.address
    );
    std::fs::write(&path, config).expect("it is ours");
    std::fs::write(dir.path().join("secret"), format!("{SECRET}\n")).expect("it is ours");
    let ended = send(&["--config", path.to_str().expect("UTF-8"), "--events", "20", "--json"]);
    assert_eq!((ended.code, server.seen().acked.len()), (0, 20), "{}", ended.errors);
    assert_eq!(server.seen().wrong_signatures, 0);
    std::fs::write(&path, "ingest_adr = 1").expect("it is ours");
    let refused = send(&["--config", path.to_str().expect("UTF-8"), "--events", "20"]);
    assert!(refused.code == 2 && refused.errors.contains("did you mean ingest_addr?"), "{}", refused.errors);
}

/// Bodies, as they arrived, by how often; their order is the network's.
fn arrived(flags: &[&str]) -> BTreeMap<Bytes, usize> {
    let server = Server::start(Manners::default());
    assert_eq!(send_to(server.address, flags).code, 0);
    let mut bodies = BTreeMap::new();
    for body in &server.seen().acked {
        *bodies.entry(body.clone()).or_default() += 1;
    }
    bodies
}

#[test]
fn the_same_seed_posts_the_same_bytes_however_many_at_once_and_prints_them() {
    let flags = ["--events", "200", "--duplicates", "0.3", "--shuffle", "--seed", "9"];
    let one = arrived(&[&flags[..], &["--concurrency", "1"]].concat());
    let many = arrived(&[&flags[..], &["--concurrency", "64"]].concat());
    let paced = arrived(&[&flags[..], &["--rate", "5000"]].concat());
    assert_eq!(one.values().sum::<usize>(), 260);
    assert!(one == many && one == paced);
    let mut printed = BTreeMap::new();
    for line in send(&[&flags[..], &["--print"]].concat()).out.lines() {
        *printed.entry(Bytes::from(line.to_owned())).or_default() += 1;
    }
    assert!(printed == one);
    assert!(arrived(&["--events", "200", "--duplicates", "0.3", "--shuffle", "--seed", "8"]) != one);
}

#[test]
fn a_server_that_asks_for_patience_is_not_asked_again_before() {
    let server = Server::start(Manners { unready_every: 1, asks_for: "1", ..Manners::default() });
    let began = Instant::now();
    let ended = send_to(server.address, &["--events", "3", "--retry"]);
    assert_eq!((ended.code, &ended.report()["by_status"]["503"]), (0, &3.into()));
    assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
}

#[test]
fn a_server_that_goes_away_in_the_middle_costs_acks_and_the_answer_is_no() {
    let server = Server::start(Manners { closes_after: 5, ..Manners::default() });
    let ended = send_to(server.address, &["--events", "50", "--concurrency", "1"]);
    let report = ended.report();
    assert_eq!((ended.code, &report["posts"]), (1, &50.into()), "{}", ended.errors);
    assert!(report["acked"].as_u64().is_some_and(|acked| acked > 0 && acked < 50), "{report}");
    assert!(ended.errors.contains("not acknowledged"), "{}", ended.errors);
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
