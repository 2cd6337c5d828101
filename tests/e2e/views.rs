//! The views against the real broker: what they answer, however events come, and what a rebuild does to that.
#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::thread::JoinHandle;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::Request;
use hooklog_log::provision::{self, Needs, Pinned};
use hooklog_log::{Connection, Topics, partition_for};
use hooklog_oracle::{Of, Oracle};
use hooklog_projector::rules::DEFAULT;
use hooklog_projector::{Config, Error, Projector};
use hooklog_schemas::ids::Span;
use hooklog_schemas::{Envelope, Namespace, Subject};
use hooklog_store::Registry;
use hooklog_test_support::{Broker, unique_prefix, wait_until};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

const HOOKLOG: &str = env!("CARGO_BIN_EXE_hooklog");
const PATIENCE: Duration = Duration::from_secs(30);

/// `events` of its own, and a data directory.
struct Site {
    events: Pinned,
    connection: Connection,
    dir: tempfile::TempDir,
    writer: ThreadedProducer<DefaultProducerContext>,
}

impl Site {
    fn new() -> Site {
        let broker = Broker::shared(HOOKLOG);
        let (connection, topics) = (Connection::to(broker.address()), Topics::with_prefix(unique_prefix()));
        let needs = Needs { topics, partitions: 4, window: Span::days(35) };
        // A broker that has only just made a topic may not lead it yet.
        let events = wait_until("the topics", || provision::ensure(&connection, &needs).ok()).events;
        let id = format!("writer-{}", events.name);
        let writer: ThreadedProducer<DefaultProducerContext> =
            connection.client().set("transactional.id", id).create().unwrap();
        writer.init_transactions(PATIENCE).unwrap();
        let site = Site { events, connection, dir: tempfile::tempdir().unwrap(), writer };
        site.rule(DEFAULT);
        site
    }

    fn rules(&self) -> PathBuf {
        self.dir.path().join("rules.toml")
    }

    fn rule(&self, text: &str) {
        std::fs::write(self.rules(), text).unwrap();
    }

    /// Writes bodies as the processor does, in transactions of fifty, with an aborted one before each.
    fn write(&self, bodies: &[&[u8]]) {
        for batch in bodies.chunks(50) {
            self.writer.begin_transaction().unwrap();
            self.send(&revoked(batch[0]));
            // Unflushed it might never reach the log, where a reader could take it for true.
            self.writer.flush(PATIENCE).unwrap();
            self.writer.abort_transaction(PATIENCE).unwrap();
            self.writer.begin_transaction().unwrap();
            batch.iter().for_each(|body| self.send(body));
            self.writer.commit_transaction(PATIENCE).unwrap();
        }
    }

    fn send(&self, body: &[u8]) {
        let event = Envelope::read(body).unwrap();
        let key = Subject::within(&event, &Namespace::default()).to_string();
        let partition = partition_for(key.as_bytes(), self.events.partitions).0;
        let record = BaseRecord::to(&self.events.name).key(&key).payload(body).partition(partition);
        self.writer.send(record).map_err(|(error, _)| error).unwrap();
    }
}

/// The same event as the end of whatever it is about; it is never committed.
fn revoked(body: &[u8]) -> Vec<u8> {
    let mut event: Value = serde_json::from_slice(body).unwrap();
    event["type"] = json!("customer.subscription.deleted");
    event["data"]["object"]["object"] = json!("subscription");
    event.to_string().into_bytes()
}

/// A projector in this process.
struct Service {
    projector: Projector,
    runtime: Runtime,
    stop: CancellationToken,
    reader: Option<JoinHandle<Result<(), Error>>>,
}

impl Service {
    fn start(site: &Site) -> Service {
        let mut service = Service::unfed(site);
        let (projector, stop) = (service.projector.clone(), service.stop.clone());
        service.reader = Some(std::thread::spawn(move || projector.run(&stop)));
        service
    }

    /// Views that nothing reads into yet.
    fn unfed(site: &Site) -> Service {
        let config = Config {
            connection: site.connection.clone(),
            events: site.events.clone(),
            dir: site.dir.path().join("views"),
            registry: Registry::with_memory(64 << 20),
            rules: Some(site.rules()),
        };
        let (projector, stop) = (Projector::open(config).unwrap(), CancellationToken::new());
        Service { projector, runtime: Runtime::new().unwrap(), stop, reader: None }
    }

    fn get(&self, path: &str) -> (u16, Value) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        self.runtime.block_on(async {
            let response = self.projector.router().oneshot(request).await.unwrap();
            let status = response.status().as_u16();
            let body = to_bytes(response.into_body(), 16 << 20).await.unwrap();
            (status, serde_json::from_slice(&body).unwrap())
        })
    }

    /// Waits until the views hold every record of the topic.
    fn caught_up(&self, site: &Site) {
        let ends = || {
            let isolation = hooklog_log::connection::Isolation::Committed;
            hooklog_log::ends::all(&site.connection, &site.events.name, site.events.partitions, isolation).unwrap()
        };
        // The last offset of each partition is a marker: a reader that has all stands at it or after it.
        wait_until("the views hold all of events", || {
            let status = self.projector.status().unwrap();
            let there = status.partitions.iter().zip(ends()).all(|(at, ends)| at.next.0 + 1 >= ends.end.0);
            (there && status.partitions.iter().all(|partition| !partition.restoring)).then_some(())
        });
    }

    fn access(&self, of: &Of) -> bool {
        let account = of.account.as_ref().map(|account| format!("&account={account}")).unwrap_or_default();
        let (status, body) = self.get(&format!("/v1/customers/{}/access?livemode={}{account}", of.id, of.livemode));
        assert_eq!((status, &body["account"]), (200, &json!(of.account)), "{of:?} {body}");
        body["access"].as_bool().unwrap()
    }

    fn equals(&self, oracle: &Oracle, past_due: bool) {
        let expected = oracle.customers(past_due);
        let told: BTreeMap<Of, bool> = expected.keys().map(|of| (of.clone(), self.access(of))).collect();
        assert_eq!(told, expected);
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop.cancel();
        let outcome = self.reader.take().map(|reader| reader.join().unwrap());
        assert!(matches!(outcome, None | Some(Ok(()))), "{outcome:?}");
    }
}

