//! Each service and each tool with the rights that docs/guide/permissions.md names, on a broker with Kafka's authorizer: with

//! all of them it works, and with any one of them taken away it does not.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hooklog_log::Topics;
use hooklog_log::connection::Isolation;
use hooklog_log::provision::{self, Needs, Replication};
use hooklog_log::{control, watermarks};
use hooklog_schemas::ids::Span;
use hooklog_schemas::{NextOffset, Partition, WindowBegin};
use hooklog_test_support::guarded::{ADMIN, Operation, Resource, Right};
use hooklog_test_support::{DEADLINE, Guarded, http, wait_until, wait_until_within};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use tempfile::TempDir;

use Operation::{Create, Describe, DescribeConfigs, Read, Write};

const HOOKLOG: &str = env!("CARGO_BIN_EXE_hooklog");
const SECRET: &str = "whsec_permissions";
/// Users of the broker: one for each try.
const USERS: usize = 80;
/// With a right missing: no less than this, and three times what it took with all of them.
const IN_VAIN: Duration = Duration::from_secs(8);

fn topic(name: &str, operation: Operation) -> Right {
    Right { resource: Resource::Topic, name: name.to_owned(), is_prefix: false, operation }
}

fn group(operation: Operation) -> Right {
    Right { resource: Resource::Group, name: "processor".to_owned(), is_prefix: false, operation }
}

fn ids(name: &str, is_prefix: bool) -> Right {
    Right { resource: Resource::Id, name: name.to_owned(), is_prefix, operation: Write }
}

/// What each service reads of the topics at every start, to refuse what contradicts.
fn check() -> Vec<Right> {
    let settings = ["raw", "events", "control"].map(|name| topic(name, DescribeConfigs));
    settings.into_iter().chain([topic("control", Read)]).collect()
}

fn with(more: impl IntoIterator<Item = Right>) -> Vec<Right> {
    check().into_iter().chain(more).collect()
}

/// As the guide names them, without the prefix.
fn rights(of: &str) -> Vec<Right> {
    let processor = || ids("processor-", true);
    match of {
        "ingest" => with([topic("raw", Write), topic("events", Describe)]),
        "process" => {
            let topics = [topic("raw", Read), topic("events", Read), topic("events", Write)];
            with(topics.into_iter().chain([group(Read), processor(), ids("repair", false)]))
        }
        "project" => with([topic("raw", Describe), topic("events", Read)]),
        // Whether each of them is needed was shown for the services.
        "up" => with([topic("raw", Write), topic("raw", Read), topic("events", Read), topic("events", Write)])
            .into_iter()
            .chain([group(Read), processor(), ids("repair", false)])
            .collect(),
        "audit" => vec![topic("raw", Read), topic("events", Read), topic("control", Read), group(Describe)],
        "tail" => vec![topic("raw", Read)],
        "status" => vec![topic("raw", Describe), topic("events", Describe), topic("control", Read), group(Describe)],
        "repair" => {
            let audit = rights("audit");
            // To write to `events` is needed where something is missing, and here nothing is.
            audit.into_iter().chain([ids("repair", false)]).collect()
        }
        "offsets" => vec![topic("raw", Read), topic("events", Read), topic("control", Read), group(Read)],
        "first" => {
            let create = Right { is_prefix: true, ..topic("", Create) };
            rights("ingest").into_iter().chain([create, topic("control", Write)]).collect()
        }
        other => panic!("no such service: {other}"),
    }
}

/// The broker, and what is there already.
struct World {
    broker: Guarded,
    users: AtomicUsize,
    prefixes: AtomicUsize,
}

/// One try: a user, a prefix, a directory.
struct Try<'w> {
    world: &'w World,
    user: String,
    topics: Topics,
    directory: TempDir,
    patience: Duration,
}

