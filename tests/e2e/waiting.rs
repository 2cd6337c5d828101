//! Kafka is away: at the start of a service, and while it runs. It is waited for, and `/readyz` says so at all times.

use std::process::{Child, Stdio};

use hooklog_test_support::{Port, Program, Site, http, wait_until};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

const HOOKLOG: &str = env!("CARGO_BIN_EXE_hooklog");

/// A service that has not said that it is ready.
struct Waiting(Child);

impl Waiting {
    fn start(site: &Site, arguments: &[&str]) -> Self {
        let mut command = site.command(arguments);
        command.env("HOOKLOG_REPLICATION", "1");
        Self(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    fn lives(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }

    fn stop(mut self) -> bool {
        kill_process(Pid::from_child(&self.0), Signal::TERM).unwrap();
        wait_until("it stops", || self.0.try_wait().unwrap()).success()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn status(address: &str, path: &str) -> Option<u16> {
    http::get(&format!("http://{address}"), path).ok().map(|answer| answer.status)
}

#[test]
fn a_start_while_kafka_is_away_waits_alive_and_not_ready_until_it_is_there() {
    let (kafka, brokers_home) = (Port::reserve(), Site::alone(HOOKLOG));
    let brokers = kafka.address();
    let ports = [(); 3].map(|()| Port::reserve());
    let [ingest, query, views] = &ports.each_ref().map(Port::address);
    let (site, second, third) = (Site::alone(HOOKLOG), Site::alone(HOOKLOG), Site::alone(HOOKLOG));
    let on = ["--brokers", brokers.as_str()];
    let up = ["up", "--ingest-addr", ingest, "--query-addr", query, "--partitions", "4"];
    let mut up = Waiting::start(&site, &[&up[..], &on].concat());
    let mut process = Waiting::start(&second, &[&["process"][..], &on].concat());
    let mut project = Waiting::start(&third, &[&["project", "--query-addr", views][..], &on].concat());
    for address in [ingest, query, views] {
        wait_until("it is alive, and not ready", || {
            (status(address, "/healthz") == Some(200) && status(address, "/readyz") == Some(503)).then_some(())
        });
    }
    wait_until("it says what it waits for", || {
        let body = http::get(&format!("http://{query}"), "/readyz").ok()?.json();
        body["reasons"][0].as_str()?.contains(&brokers).then_some(())
    });
    let secret = std::fs::read_to_string(site.data_dir().join("secrets/stripe")).unwrap();
    let webhook =
        || http::post_signed(&format!("http://{ingest}"), secret.trim_end(), now(), br#"{"id":"evt_1"}"#).unwrap();
    assert_eq!(webhook().status, 503);
    assert!(up.lives() && process.lives() && project.lives());
    let arguments = ["broker", "run", "--kafka-port", &kafka.number().to_string(), "--data-dir"];
    let mut command = std::process::Command::new(HOOKLOG);
    command.args(arguments).arg(brokers_home.data_dir());
    let broker = Program::spawn(command).unwrap_or_else(|refused| panic!("{refused}"));
    for address in [ingest, query, views] {
        wait_until("it is ready", || (status(address, "/readyz") == Some(200)).then_some(()));
    }
    assert_eq!(webhook().status, 200);
    assert!(up.stop() && process.stop() && project.stop());
    assert!(broker.stop().success());
}

#[test]
fn readiness_is_asked_at_all_times_and_says_what_is_not_well() {
    let site = Site::alone(HOOKLOG);
    let up = site.up();
    site.send(&["--events", "40"]);
    assert_eq!((up.get("/readyz").status, &up.get("/readyz").json()["reasons"]), (200, &Value::Array(vec![])));
    let broker = up.broker();
    broker.signal(Signal::STOP);
    let reasons = wait_until("it says that Kafka does not answer", || {
        let answer = up.get("/readyz");
        (answer.status == 503).then(|| answer.json()["reasons"].clone())
    });
    assert!(reasons[0].as_str().is_some_and(|why| why.starts_with("ingest: ")), "{reasons}");
    broker.signal(Signal::CONT);
    wait_until("it is ready again", || (up.get("/readyz").status == 200).then_some(()));
    let broker = up.broker();
    broker.kill();
    wait_until("it says that its broker is started again", || {
        let answer = up.get("/readyz");
        let reasons = answer.json()["reasons"].clone();
        let of_kafka = reasons.as_array()?.iter().any(|why| why.as_str().is_some_and(|why| why.starts_with("kafka: ")));
        (answer.status == 503 && of_kafka).then_some(())
    });
    wait_until("it is ready again", || (up.get("/readyz").status == 200).then_some(()));
    site.send(&["--events", "40", "--seed", "2"]);
    site.is_exact(up.brokers());
}

#[expect(clippy::disallowed_methods, reason = "a webhook is signed with the time of its sending")]
fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
