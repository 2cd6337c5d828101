//! A broker that says nothing for longer than any timeout, under load, and then goes on.

use std::fs;
use std::process::{Child, Stdio};
use std::thread;
use std::time::Duration;

use hooklog_test_support::{Site, Up, http, wait_until};
use rustix::process::Signal;

const HOOKLOG: &str = env!("CARGO_BIN_EXE_hooklog");
/// Asks for another length, such as 100.
const VARIABLE: &str = "HOOKLOG_SILENT_SECONDS";
/// Beyond the 60 s that a coordinator is waited for, and what comes before.
const SILENT: u64 = 75;

struct Load(Child);

impl Load {
    fn on(site: &Site, up: &Up) -> Self {
        let url = format!("{}/webhooks/stripe", up.address("ingest"));
        let flags = ["--events", "100000", "--retry", "--retry-for", "600", "--rate", "200", "--duplicates", "0.1"];
        let mut command = site.command(&["send", "--json", "--shuffle", "--url", &url]);
        command.args(flags).arg("--acks").arg(site.file("acks"));
        Self(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn acked(site: &Site) -> usize {
    fs::read_to_string(site.file("acks")).unwrap_or_default().lines().count()
}

#[test]
fn a_broker_that_is_silent_for_longer_than_any_timeout_is_waited_for() {
    let seconds = std::env::var(VARIABLE).map_or(SILENT, |text| text.parse().unwrap());
    let site = Site::alone(HOOKLOG);
    let up = site.up();
    let load = Load::on(&site, &up);
    wait_until("webhooks are acknowledged", || (acked(&site) >= 300).then_some(()));
    let broker = up.broker();
    broker.signal(Signal::STOP);
    wait_until("it says that it is not ready", || {
        let answer = up.get("/readyz");
        (answer.status == 503 && answer.json()["reasons"][0].is_string()).then_some(())
    });
    // What is shown is that nothing happens in this time.
    thread::sleep(Duration::from_secs(seconds));
    let (ended, ingest) = (!up.program.process().is_alive(), http::get(up.address("ingest"), "/healthz"));
    broker.signal(Signal::CONT);
    assert!(!ended, "it did not wait");
    assert_eq!(ingest.unwrap().status, 200);
    wait_until("it is ready again", || (up.get("/readyz").status == 200).then_some(()));
    let then = acked(&site);
    wait_until("webhooks are acknowledged again", || (acked(&site) > then).then_some(()));
    assert_eq!(up.broker(), broker, "the broker was ended for its silence");
    drop(load);
    site.is_exact(up.brokers());
}
