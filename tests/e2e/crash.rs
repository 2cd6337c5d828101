//! Killed in the middle of the work, again and again, with nothing cleaned by hand.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use hooklog_oracle::{Oracle, expected_events};
use hooklog_test_support::{DEADLINE, Port, Record, Site, Up, wait_until_within};

const HOOKLOG: &str = env!("CARGO_BIN_EXE_hooklog");
/// So many events, where nobody asks for more.
const EVENTS: usize = 4_000;
/// Asks for more, such as 20000: the same test, longer.
const VARIABLE: &str = "HOOKLOG_CRASH_EVENTS";

/// Who gets SIGKILL, each in the middle of a batch of its own: a sender is quicker than a start, and would be done with a
/// common one.
const KILLS: [Victim; 4] = [Victim::Hooklog, Victim::Broker, Victim::Hooklog, Victim::Hooklog];
/// Of a batch, what is acknowledged by then.
const SHARE: usize = 5;

fn how_many() -> usize {
    let asked = std::env::var(VARIABLE).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{VARIABLE}={text}")));
    asked.inspect(|events| assert!(*events >= EVENTS, "{VARIABLE} is for more than {EVENTS}")).unwrap_or(EVENTS)
}

/// A batch of events with customers of its own.
struct Batch {
    made_up: [String; 6],
    acks: PathBuf,
}

impl Batch {
    fn new(site: &Site, seed: usize, events: usize) -> Self {
        let made_up = ["--events", &events.to_string(), "--customers", "15", "--seed", &seed.to_string()];
        Self { made_up: made_up.map(str::to_owned), acks: site.file(&format!("acks-{seed}")) }
    }

    fn flags(&self) -> Vec<&str> {
        self.made_up.iter().map(String::as_str).collect()
    }

    fn acked(&self) -> Vec<String> {
        let text = std::fs::read_to_string(&self.acks).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

#[derive(Clone, Copy)]
enum Victim {
    Hooklog,
    Broker,
}

/// Stripe's webhooks go to one address, so ours stays over all restarts.
fn up_at(port: &Port, site: &Site) -> Up {
    site.try_up(&["--ingest-addr", &port.address()]).unwrap_or_else(|refused| panic!("{refused}"))
}

/// Goes on through everything, as Stripe does. Ended with the test, however that ends.
struct Sender(Child);

impl Sender {
    fn start(site: &Site, batch: &Batch) -> Self {
        let mut command: Command =
            site.command(&["send", "--json", "--retry", "--duplicates", "0.1", "--concurrency", "24"]);
        command.args(&batch.made_up).args(["--shuffle", "--acks"]).arg(&batch.acks);
        command.stdout(Stdio::null()).stderr(Stdio::null());
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
    let size = how_many().div_ceil(KILLS.len());
    let patience = DEADLINE * u32::try_from(size.div_ceil(EVENTS / KILLS.len())).unwrap();
    let (site, port) = (Site::alone(HOOKLOG), Port::reserve());
    let batches: Vec<Batch> = (7..).take(KILLS.len()).map(|seed| Batch::new(&site, seed, size)).collect();
    let (mut up, mut senders) = (up_at(&port, &site), Vec::new());
    for (victim, batch) in KILLS.into_iter().zip(&batches) {
        let mut sender = Sender::start(&site, batch);
        let enough = || (batch.acked().len() >= size / SHARE).then_some(());
        wait_until_within(patience, enough).expect("enough is acknowledged");
        assert_eq!(sender.is_done(), None, "nothing was under way any more");
        up = killed(victim, up, || up_at(&port, &site));
        senders.push(sender);
    }
    for sender in &mut senders {
        assert_eq!(wait_until_within(patience, || sender.is_done()), Some(0), "all is acknowledged");
    }
    // What a careful sender does after a crash: all of it once more.
    for batch in &batches {
        site.send(&[&batch.flags()[..], &["--shuffle", "--concurrency", "96"]].concat());
    }
    let events = size * batches.len();
    let (raw, emitted) = site.processed(up.brokers());
    let acked: Vec<String> = batches.iter().flat_map(Batch::acked).collect();
    each_once(events, &emitted, &acked);
    let raw: Vec<_> = raw.iter().map(Record::as_raw).collect();
    assert_eq!(expected_events(&raw).len(), events);
    up.views_follow();
    let bodies: Vec<_> = batches.iter().flat_map(|batch| site.bodies(&batch.flags())).collect();
    up.equals(&Oracle::from_ordered(bodies), true);
    site.audit();
}