impl World {
    /// A prefix with one record in `raw` that nobody has processed, and one in `events` that belongs to none.
    fn prefix(&self) -> Topics {
        let topics = Topics::with_prefix(format!("p{}.", self.prefixes.fetch_add(1, Ordering::Relaxed)));
        let needs =
            Needs { topics: topics.clone(), partitions: 1, replication: Replication::Of(1), window: Span::days(35) };
        let admin = self.broker.connection(ADMIN);
        let made = wait_until("the topics are there", || provision::ensure(&admin, &needs).ok());
        let begin = WindowBegin { number: 0, window: needs.window, from: vec![NextOffset::ZERO] };
        control::begin_window(&admin, &topics, &made.raw.id, &begin, "test").unwrap();
        let producer: BaseProducer = self.broker.connection(ADMIN).client().create().unwrap();
        let body = r#"{"id":"evt_1","object":"event","type":"x"}"#;
        for topic in [topics.raw(), topics.events()] {
            producer.send(BaseRecord::to(&topic).partition(0).key("evt_1").payload(body)).unwrap();
        }
        producer.flush(Duration::from_secs(30)).unwrap();
        topics
    }

    fn attempt(&self, rights: &[Right], topics: Topics, patience: Duration) -> Try<'_> {
        let user = format!("u{}", self.users.fetch_add(1, Ordering::Relaxed));
        let prefixed = |right: &Right| Right { name: format!("{}{}", topics.prefix(), right.name), ..right.clone() };
        self.broker.allow(&user, &rights.iter().map(prefixed).collect::<Vec<_>>());
        Try { world: self, user, topics, directory: tempfile::tempdir().unwrap(), patience }
    }
}

impl Try<'_> {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(HOOKLOG);
        command.args(arguments).arg("--data-dir").arg(self.directory.path());
        command.args(["--prefix", self.topics.prefix()]).envs(self.world.broker.variables(&self.user));
        command.envs([("HOOKLOG_REPLICATION", "1"), ("HOOKLOG_STRIPE_SECRET", SECRET)]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        command
    }

    /// A command that ends by itself and has an answer; audit's is no, since one event belongs to no record.
    fn answers(&self, arguments: &[&str]) -> bool {
        self.answer(arguments).is_some_and(|answer| !answer.is_empty())
    }

    fn answer(&self, arguments: &[&str]) -> Option<Vec<u8>> {
        let mut child = self.command(arguments).spawn().unwrap();
        let ended = wait_until_within(self.patience, || child.try_wait().unwrap());
        let _ = child.kill();
        let output = child.wait_with_output().unwrap();
        ended.filter(|status| matches!(status.code(), Some(0 | 1))).map(|_| output.stdout)
    }

    /// A service that comes to what `works` asks of the line that says that it is ready.
    fn serves(&self, arguments: &[&str], works: impl Fn(&serde_json::Value) -> bool) -> bool {
        let out = self.directory.path().join("out");
        let file = std::fs::File::create(&out).unwrap();
        let mut child = self.command(&[arguments, &["--json"]].concat()).stdout(file).spawn().unwrap();
        let end = Instant::now() + self.patience;
        let line = || serde_json::from_str(std::fs::read_to_string(&out).unwrap().lines().next()?).ok();
        let works = wait_until_within(self.patience, || {
            // Looked at first: what it did before its end counts.
            let has_ended = child.try_wait().unwrap().is_some();
            let works = line().is_some_and(|ready| works(&ready));
            (works || has_ended).then_some(works)
        });
        let works = works == Some(true);
        let _ = child.kill();
        let _ = child.wait();
        works && Instant::now() <= end + Duration::from_secs(5)
    }

    fn works(&self, service: &str) -> bool {
        let anything = "127.0.0.1:0";
        match service {
            "ingest" | "first" => self.serves(&["ingest", "--ingest-addr", anything], |ready| self.accepts(ready)),
            "process" => self.serves(&["process"], |_| self.has_emitted()),
            "up" => {
                let addresses = ["--ingest-addr", anything, "--query-addr", anything];
                self.serves(&[&["up"], &addresses[..]].concat(), |ready| self.accepts(ready))
            }
            "project" => self.serves(&["project", "--query-addr", anything], |_| true),
            "audit" => self.answers(&["audit", "--json"]),
            "tail" => self.answers(&["tail", "raw", "--from", "beginning", "--limit", "1"]),
            "status" => self.shows_where_the_processor_is(),
            "repair" => self.answers(&["repair", "--apply", "--json"]),
            "offsets" => self.answers(&["offsets", "repair", "--apply", "--json"]),
            other => panic!("no such service: {other}"),
        }
    }

    /// Whoever asks gets the rest, too, where the group may not be asked.
    fn shows_where_the_processor_is(&self) -> bool {
        let answer = self.answer(&["status", "--over", "0.1", "--json"]).unwrap_or_default();
        let shown: serde_json::Value = serde_json::from_slice(&answer).unwrap_or_default();
        shown["partitions"][0]["processor"].is_number()
    }

    fn accepts(&self, ready: &serde_json::Value) -> bool {
        #[expect(clippy::disallowed_methods, reason = "a webhook is signed with the time of its sending")]
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let answer = http::post_signed(ready["ingest"].as_str().unwrap(), SECRET, now, br#"{"id":"evt_2"}"#);
        answer.is_ok_and(|answer| answer.status == 200)
    }

    fn has_emitted(&self) -> bool {
        let connection = self.world.broker.connection(ADMIN);
        let ends = watermarks::of(&connection, &self.topics.events(), Partition(0), Isolation::Committed);
        ends.is_ok_and(|ends| ends.end.0 > 1)
    }
}

