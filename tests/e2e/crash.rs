//! Killed in the middle of the work, again and again, with nothing cleaned by hand.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use hooklog_oracle::{Oracle, expected_events};
use hooklog_test_support::{DEADLINE, Record, Site, Up, wait_until_within};

const HOOKLOG: &str = env!("CARGO_BIN_EXE_hooklog");
/// So many events, where nobody asks for more.
const EVENTS: usize = 3_000;
/// Asks for more, such as 20000: the same test, longer.
const VARIABLE: &str = "HOOKLOG_CRASH_EVENTS";

/// Who gets SIGKILL, once so many of [`EVENTS`], or as large a share of more, are acknowledged.
const KILLS: [(usize, Victim); 4] =
    [(400, Victim::Hooklog), (1_000, Victim::Broker), (1_600, Victim::Hooklog), (2_200, Victim::Hooklog)];

fn how_many() -> usize {
    let asked = std::env::var(VARIABLE).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{VARIABLE}={text}")));
    asked.inspect(|events| assert!(*events >= EVENTS, "{VARIABLE} is for more than {EVENTS}")).unwrap_or(EVENTS)
}

fn made_up(events: usize) -> Vec<String> {
    ["--events", &events.to_string(), "--customers", "60", "--seed", "7"].map(str::to_owned).to_vec()
}

#[derive(Clone, Copy)]
enum Victim {
    Hooklog,
    Broker,
}

/// Stripe's webhooks go to one address, so ours stays over all restarts.
struct Address(String);

impl Address {
    fn free() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Self(listener.local_addr().unwrap().to_string())
    }

    fn up(&self, site: &Site) -> Up {
        site.try_up(&["--ingest-addr", &self.0]).unwrap_or_else(|refused| panic!("{refused}"))
    }
}

/// Goes on through everything, as Stripe does. Ended with the test, however that ends.
struct Sender(Child);

impl Sender {
    fn start(site: &Site, made_up: &[&str], acks: &Path) -> Self {
        let mut command: Command =
            site.command(&["send", "--json", "--retry", "--duplicates", "0.1", "--concurrency", "24"]);
        command.args(made_up).args(["--shuffle", "--acks"]).arg(acks).stdout(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().unwrap())
    }

    fn is_done(&mut self) -> Option<i32> {
        self.0.try_wait().unwrap().map(|status| status.code().unwrap_or(-1))
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn acked(acks: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(acks).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn killed(victim: Victim, up: Up, again: impl FnOnce() -> Up) -> Up {
    match victim {
        Victim::Hooklog => {
            up.program.kill();
            again()
        }
        // `up` starts it again by itself.
        Victim::Broker => {
            up.broker().kill();
            up
        }
    }
}

fn each_once(count: usize, events: &[Record], acked: &[String]) {
    let mut times: BTreeMap<&str, usize> = BTreeMap::new();
    for event in events {
        *times.entry(event.header("ce_id").unwrap()).or_default() += 1;
    }
    let wrong: Vec<_> = acked.iter().filter(|id| times.get(id.as_str()) != Some(&1)).collect();
    assert!(wrong.is_empty(), "acknowledged, and not in events once: {wrong:?}");
    assert_eq!((times.len(), events.len()), (count, count));
}

#[test]
fn after_three_kills_of_hooklog_and_one_of_its_broker_nothing_is_lost_or_doubled_and_every_answer_is_right() {
    let events = how_many();
    let made_up = made_up(events);
    let made_up: Vec<&str> = made_up.iter().map(String::as_str).collect();
    let patience = DEADLINE * u32::try_from(events.div_ceil(EVENTS)).unwrap();
    let (site, address) = (Site::alone(HOOKLOG), Address::free());
    let acks = site.file("acks");
    let mut up = address.up(&site);
    let mut sender = Sender::start(&site, &made_up, &acks);
    for (count, victim) in KILLS {
        let enough = || (acked(&acks).len() >= count * events / EVENTS).then_some(());
        wait_until_within(patience, enough).expect("enough is acknowledged");
        assert_eq!(sender.is_done(), None, "nothing was under way any more");
        up = killed(victim, up, || address.up(&site));
    }
    assert_eq!(wait_until_within(patience, || sender.is_done()), Some(0), "all is acknowledged");
    // What a careful sender does after a crash: all of it once more.
    site.send(&[&made_up[..], &["--shuffle", "--concurrency", "96"]].concat());
    let (raw, emitted) = site.processed(up.brokers());
    each_once(events, &emitted, &acked(&acks));
    let raw: Vec<_> = raw.iter().map(Record::as_raw).collect();
    assert_eq!(expected_events(&raw).len(), events);
    up.views_follow();
    up.equals(&Oracle::from_ordered(site.bodies(&made_up)), true);
    site.audit();
}
