//! Ends and refusals: in order, in time, with an exit code and a sentence; and the services as processes of their own.

use std::collections::BTreeSet;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use hooklog_oracle::Oracle;
use hooklog_test_support::{Broker, Site, wait_until};
use rustix::process::Signal;

const HOOKLOG: &str = env!("CARGO_BIN_EXE_hooklog");
const IN_ORDER: Duration = Duration::from_secs(10);
const ANYWHERE: &str = "127.0.0.1:0";
/// How many bodies of webhooks were read whole, among the metrics.
const BODIES: &str = "hooklog_ingest_body_bytes_count{source=\"stripe\"}";

#[test]
fn sigterm_stops_everything_within_ten_seconds_and_the_broker_with_it() {
    let site = Site::alone(HOOKLOG);
    let up = site.up();
    site.send(&["--events", "50", "--seed", "2"]);
    let broker = up.broker();
    let began = Instant::now();
    let status = up.program.stop();
    assert!(status.success(), "{status}");
    assert!(began.elapsed() < IN_ORDER, "{:?}", began.elapsed());
    assert!(!broker.is_alive(), "the broker lives on");
    assert!(!site.data_dir().join("run.json").exists(), "run.json still says that it runs");
    let again = site.up();
    let (raw, events) = site.processed(again.brokers());
    assert_eq!((raw.len(), events.len()), (50, 50));
}

/// Whoever has sent nothing, or half a request, to any of the ports; and a webhook that waits for its acknowledgement.
#[test]
fn half_sent_requests_do_not_hold_up_a_stop_and_a_webhook_that_is_under_way_gets_its_answer() {
    let site = Site::alone(HOOKLOG);
    let up = site.up();
    assert_eq!(up.post(b"{\"id\":\"evt_1\"}").status, 200);
    let tcp = |of: &str, half: &str| {
        let mut client = TcpStream::connect(up.address(of).trim_start_matches("http://")).unwrap();
        client.write_all(half.as_bytes()).unwrap();
        client
    };
    let mut admin = UnixStream::connect(site.data_dir().join("admin.sock")).unwrap();
    admin.write_all(b"GET /status HT").unwrap();
    let _half = (
        tcp("ingest", ""),
        tcp("ingest", "POST /webhooks/stripe HTTP/1.1\r\nhost: x\r\n"),
        tcp("ingest", "POST /webhooks/stripe HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{"),
        tcp("query", ""),
        tcp("query", "GET /healthz HTTP/1.1\r\nho"),
    );
    let broker = up.broker();
    // Nothing is acknowledged while the broker stands still.
    broker.signal(Signal::STOP);
    let began = thread::scope(|scope| {
        let webhook = scope.spawn(|| up.post(b"{\"id\":\"evt_under_way\"}"));
        let bodies = || up.get("/metrics").body.lines().find_map(|line| line.strip_prefix(BODIES)?.trim().parse().ok());
        wait_until("the second webhook's body was read", || (bodies() == Some(2)).then_some(()));
        let began = Instant::now();
        up.program.process().signal(Signal::TERM);
        broker.signal(Signal::CONT);
        assert_eq!(webhook.join().unwrap().status, 200);
        began
    });
    let ended = up.program.ended();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(began.elapsed() < IN_ORDER, "{:?}", began.elapsed());
    assert!(!broker.is_alive() && site.recorded_broker().is_none(), "the broker did not stop in order");
    assert!(!site.data_dir().join("broker/process.json").exists(), "the broker had to be killed");
}

#[test]
fn a_second_up_on_the_same_data_directory_is_refused_and_the_first_one_goes_on() {
    let site = Site::on(Broker::shared(HOOKLOG), HOOKLOG);
    let first = site.up();
    let refused = site.try_up(&[]).expect_err("two on one data directory");
    assert_eq!(refused.code, Some(3), "{refused}");
    let pid = first.program.process().pid;
    assert!(refused.stderr.contains(&format!("pid {pid}")) && refused.stderr.contains("--data-dir"), "{refused}");
    assert_eq!(first.post(b"{\"id\":\"evt_1\"}").status, 200);
}

#[test]
fn a_port_that_is_taken_is_told_with_the_flag_to_give_and_nothing_is_left_running() {
    let taken = TcpListener::bind(ANYWHERE).unwrap();
    let address = taken.local_addr().unwrap();
    for (flag, value) in [
        ("--ingest-addr", address.to_string()),
        ("--query-addr", address.to_string()),
        ("--kafka-port", address.port().to_string()),
    ] {
        let site = Site::alone(HOOKLOG);
        let refused = site.try_up(&[flag, &value]).expect_err("it listens where another program does");
        assert_eq!(refused.code, Some(3), "{flag} {refused}");
        assert!(refused.stderr.contains(flag), "{flag} {refused}");
        assert!(refused.stderr.contains(&address.port().to_string()), "{flag} {refused}");
        assert!(site.recorded_broker().is_none(), "{flag}: its broker lives on");
    }
}

#[test]
fn three_processes_with_one_service_each_do_what_up_does() {
    let site = Site::on(Broker::shared(HOOKLOG), HOOKLOG);
    // The secret and the pinned partitions are there from an earlier `up`.
    assert!(site.up().program.stop().success());
    let start = |arguments: &[&str]| site.service(arguments).unwrap_or_else(|refused| panic!("{refused}"));
    let (ingest, process) = (start(&["ingest", "--ingest-addr", ANYWHERE]), start(&["process"]));
    let project = start(&["project", "--query-addr", ANYWHERE]);
    let sent = ["--events", "300", "--seed", "4", "--customers", "20"];
    let more = ["--duplicates", "0.2", "--shuffle", "--concurrency", "64"];
    site.send(&[&sent[..], &more, &["--url", ingest.address("ingest")]].concat());
    let (raw, events) = site.processed(process.brokers());
    assert_eq!((raw.len(), events.len()), (360, 300));
    project.views_follow();
    project.equals(&Oracle::from_ordered(site.bodies(&sent)), true);
    for service in [ingest, process, project] {
        assert!(service.program.stop().success());
    }
}

#[test]
fn while_its_broker_is_dead_ingest_answers_503_and_afterwards_200_again() {
    let site = Site::alone(HOOKLOG);
    let up = site.up();
    assert_eq!(up.post(b"{\"id\":\"evt_before\"}").status, 200);
    let first = up.broker();
    // Stopped before it is killed: whoever asks meanwhile finds nobody, however quick the restart is.
    first.signal(Signal::STOP);
    let during = up.post(b"{\"id\":\"evt_during\"}");
    assert_eq!((during.status, during.header("retry-after").is_some()), (503, true), "{during:?}");
    first.kill();
    wait_until("webhooks are taken in again", || (up.post(b"{\"id\":\"evt_after\"}").status == 200).then_some(()));
    assert_ne!(up.broker(), first);
    let (raw, events) = site.processed(up.brokers());
    let ids: BTreeSet<&str> = raw.iter().map(|record| record.key.as_str()).collect();
    assert!(ids.contains("evt_before") && ids.contains("evt_after"), "{ids:?}");
    // What was answered with 503 may be there nevertheless, and is then an event like any other: once.
    let emitted: BTreeSet<&str> = events.iter().map(|event| event.header("ce_id").unwrap()).collect();
    assert_eq!((&emitted, events.len()), (&ids, ids.len()));
    assert!(up.program.stop().success());
}
