//! `events` of its own and a projector in this process, for the tests of views.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::thread::JoinHandle;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::Request;
use hooklog_log::provision::{self, Needs, Pinned, Replication};
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
pub(crate) struct Site {
    pub(crate) events: Pinned,
    pub(crate) connection: Connection,
    pub(crate) dir: tempfile::TempDir,
    writer: ThreadedProducer<DefaultProducerContext>,
}

impl Site {
    pub(crate) fn new() -> Site {
        let broker = Broker::shared(HOOKLOG);
        let (connection, topics) = (Connection::to(broker.address()), Topics::with_prefix(unique_prefix()));
        let needs = Needs { topics, partitions: 4, replication: Replication::Of(1), window: Span::days(35) };
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

    pub(crate) fn rules(&self) -> PathBuf {
        self.dir.path().join("rules.toml")
    }

    pub(crate) fn rule(&self, text: &str) {
        std::fs::write(self.rules(), text).unwrap();
    }

    /// Writes bodies as the processor does, in transactions of fifty, with an aborted one before each.
    pub(crate) fn write(&self, bodies: &[&[u8]]) {
        for batch in bodies.chunks(50) {
            self.abort(&revoked(batch[0]));
            self.writer.begin_transaction().unwrap();
            batch.iter().for_each(|body| self.send(body));
            self.writer.commit_transaction(PATIENCE).unwrap();
        }
    }

    /// Writes a body in a transaction that is undone.
    pub(crate) fn abort(&self, body: &[u8]) {
        self.writer.begin_transaction().unwrap();
        self.send(body);
        // Unflushed it might never reach the log, where a reader could take it for true.
        self.writer.flush(PATIENCE).unwrap();
        self.writer.abort_transaction(PATIENCE).unwrap();
    }

    /// Where each partition ends for a reader of what is committed.
    pub(crate) fn ends(&self) -> Vec<i64> {
        let isolation = hooklog_log::connection::Isolation::Committed;
        let ends = hooklog_log::watermarks::all(&self.connection, &self.events.name, self.events.partitions, isolation);
        ends.unwrap().iter().map(|ends| ends.end.0).collect()
    }

    /// Opens the views.
    pub(crate) fn try_open(&self) -> Result<Projector, Error> {
        Projector::open(Config {
            connection: self.connection.clone(),
            events: self.events.clone(),
            dir: self.dir.path().join("views"),
            registry: Registry::with_memory(64 << 20),
            rules: Some(self.rules()),
        })
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
pub(crate) struct Service {
    pub(crate) projector: Projector,
    pub(crate) runtime: Runtime,
    pub(crate) stop: CancellationToken,
    reader: Option<JoinHandle<Result<(), Error>>>,
}

impl Service {
    pub(crate) fn start(site: &Site) -> Service {
        let mut service = Service::unfed(site);
        let (projector, stop) = (service.projector.clone(), service.stop.clone());
        service.reader = Some(std::thread::spawn(move || projector.run(&stop)));
        service
    }

    /// Views that nothing reads into yet.
    pub(crate) fn unfed(site: &Site) -> Service {
        let (projector, stop) = (site.try_open().unwrap(), CancellationToken::new());
        Service { projector, runtime: Runtime::new().unwrap(), stop, reader: None }
    }

    pub(crate) fn get(&self, path: &str) -> (u16, Value) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        self.runtime.block_on(async {
            let response = self.projector.router().oneshot(request).await.unwrap();
            let status = response.status().as_u16();
            let body = to_bytes(response.into_body(), 16 << 20).await.unwrap();
            (status, serde_json::from_slice(&body).unwrap())
        })
    }

    /// Up to where the views hold each partition.
    pub(crate) fn positions(&self) -> Vec<i64> {
        self.projector.status().unwrap().partitions.iter().map(|partition| partition.next.0).collect()
    }

    /// Records folded since the start.
    pub(crate) fn folded(&self) -> u64 {
        self.projector.status().unwrap().partitions.iter().map(|partition| partition.folded).sum()
    }

    /// Waits until the views hold every record of the topic: at rest they stand at its very end, past the markers.
    pub(crate) fn caught_up(&self, site: &Site) {
        wait_until("the views hold all of events", || {
            // While damaged views are replaced there is none.
            let status = self.projector.status().ok()?;
            let there = status.partitions.iter().map(|at| at.next.0).eq(site.ends());
            (there && status.partitions.iter().all(|partition| !partition.restoring)).then_some(())
        });
    }

    pub(crate) fn access(&self, of: &Of) -> bool {
        let account = of.account.as_ref().map(|account| format!("&account={account}")).unwrap_or_default();
        let (status, body) = self.get(&format!("/v1/customers/{}/access?livemode={}{account}", of.id, of.livemode));
        assert_eq!((status, &body["account"]), (200, &json!(of.account)), "{of:?} {body}");
        body["access"].as_bool().unwrap()
    }

    pub(crate) fn equals(&self, oracle: &Oracle, past_due: bool) {
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
pub(crate) fn generated(arguments: &[&str]) -> Vec<Vec<u8>> {
    let output = Command::new(HOOKLOG).args(["send", "--print"]).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect()
}

/// Every body once and every fifth twice, in an order that has nothing to do with the true one.
pub(crate) fn disordered(bodies: &[Vec<u8>]) -> Vec<&[u8]> {
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

pub(crate) fn without_past_due() -> String {
    DEFAULT.replacen("access = true\nreason = \"past_due\"", "access = false\nreason = \"past_due\"", 1)
}
