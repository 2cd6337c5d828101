//! A topic that is deleted and made anew under running processes: nobody goes on in the new log as if it were the old one,

//! and nothing is acknowledged into a log that nobody reads.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use hooklog_test_support::anew::{delete, make_anew};
use hooklog_test_support::http::{get, post_signed};
use hooklog_test_support::records::records;
use hooklog_test_support::{Broker, Port, Program, Site, Up, wait_until, wait_until_within};

const HOOKLOG: &str = env!("CARGO_BIN_EXE_hooklog");
const SECRET: &str = "whsec_anew";
/// From the moment that the topic is another one to that at which everybody has noticed.
const NOTICED: Duration = Duration::from_secs(10);

/// Webhooks, one behind the other from each of several senders, until it is stopped.
struct Load {
    stop: Arc<AtomicBool>,
    acked: Arc<AtomicUsize>,
    senders: Vec<thread::JoinHandle<Vec<String>>>,
}

impl Load {
    fn on(ingest: &str) -> Load {
        let (stop, acked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let sender = |sender: usize| {
            let (ingest, stop, acked) = (ingest.to_owned(), Arc::clone(&stop), Arc::clone(&acked));
            thread::spawn(move || {
                let is_acked = |id: &String| {
                    let body = format!(r#"{{"id":"{id}","object":"event","type":"customer.updated"}}"#);
                    // Where the process has ended, nobody answers.
                    let is_acked = post_signed(&ingest, SECRET, now(), body.as_bytes()).is_ok_and(|a| a.status == 200);
                    acked.fetch_add(usize::from(is_acked), Ordering::Relaxed);
                    is_acked
                };
                let ids = (0..).map(|n| format!("evt_{sender}_{n}")).take_while(|_| !stop.load(Ordering::Relaxed));
                ids.filter(is_acked).collect()
            })
        };
        let senders = (0..4).map(sender).collect();
        Load { stop, acked, senders }
    }

    /// Waits until `more` than now are acknowledged.
    fn goes_on(&self, more: usize) {
        let before = self.acked.load(Ordering::Relaxed);
        wait_until("webhooks are acknowledged", || (self.acked.load(Ordering::Relaxed) > before + more).then_some(()));
    }

    /// Ends it, and gives the ids that were acknowledged.
    fn stop(self) -> BTreeSet<String> {
        self.stop.store(true, Ordering::Relaxed);
        self.senders.into_iter().flat_map(|sender| sender.join().unwrap()).collect()
    }
}

fn now() -> u64 {
    std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs()
}

/// A broker that can be stopped and started again at its port.
fn broker(place: &Path, port: &Port) -> (Program, String) {
    let mut command = Command::new(HOOKLOG);
    command.args(["broker", "run", "--kafka-port", &port.number().to_string(), "--data-dir"]).arg(place);
    let program = Program::spawn(command).unwrap_or_else(|refused| panic!("{refused}"));
    let address = program.ready()["brokers"].as_str().unwrap().to_owned();
    (program, address)
}

fn service(site: &Site, arguments: &[&str]) -> Up {
    site.service(arguments).unwrap_or_else(|refused| panic!("{refused}"))
}

/// All three services on one data directory, each a process of its own.
struct Services {
    ingest: Up,
    process: Up,
    project: Up,
}

impl Services {
    fn start(site: &Site) -> Services {
        fs::create_dir_all(site.data_dir().join("secrets")).unwrap();
        fs::write(site.data_dir().join("secrets/stripe"), SECRET).unwrap();
        let process = service(site, &["process", "--partitions", "4"]);
        let project = service(site, &["project", "--query-addr", "127.0.0.1:0"]);
        Services { ingest: service(site, &["ingest", "--ingest-addr", "127.0.0.1:0"]), process, project }
    }
}

/// It ended because a topic was another one: exit code, and both ids for whoever has to look.
fn stopped(up: Up, topic: &str, ids: &[&str]) {
    let ended = up.program.ended();
    assert_eq!(ended.code, Some(3), "{ended}");
    let last = ended.stderr.lines().rfind(|line| line.starts_with("hooklog: ")).unwrap_or_default();
    assert!(last.contains(topic) && ids.iter().all(|id| last.contains(id)), "{topic} {ids:?}: {ended}");
}

fn raw_is_made_anew(restart_before: bool) {
    let place = tempfile::tempdir().unwrap();
    let port = Port::reserve();
    let (mut kafka, address) = broker(&place.path().join("kafka"), &port);
    let site = Site::at(&address, HOOKLOG);
    let Services { ingest, process, project } = Services::start(&site);
    let load = Load::on(ingest.address("ingest"));
    load.goes_on(100);
    if restart_before {
        assert!(kafka.stop().success());
        kafka = broker(&place.path().join("kafka"), &port).0;
        load.goes_on(100);
    }
    let raw = site.topics().raw();
    let (before, now) = make_anew(&address, &raw);
    let url = ingest.address("ingest").to_owned();
    let noticed = wait_until_within(NOTICED, || {
        let ready = get(&url, "/readyz").unwrap();
        (ready.status == 503 && ready.body.contains(&before) && ready.body.contains(&now)).then_some(())
    });
    assert!(noticed.is_some(), "/readyz does not tell of it: {:?}", get(&url, "/readyz"));
    let answer = ingest.post(br#"{"id":"evt_late"}"#);
    assert_eq!((answer.status, answer.header("retry-after").is_some()), (503, true), "{answer:?}");
    stopped(process, &raw, &[&before, &now]);

    let acked = load.stop();
    let strays: BTreeSet<_> = records(&address, &raw).into_iter().map(|record| record.key).collect();
    let lost: Vec<_> = acked.intersection(&strays).collect();
    assert!(lost.is_empty(), "{} of {} acknowledged stand where nobody reads: {lost:?}", lost.len(), acked.len());
    // It stays so, whatever becomes of the topic, until somebody starts it again.
    assert_eq!((get(&url, "/readyz").unwrap().status, get(&url, "/healthz").unwrap().status), (503, 200));
    assert!(ingest.program.stop().success());
    assert!(project.program.stop().success(), "the views do not depend on raw");
    drop(kafka);
}

#[test]
fn nothing_is_acknowledged_into_a_raw_that_was_made_anew() {
    raw_is_made_anew(false);
}

#[test]
fn nothing_is_acknowledged_into_a_raw_that_was_made_anew_after_a_restart_of_the_broker() {
    raw_is_made_anew(true);
}

fn events_are_made_anew(restart_before: bool) {
    let place = tempfile::tempdir().unwrap();
    let port = Port::reserve();
    let (mut kafka, address) = broker(&place.path().join("kafka"), &port);
    let site = Site::at(&address, HOOKLOG);
    let Services { ingest, process, project } = Services::start(&site);
    let load = Load::on(ingest.address("ingest"));
    load.goes_on(100);
    if restart_before {
        assert!(kafka.stop().success());
        kafka = broker(&place.path().join("kafka"), &port).0;
        load.goes_on(100);
    }
    let events = site.topics().events();
    let (before, now) = make_anew(&address, &events);
    stopped(process, &events, &[&before, &now]);
    stopped(project, &events, &[&before, &now]);
    // What comes in is in raw, where it waits.
    load.goes_on(20);
    drop((load.stop(), kafka));
    assert!(ingest.program.stop().success());
}

#[test]
fn processor_and_projector_stop_where_events_were_made_anew() {
    events_are_made_anew(false);
}

#[test]
fn processor_and_projector_stop_where_events_were_made_anew_after_a_restart_of_the_broker() {
    events_are_made_anew(true);
}

#[test]
fn a_raw_that_is_deleted_for_good_is_503_at_once_and_ends_up_with_the_reason() {
    let site = Site::on(Broker::shared(HOOKLOG), HOOKLOG);
    let up = site.up();
    assert_eq!(up.post(br#"{"id":"evt_1"}"#).status, 200);
    let secret = fs::read_to_string(site.data_dir().join("secrets/stripe")).unwrap();
    site.processed(up.brokers());
    let raw = site.topics().raw();
    delete(up.brokers(), &raw);
    // Where the process has ended by now, nobody answers.
    let late = post_signed(up.address("ingest"), secret.trim_end(), now(), br#"{"id":"evt_2"}"#);
    assert!(late.as_ref().map_or(true, |answer| answer.status == 503), "{late:?}");
    let ended = up.program.ended();
    assert_eq!(ended.code, Some(3), "{ended}");
    assert!(ended.stderr.contains(&raw), "{ended}");
}
