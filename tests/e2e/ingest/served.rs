//! Ingest in this process, what it answers, and `raw` as a plain client reads it.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, SystemTime};

use hmac::{Hmac, KeyInit, Mac};
use hooklog_ingest::{Config, Error, Limits, Secret, Source};
use hooklog_log::provision::{self, Needs, Replication};
use hooklog_log::{Connection, TopicId, Topics};
use hooklog_schemas::Namespace;
use hooklog_schemas::ids::Span;
use hooklog_test_support::{unique_prefix, wait_until};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message};
use rdkafka::{Offset, TopicPartitionList};
use sha2::Sha256;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) const PARTITIONS: u32 = 4;
pub(crate) const SECRET: &str = "whsec_e2e";
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Ingest in this process, on topics of its own.
pub(crate) struct Ingest {
    pub runtime: Runtime,
    pub address: SocketAddr,
    stop: CancellationToken,
    served: Option<JoinHandle<Result<(), Error>>>,
    brokers: String,
    pub topics: Topics,
}

impl Ingest {
    /// Where there is no `raw`, and so none whose id it could be told.
    pub(crate) fn without_raw(brokers: &str, topics: Topics) -> Ingest {
        Ingest::start(brokers, topics, TopicId("none".to_owned()))
    }

    fn start(brokers: &str, topics: Topics, log: TopicId) -> Ingest {
        let source = |name: &str, secrets: &[&str]| {
            let secrets = secrets.iter().map(|text| Secret::new((*text).to_owned()).unwrap()).collect();
            Source::new(name, Namespace::default(), secrets).unwrap()
        };
        let config = Config {
            connection: Connection::to(brokers),
            topics: topics.clone(),
            partitions: PARTITIONS,
            log,
            sources: vec![source("shop", &[SECRET, "whsec_old"]), source("b", &["whsec_b"])],
            tolerance: 300,
            limits: Limits::default(),
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        let standing = hooklog_ingest::Status::closed("not yet");
        let served = Some(runtime.spawn(hooklog_ingest::serve(listener, config, standing, stop.clone())));
        Ingest { runtime, address, stop, served, brokers: brokers.to_owned(), topics }
    }

    /// On new topics of `brokers`, and ready.
    pub(crate) fn ready(brokers: &str) -> Ingest {
        let topics = Topics::with_prefix(unique_prefix());
        let needs = Needs {
            topics: topics.clone(),
            partitions: PARTITIONS,
            replication: Replication::Of(1),
            window: Span::days(35),
        };
        // A new topic's leader takes a moment; what is said until then is not this test's concern.
        let made = wait_until("the topics are there", || provision::ensure(&Connection::to(brokers), &needs).ok());
        let ingest = Ingest::start(brokers, topics, made.raw.id);
        ingest.wait_until_ready();
        ingest
    }

    pub(crate) fn wait_until_ready(&self) {
        wait_until("ingest is ready", || (self.get("/readyz").status == 200).then_some(()));
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        exchange(self.address, format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes())
    }

    pub(crate) fn post(&self, body: &[u8]) -> Answer {
        self.post_to("shop", &signed(SECRET, now(), body), body, "")
    }

    pub(crate) fn post_to(&self, source: &str, signature: &str, body: &[u8], more: &str) -> Answer {
        post(self.address, source, signature, body, more)
    }

    /// All of `raw`, read by a plain client.
    pub(crate) fn raw(&self) -> BTreeMap<String, Written> {
        (0..PARTITIONS).flat_map(|partition| read(&self.brokers, &self.topics.raw(), partition)).collect()
    }

    /// Stops it and gives how it ended.
    pub(crate) fn end(mut self) -> Result<(), Error> {
        self.stop.cancel();
        let served = self.served.take().expect("ended once");
        self.runtime.block_on(async { tokio::time::timeout(PATIENCE, served).await.expect("it ends in time").unwrap() })
    }
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn position(&self) -> String {
        assert_eq!(self.status, 200, "{self:?}");
        self.json()["position"].as_str().unwrap().to_owned()
    }
}

/// A record as a plain client sees it, by its position.
#[derive(Debug, PartialEq)]
pub(crate) struct Written {
    pub key: Vec<u8>,
    pub value: Vec<u8>,
    pub headers: Vec<(String, String)>,
}

pub(crate) fn exchange(address: SocketAddr, request: &[u8]) -> Answer {
    let mut client = TcpStream::connect(address).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.write_all(request).unwrap();
    let mut got = Vec::new();
    client.read_to_end(&mut got).unwrap();
    let got = String::from_utf8(got).unwrap();
    let (head, body) = got.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {got:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_lowercase(), body: body.to_owned() }
}

pub(crate) fn post(address: SocketAddr, source: &str, signature: &str, body: &[u8], more: &str) -> Answer {
    let length = body.len();
    let head = format!(
        "POST /webhooks/{source} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nstripe-signature: {signature}\r\n{more}content-length: {length}\r\n\r\n"
    );
    exchange(address, &[head.as_bytes(), body].concat())
}

pub(crate) fn now() -> i64 {
    i64::try_from(SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap()
}

pub(crate) fn v1(secret: &str, time: i64, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(format!("{time}.").as_bytes());
    mac.update(body);
    hex::encode(mac.finalize().into_bytes())
}

pub(crate) fn signed(secret: &str, time: i64, body: &[u8]) -> String {
    format!("t={time},v1={}", v1(secret, time, body))
}

pub(crate) fn read(brokers: &str, topic: &str, partition: u32) -> Vec<(String, Written)> {
    let mut config = rdkafka::ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("group.id", "e2e").set("enable.auto.commit", "false");
    let consumer: BaseConsumer = config.create().unwrap();
    let partition = i32::try_from(partition).unwrap();
    let (low, high) = consumer.fetch_watermarks(topic, partition, PATIENCE).unwrap();
    let mut from = TopicPartitionList::new();
    from.add_partition_offset(topic, partition, Offset::Offset(low)).unwrap();
    consumer.assign(&from).unwrap();
    let mut records = Vec::new();
    while low + i64::try_from(records.len()).unwrap() < high {
        let message = consumer.poll(PATIENCE).expect("a record is there").unwrap();
        let headers = message.headers().expect("every record has headers");
        let text = |bytes: Option<&[u8]>| String::from_utf8(bytes.unwrap().to_vec()).unwrap();
        let headers = headers.iter().map(|header| (header.key.to_owned(), text(header.value))).collect();
        let written =
            Written { key: message.key().unwrap().to_vec(), value: message.payload().unwrap().to_vec(), headers };
        records.push((format!("raw/{partition}/{}", message.offset()), written));
    }
    records
}
