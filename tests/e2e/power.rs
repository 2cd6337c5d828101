//! The machine goes down under the local broker: topics lose different tails, and the next `up` mends that before it serves.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use hooklog_faults::logs::Kind;
use hooklog_faults::logs::segment::Segment;
use hooklog_oracle::Oracle;
use hooklog_test_support::{Record, Site, Up, truncate};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;

const HOOKLOG: &str = env!("CARGO_BIN_EXE_hooklog");
const SENT: [&str; 6] = ["--events", "300", "--customers", "20", "--seed", "9"];
const EVENTS: usize = 300;

/// An installation that was used, and whose machine went down.
struct Machine {
    site: Site,
    events: Vec<Record>,
}

impl Machine {
    /// Everything is sent, processed and in the views; then `up` and its broker are gone, without a word to anybody.
    fn used() -> Machine {
        let site = Site::alone(HOOKLOG);
        let up = site.up();
        Machine::used_on(site, up)
    }

    fn used_on(site: Site, up: Up) -> Machine {
        // One part after the other, so that there are several transactions in each partition; then all of it again.
        for (n, part) in site.bodies(&SENT).chunks(EVENTS / 4).enumerate() {
            let file = site.file(&format!("part-{n}.ndjson"));
            fs::write(&file, part.join(&b'\n')).unwrap();
            site.send(&["--file", file.to_str().unwrap(), "--concurrency", "8"]);
            site.processed(up.brokers());
        }
        site.send(&[&SENT[..], &["--shuffle", "--concurrency", "8"]].concat());
        let (_, events) = site.processed(up.brokers());
        assert_eq!(events.len(), EVENTS);
        up.views_follow();
        let broker = up.broker();
        up.program.kill();
        broker.kill();
        let machine = Machine { site, events };
        machine.boot_anew();
        machine
    }

    /// What the broker's record looks like once the machine is up again.
    fn boot_anew(&self) {
        let path = self.site.data_dir().join("broker/process.json");
        let mut record: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        record["boot_id"] = "another".into();
        fs::write(&path, record.to_string()).unwrap();
    }

    fn mark(&self) -> PathBuf {
        self.site.data_dir().join("broker/power-loss")
    }

    fn log(&self, partition: &str) -> Segment {
        Segment::of(&self.site, partition)
    }

    fn offsets(&self) -> Segment {
        Segment::of_offsets(&self.site)
    }

    /// All is as it was before, for every reader, and stays so.
    fn is_whole(&self, up: &Up) {
        assert!(!self.mark().exists(), "the mark is still there: {}", up.program.stderr());
        let (_, events) = self.site.processed(up.brokers());
        assert_eq!(ids(&events), ids(&self.events));
        assert_eq!(events.len(), EVENTS, "an event is there twice");
        self.site.audit();
        up.views_follow();
        up.equals(&Oracle::from_ordered(self.site.bodies(&SENT)), true);
        self.site.send(&SENT);
        assert_eq!(self.site.processed(up.brokers()).1.len(), EVENTS, "what was seen before is forgotten");
    }
}

fn ids(events: &[Record]) -> BTreeSet<String> {
    events.iter().map(|event| event.header("ce_id").unwrap().to_owned()).collect()
}

fn repaired(events: &[Record]) -> usize {
    events.iter().filter(|event| event.header("hooklog_repaired") == Some("true")).count()
}

fn batches_are_found_where_kafka_writes_them(machine: &Machine) {
    for partition in 0..4 {
        let log = machine.log(&format!("hooklog.events-{partition}"));
        let batches = log.batches();
        let end = batches.last().map_or(0, |(_, at)| at.end);
        assert_eq!(end as u64, fs::metadata(&log.0).unwrap().len());
        let are_there = |kind| batches.iter().filter(|(batch, _)| batch.kind == kind).count() > 2;
        assert!(are_there(Kind::Transactional) && are_there(Kind::Commit) && !are_there(Kind::Plain), "{batches:?}");
    }
}