/// Bodies of the generator, in their true order.
fn generated(arguments: &[&str]) -> Vec<Vec<u8>> {
    let output = Command::new(HOOKLOG).args(["send", "--print"]).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect()
}

/// Every body once and every fifth twice, in an order that has nothing to do with the true one.
fn disordered(bodies: &[Vec<u8>]) -> Vec<&[u8]> {
    let mut order: Vec<(u64, &[u8])> = Vec::new();
    for (n, body) in (0u64..).zip(bodies) {
        let mixed = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
        order.push((mixed(n + 1), body));
        if n % 5 == 0 {
            order.push((mixed(n + 7_777), body));
        }
    }
    order.sort_by_key(|(place, _)| *place);
    order.into_iter().map(|(_, body)| body).collect()
}

fn without_past_due() -> String {
    DEFAULT.replacen("access = true\nreason = \"past_due\"", "access = false\nreason = \"past_due\"", 1)
}

#[test]
fn whatever_order_events_come_in_every_customer_has_the_access_that_the_oracle_says() {
    let site = Site::new();
    let bodies = generated(&["--events", "2000", "--customers", "100", "--same-second", "--seed", "11"]);
    site.write(&disordered(&bodies));
    let service = Service::start(&site);
    service.caught_up(&site);
    service.equals(&Oracle::from_ordered(&bodies), true);
    assert_eq!(service.get("/readyz").0, 200);
    assert_eq!(service.get("/v1/customers/cus_nobody/access").0, 404);
}

#[test]
fn a_rebuild_under_other_rules_takes_access_from_exactly_the_oracles_customers_and_back_again() {
    let site = Site::new();
    let bodies = generated(&["--events", "2000", "--customers", "150", "--seed", "5"]);
    let (early, late) = bodies.split_at(bodies.len() / 2);
    site.write(&disordered(early));
    let service = Service::start(&site);
    service.caught_up(&site);
    site.rule(&without_past_due());
    service.equals(&Oracle::from_ordered(early), true);
    let taken = service.projector.rebuild(&service.stop).unwrap();
    assert_ne!(taken.rules, taken.previous_rules);
    service.equals(&Oracle::from_ordered(early), false);
    site.write(&disordered(late));
    service.caught_up(&site);
    let oracle = Oracle::from_ordered(&bodies);
    service.equals(&oracle, false);
    assert_ne!(oracle.customers(true), oracle.customers(false), "the seed has nobody who is past due");
    site.rule(DEFAULT);
    let back = service.projector.rebuild(&service.stop).unwrap();
    service.equals(&oracle, true);
    assert!(!back.same, "answers changed, so must their hash");
    let again = service.projector.rebuild(&service.stop).unwrap();
    assert_eq!((again.same, &again.content, again.generation), (true, &back.content, 4));
}

#[test]
fn a_rebuild_while_events_come_answers_all_the_while_and_never_from_before() {
    let site = Site::new();
    let bodies = generated(&["--events", "3000", "--customers", "50", "--seed", "3"]);
    let disordered = disordered(&bodies);
    let (before, during) = disordered.split_at(500);
    site.write(before);
    let service = Service::start(&site);
    service.caught_up(&site);
    let someone = Oracle::from_ordered(&bodies).customers(true).keys().next().unwrap().id.clone();
    let rebuilt = std::thread::scope(|scope| {
        let rebuilding = scope.spawn(|| service.projector.rebuild(&service.stop));
        let writing = scope.spawn(|| site.write(during));
        let mut highest = 0;
        while !(rebuilding.is_finished() && writing.is_finished()) {
            let (status, body) = service.get(&format!("/v1/customers/{someone}/access"));
            if status == 404 {
                continue;
            }
            let position = body["position"].as_object().unwrap().values().next().unwrap().as_i64().unwrap();
            assert!(status == 200 && position >= highest, "{status} {position} after {highest}");
            highest = position;
        }
        writing.join().unwrap();
        rebuilding.join().unwrap().unwrap()
    });
    assert!(rebuilt.same, "{rebuilt:?}");
    service.caught_up(&site);
    service.equals(&Oracle::from_ordered(&bodies), true);
}

#[test]
fn after_a_restart_the_views_go_on_where_they_were_and_say_503_until_they_are_there() {
    let site = Site::new();
    let bodies = generated(&["--events", "600", "--customers", "20", "--seed", "2"]);
    let disordered = disordered(&bodies);
    site.write(&disordered[..300]);
    let service = Service::start(&site);
    service.caught_up(&site);
    let at = service.projector.status().unwrap();
    drop(service);
    site.write(&disordered[300..]);
    let someone = Oracle::from_ordered(&bodies).customers(true).keys().next().unwrap().id.clone();
    for unsure in ["cus_nobody", &someone] {
        assert_eq!(Service::unfed(&site).get(&format!("/v1/customers/{unsure}/access")).0, 503, "{unsure}");
    }
    let service = Service::start(&site);
    service.caught_up(&site);
    let folded: u64 = service.projector.status().unwrap().partitions.iter().map(|partition| partition.folded).sum();
    assert_eq!(folded, disordered.len() as u64 - 300, "nothing is read twice: {at:?}");
    service.equals(&Oracle::from_ordered(&bodies), true);
}