/// Every service needs a place of its own: one that processes changes what the next one finds.
fn place(world: &World, service: &str, processed: &Topics) -> Topics {
    match service {
        "process" => world.prefix(),
        "first" => Topics::with_prefix(format!("p{}.", world.prefixes.fetch_add(1, Ordering::Relaxed))),
        _ => processed.clone(),
    }
}

/// With all of its rights it works; and which right could be taken away without harm.
fn superfluous(world: &World, service: &str, processed: &Topics) -> Vec<String> {
    let all = rights(service);
    let began = Instant::now();
    let whole = world.attempt(&all, place(world, service, processed), DEADLINE);
    assert!(whole.works(service), "{service} does not work with the rights that the guide names");
    let patience = IN_VAIN.max(began.elapsed() * 3);
    let without = |n: usize| {
        let rights: Vec<_> = (0..).zip(&all).filter(|(m, _)| *m != n).map(|(_, right)| right.clone()).collect();
        world.attempt(&rights, place(world, service, processed), patience).works(service)
    };
    let needless = (0..all.len()).filter(|n| without(*n));
    needless.map(|n| format!("{service}: {:?}", all[n])).collect()
}

#[test]
fn each_service_works_with_the_rights_that_the_guide_names_and_with_none_of_them_less() {
    let broker = Guarded::start(HOOKLOG, USERS);
    let world = World { broker, users: AtomicUsize::new(0), prefixes: AtomicUsize::new(0) };
    let processed = world.prefix();
    let whole = world.attempt(&rights("process"), processed.clone(), DEADLINE);
    assert!(whole.works("process"), "a processor with its rights");
    let services = ["ingest", "process", "project", "audit", "tail", "status", "repair", "offsets", "first"];
    let all = std::thread::scope(|scope| {
        let (world, processed) = (&world, &processed);
        let threads = services.map(|service| scope.spawn(move || superfluous(world, service, processed)));
        threads.map(|thread| thread.join().unwrap()).concat()
    });
    assert_eq!(all, [""; 0], "rights that are not needed");
    assert!(world.attempt(&rights("up"), world.prefix(), DEADLINE).works("up"), "all services in one process");
}