#[test]
fn a_machine_that_went_down_and_lost_nothing_starts_as_usual() {
    let machine = Machine::used();
    batches_are_found_where_kafka_writes_them(&machine);
    let up = machine.site.up();
    assert!(up.program.stderr().contains("machine went down"), "{}", up.program.stderr());
    machine.is_whole(&up);
    assert_eq!(repaired(&machine.site.processed(up.brokers()).1), 0);
}

#[test]
fn events_and_offsets_that_a_machine_lost_are_there_again_before_anything_is_served() {
    let machine = Machine::used();
    machine.log("hooklog.events-0").lose_half(Kind::Commit);
    machine.log("hooklog.events-1").lose_half(Kind::Commit);
    machine.log("hooklog.events-2").lose_half(Kind::Transactional);
    machine.offsets().lose_half(Kind::Transactional);
    let up = machine.site.up();
    machine.is_whole(&up);
    let (_, events) = machine.site.processed(up.brokers());
    assert!(repaired(&events) > 0, "nothing was lost, so nothing was shown");
}

/// Whoever deleted the beginning of `events` has that deleted: it is not emitted again, since nothing was lost.
#[test]
fn events_that_were_deleted_before_a_machine_went_down_are_not_emitted_again() {
    let site = Site::alone(HOOKLOG);
    let up = site.up();
    site.send(&[&SENT[..], &["--concurrency", "8"]].concat());
    let (_, events) = site.processed(up.brokers());
    up.views_follow();
    let middle = |partition| {
        let offsets = events.iter().filter(|event| event.partition == partition).map(|event| event.offset);
        let offsets: Vec<i64> = offsets.collect();
        (partition, offsets[offsets.len() * 2 / 3])
    };
    let kept: BTreeMap<i32, i64> = (0..4).map(middle).collect();
    truncate::delete_before(up.brokers(), "hooklog.events", &kept);
    // An orderly stop: only then is it sure that Kafka has written down where the partitions begin.
    assert!(up.program.stop().success());
    let up = site.up();
    let broker = up.broker();
    up.program.kill();
    broker.kill();
    let machine = Machine { site, events };
    machine.boot_anew();
    let up = machine.site.up();
    assert!(!machine.mark().exists(), "the mark is still there: {}", up.program.stderr());
    let (_, left) = machine.site.processed(up.brokers());
    let expected = machine.events.iter().filter(|event| event.offset >= kept[&event.partition]).count();
    assert_eq!((left.len(), repaired(&left)), (expected, 0));
    assert_eq!(machine.site.audit()["unjudged"], EVENTS - expected);
    machine.site.send(&SENT);
    assert_eq!(machine.site.processed(up.brokers()).1.len(), expected, "what was seen before is forgotten");
}

/// The events of the log before stay where they are; nothing is left to judge them by.
#[test]
fn a_raw_that_was_adopted_does_not_stop_the_start_after_a_machine_went_down() {
    let site = Site::alone(HOOKLOG);
    let up = site.up();
    site.send(&SENT);
    let (_, before) = site.processed(up.brokers());
    assert!(up.program.stop().success());
    let broker_alone = || site.service(&["broker", "run", "--kafka-port", "0"]).unwrap();
    let broker = broker_alone();
    delete_topic(broker.brokers(), "hooklog.raw");
    assert!(broker.program.stop().success());
    let refused = site.try_up(&[]).expect_err("it goes on behind the events of another log");
    assert!(refused.code == Some(3) && refused.stderr.contains("offsets repair"), "{refused}");
    let broker = broker_alone();
    let adopted = site.run(&["offsets", "repair", "--apply", "--json"]);
    assert_eq!(
        (adopted.code, adopted.json()["former_logs"].as_array().map(Vec::len)),
        (Some(0), Some(1)),
        "{adopted:?}"
    );
    assert!(broker.program.stop().success());
    let up = site.up();
    site.send(&["--events", "40", "--customers", "9", "--seed", "77"]);
    let (_, events) = site.processed(up.brokers());
    let broker = up.broker();
    up.program.kill();
    broker.kill();
    let machine = Machine { site, events };
    machine.boot_anew();
    let up = machine.site.up();
    assert!(!machine.mark().exists(), "the mark is still there: {}", up.program.stderr());
    let (_, events) = machine.site.processed(up.brokers());
    assert_eq!((events.len(), repaired(&events)), (before.len() + 40, 0));
    let audited = machine.site.audit();
    assert_eq!((&audited["unjudged"], &audited["foreign"]), (&before.len().into(), &0.into()), "{audited}");
}

