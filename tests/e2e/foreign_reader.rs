//! `events`, counted by a client that is not ours: Apache Kafka's own console consumer.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use hooklog_test_support::records::records;
use hooklog_test_support::{Broker, Record, Site};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use sha2::{Digest, Sha512};

const HOOKLOG: &str = env!("CARGO_BIN_EXE_hooklog");
const ANSWER: Duration = Duration::from_secs(30);
/// Where no record comes for so long, the consumer ends.
const QUIET_MS: &str = "12000";

/// The broker does without this jar of the same release, so it is not among those that `hooklog` fetches.
const TOOLS: &str = "kafka-tools-4.3.1.jar";
const TOOLS_SHA512: &str = "197b2813651e85294743be937b723c2a7a521181b06b153c5a572549915717a9\
                            2ab84e42d3c7bb3afaee958bc1ad875f12204f00fe22a9f4d493e61ae5126183";

/// The console consumer, with the jars that it runs from.
struct Console {
    classpath: String,
    topic: String,
}

impl Console {
    fn of(site: &Site) -> Console {
        let fetched = site.run(&["broker", "fetch"]);
        assert_eq!(fetched.code, Some(0), "{fetched:?}");
        let jars = PathBuf::from(fetched.stdout.trim());
        let tools = tools(jars.parent().expect("the jars are in the cache directory"));
        Console { classpath: format!("{}/*:{}", jars.display(), tools.display()), topic: site.topics().events() }
    }

    /// Partition and offset of every record that it is given, and how many it says there were.
    fn read(&self, isolation: &str) -> (BTreeSet<(i32, i64)>, usize) {
        let home = std::env::var("JAVA_HOME").ok().filter(|home| !home.is_empty());
        let java = home.map_or_else(|| "java".into(), |home| Path::new(&home).join("bin/java"));
        let mut command = Command::new(java);
        command.args(["-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", &self.classpath]);
        command.args(["org.apache.kafka.tools.consumer.ConsoleConsumer", "--bootstrap-server"]);
        command.args([Broker::shared(HOOKLOG).address(), "--topic", &self.topic, "--from-beginning"]);
        command.args(["--isolation-level", isolation, "--timeout-ms", QUIET_MS]);
        for shown in ["print.partition=true", "print.offset=true", "print.value=false"] {
            command.args(["--formatter-property", shown]);
        }
        let output = command.stdin(Stdio::null()).output().expect("Java is there, the broker runs on it");
        said(&output)
    }
}

fn said(output: &Output) -> (BTreeSet<(i32, i64)>, usize) {
    let (out, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let counted =
        errors.lines().find_map(|line| line.strip_prefix("Processed a total of ")?.split(' ').next()?.parse().ok());
    // Between the records stands what Java logs, at least that it waited in vain for more.
    let shown = out.lines().filter(|line| line.starts_with("Partition:"));
    let positions = shown.map(|line| position(line).unwrap_or_else(|| panic!("{line}: {errors}"))).collect();
    (positions, counted.unwrap_or_else(|| panic!("it did not count: {errors}")))
}

/// `Partition:3 Offset:17`, apart by a tab.
fn position(line: &str) -> Option<(i32, i64)> {
    let (partition, offset) = line.strip_prefix("Partition:")?.split_once("\tOffset:")?;
    Some((partition.trim().parse().ok()?, offset.trim().parse().ok()?))
}

/// Fetched through Maven once, as the others are, and checked.
fn tools(cache: &Path) -> PathBuf {
    let jar = cache.join("kafka-tools-4.3.1").join(TOOLS);
    if !is_right(&jar) {
        let fresh = tempfile::tempdir_in(cache).expect("the cache directory can be written to");
        let mut maven = Command::new("mvn");
        maven.args(["-B", "-ntp", "-q", "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"]);
        maven.arg("-Dartifact=org.apache.kafka:kafka-tools:4.3.1").current_dir(fresh.path());
        let output = maven.arg("-DoutputDirectory=.").stdin(Stdio::null()).output().expect("Maven is there");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        std::fs::create_dir_all(jar.parent().unwrap()).unwrap();
        std::fs::rename(fresh.path().join(TOOLS), &jar).unwrap();
        assert!(is_right(&jar), "{} is not what Apache released", jar.display());
    }
    jar
}

fn is_right(jar: &Path) -> bool {
    std::fs::read(jar).is_ok_and(|bytes| hex::encode(Sha512::digest(bytes)) == TOOLS_SHA512)
}

/// A record that reaches the topic and is never committed, in each partition that has events.
fn abort_a_transaction(site: &Site, events: &[Record]) -> usize {
    let mut config = Broker::shared(HOOKLOG).client();
    config.set("transactional.id", format!("{}stranger", site.topics().prefix()));
    let stranger: ThreadedProducer<DefaultProducerContext> = config.create().unwrap();
    stranger.init_transactions(ANSWER).unwrap();
    stranger.begin_transaction().unwrap();
    let partitions: BTreeSet<i32> = events.iter().map(|event| event.partition).collect();
    let topic = site.topics().events();
    for partition in &partitions {
        let record = BaseRecord::to(&topic).partition(*partition).key("stranger").payload("{}");
        stranger.send(record).map_err(|(error, _)| error).unwrap();
    }
    // Unflushed it might never reach the log, where a reader could take it for true.
    stranger.flush(ANSWER).unwrap();
    stranger.abort_transaction(ANSWER).unwrap();
    partitions.len()
}

#[test]
fn apache_kafkas_own_consumer_counts_the_same_events_and_no_aborted_ones() {
    let site = Site::on(Broker::shared(HOOKLOG), HOOKLOG);
    let up = site.up();
    site.send(&["--events", "500", "--duplicates", "0.2", "--shuffle", "--seed", "3", "--concurrency", "96"]);
    let (_, events) = site.processed(up.brokers());
    assert_eq!(events.len(), 500);
    let aborted = abort_a_transaction(&site, &events);
    assert_eq!(records(up.brokers(), &site.topics().events()), events, "our own reader shows what was aborted");
    let console = Console::of(&site);
    let ((committed, counted), (all, _)) = thread::scope(|scope| {
        let committed = scope.spawn(|| console.read("read_committed"));
        let all = scope.spawn(|| console.read("read_uncommitted"));
        (committed.join().unwrap(), all.join().unwrap())
    });
    assert_eq!((counted, committed.len()), (events.len(), events.len()));
    assert_eq!(committed, events.iter().map(|event| (event.partition, event.offset)).collect());
    // A reader that asks for uncommitted records sees more: so the aborted ones were there to be shown.
    assert_eq!(all.len(), events.len() + aborted);
}