fn delete_topic(brokers: &str, topic: &str) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", brokers).create().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let deleted = runtime.block_on(admin.delete_topics(&[topic], &AdminOptions::new())).unwrap();
    deleted.into_iter().for_each(|deleted| _ = deleted.unwrap());
}

/// What is emitted again stands in another order: views that go on at their old offset would leave some of it out.
#[test]
fn views_that_hold_events_which_a_machine_lost_begin_anew() {
    let site = Site::alone(HOOKLOG);
    let up = site.up();
    let first = site.file("first.ndjson");
    fs::write(&first, site.bodies(&SENT)[..200].join(&b'\n')).unwrap();
    site.send(&["--file", first.to_str().unwrap(), "--concurrency", "8"]);
    let (_, held) = site.processed(up.brokers());
    up.views_follow();
    assert!(up.program.stop().success());
    let (views, kept) = (site.data_dir().join("projector"), site.file("projector"));
    fs::rename(&views, &kept).unwrap();
    let up = site.up();
    let machine = Machine::used_on(site, up);
    fs::remove_dir_all(&views).unwrap();
    fs::rename(&kept, &views).unwrap();
    for partition in 0..4 {
        let last = held.iter().filter(|event| event.partition == partition).map(|event| event.offset).max();
        machine.log(&format!("hooklog.events-{partition}")).lose_from(last.expect("events in every partition"));
    }
    let up = machine.site.up();
    assert!(up.program.stderr().contains("built anew from the log"), "{}", up.program.stderr());
    machine.is_whole(&up);
}

#[test]
fn webhooks_that_raw_itself_lost_stop_the_start_and_the_way_out_is_told() {
    let machine = Machine::used();
    machine.log("hooklog.raw-0").lose_last_batch();
    machine.log("hooklog.events-1").lose_half(Kind::Commit);
    let events = fs::read(&machine.log("hooklog.events-1").0).unwrap();
    for _ in 0..2 {
        let refused = machine.site.try_up(&[]).expect_err("it serves a log that has lost webhooks");
        assert_eq!(refused.code, Some(3), "{refused}");
        let mark = machine.mark();
        for expected in ["raw/0 at", mark.to_str().unwrap(), "broker/kafka", "hooklog offsets repair"] {
            assert!(refused.stderr.contains(expected), "no {expected}: {refused}");
        }
        assert!(mark.exists(), "the next start would know nothing of it");
        assert!(machine.site.recorded_broker().is_none(), "its broker lives on");
    }
    let now = fs::read(&machine.log("hooklog.events-1").0).unwrap();
    assert_eq!(now.get(..events.len()), Some(&events[..]), "what is left was touched");
    // The other way out that it names: to go on with what is left.
    fs::remove_file(machine.mark()).unwrap();
    for words in [&["offsets", "repair", "--apply"][..], &["repair", "--apply"]] {
        let done = machine.site.run(words);
        assert_eq!(done.code, Some(0), "{done:?}");
    }
    let up = machine.site.up();
    let ids = |records: Vec<Record>, id: fn(&Record) -> &str| -> BTreeSet<String> {
        records.iter().map(|record| id(record).to_owned()).collect()
    };
    machine.site.send(&SENT);
    let (raw, events) = machine.site.processed(up.brokers());
    assert_eq!(events.len(), EVENTS, "what raw lost has its event already");
    assert_eq!(ids(raw, |record| &record.key), ids(events, |event| event.header("ce_id").unwrap()));
    up.views_follow();
}
