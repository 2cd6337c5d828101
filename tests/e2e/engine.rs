//! The processor in this process, where a test chooses when it commits and which times the records have.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use hooklog_log::connection::Isolation;
use hooklog_log::provision::{self, Needs, Pinned, Provisioned, Replication};
use hooklog_log::{Connection, TopicId, Topics, native, watermarks};
use hooklog_processor::{Config, run};
use hooklog_schemas::ids::Span;
use hooklog_schemas::{Partition, header};
use hooklog_store::Registry;
use hooklog_task::commit_policy::CommitPolicy;
use hooklog_task::{Error, Progress};
use hooklog_test_support::records::records;
use hooklog_test_support::{Broker, unique_prefix, wait_until};
use rdkafka::admin::{AdminOptions, NewTopic, TopicReplication};
use rdkafka::consumer::Consumer;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use tokio_util::sync::CancellationToken;

mod windows;

const HOOKLOG: &str = env!("CARGO_BIN_EXE_hooklog");
const ANSWER: Duration = Duration::from_secs(30);
const DAY: i64 = 86_400_000;
const WINDOW: Span = Span::days(35);

fn connection() -> Connection {
    Connection::to(Broker::shared(HOOKLOG).address())
}

/// The processor, until it is stopped.
struct Running {
    stop: CancellationToken,
    progress: Progress,
    thread: JoinHandle<Result<(), Error>>,
}

impl Running {
    /// With one worker, on `topics`.
    fn start(topics: &Provisioned, directory: &Path, commit_policy: CommitPolicy) -> Running {
        Running::with_window(topics, directory, commit_policy, WINDOW)
    }

    fn with_window(topics: &Provisioned, directory: &Path, commit_policy: CommitPolicy, window: Span) -> Running {
        let config = Config {
            connection: connection(),
            topics: topics.clone(),
            window,
            directory: directory.to_owned(),
            instance: directory.file_name().unwrap().to_str().unwrap().to_owned(),
            workers: 1,
            registry: Registry::with_memory(64 << 20),
            commit_policy,
            conflicts: hooklog_processor::Conflicts::default(),
        };
        let (stop, progress) = (CancellationToken::new(), Progress::of("processor"));
        let (token, shown) = (stop.clone(), progress.clone());
        let thread = std::thread::spawn(move || run(&config, shown, token));
        Running { stop, progress, thread }
    }

    fn owns(&self, partitions: usize) {
        wait_until("it has its partitions", || {
            (self.progress.is_ready() && self.progress.all().len() == partitions).then_some(())
        });
    }

    fn stop(self) {
        self.stop.cancel();
        self.thread.join().unwrap().unwrap();
    }
}

/// What is written to `raw`: an event, its partition, and its time where that is not the broker's.
fn write(topics: &Provisioned, events: impl IntoIterator<Item = (String, i32, Option<i64>)>) {
    let producer: BaseProducer = connection().client().create().unwrap();
    for (id, partition, time) in events {
        let body = format!(r#"{{"id":"{id}","object":"event","type":"customer.updated","created":1}}"#);
        let headers = [(header::NAMESPACE, "stripe"), (header::SOURCE, "stripe")];
        let headers = headers
            .iter()
            .fold(OwnedHeaders::new(), |all, (key, value)| all.insert(Header { key, value: Some(*value) }));
        let record = BaseRecord::to(&topics.raw.name).partition(partition).key(&id).payload(&body).headers(headers);
        let record = BaseRecord { timestamp: time, ..record };
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(ANSWER).unwrap();
}

/// How often each event is in `events`.
fn counted(topics: &Provisioned) -> BTreeMap<String, usize> {
    let mut counted = BTreeMap::new();
    for event in records(&connection().brokers, &topics.events.name) {
        *counted.entry(event.header("ce_id").unwrap().to_owned()).or_default() += 1;
    }
    counted
}

/// One past the last record of `events` in all partitions.
fn end(topics: &Provisioned, isolation: Isolation) -> i64 {
    let all = watermarks::all(&connection(), &topics.events.name, topics.events.partitions, isolation).unwrap();
    all.iter().map(|ends| ends.end.0).sum()
}

const EACH: usize = 30;
const EVENTS: usize = (4 + 2 + 4) * EACH;

fn some(from: usize, count: usize, partition: i32) -> Vec<(String, i32, Option<i64>)> {
    (from..from + count).map(|n| (format!("evt_{partition}_{n}"), partition, None)).collect()
}

fn members(group: &str) -> usize {
    let reader = connection().reader(Isolation::Committed).unwrap();
    let groups = reader.fetch_group_list(Some(group), ANSWER).unwrap();
    groups.groups().iter().find(|one| one.name() == group).map_or(0, |one| one.members().len())
}

/// A partition is taken from the first one while it has a transaction open; later it commits what it has left. What came of
/// that; none where the group was quicker than the first record. The group has offsets of ours already: without any the
/// second one would look into `events` for where to begin, and find what must not be there.
fn taken_away_with_work_open() -> Option<BTreeMap<String, usize>> {
    let place = tempfile::tempdir().unwrap();
    let needs = Needs {
        topics: Topics::with_prefix(unique_prefix()),
        partitions: 2,
        replication: Replication::Of(1),
        window: WINDOW,
    };
    let topics = provision::ensure(&connection(), &needs).unwrap();
    // Commits so many, and not before.
    let long = Duration::from_secs(3_600);
    let patient = CommitPolicy { idle: long, busy: long, busy_threshold: 1, records: 4 * EACH };
    let first = Running::start(&topics, &place.path().join("first"), patient);
    first.owns(2);
    write(&topics, [some(0, 2 * EACH, 0), some(0, 2 * EACH, 1)].concat());
    wait_until("the first one commits", || (counted(&topics).len() == 4 * EACH).then_some(()));
    let second = Running::start(&topics, &place.path().join("second"), CommitPolicy::default());
    // The first one hears of it with its next heartbeat, within three seconds.
    wait_until("the second one joins", || (members(&topics.topics.group("processor")) == 2).then_some(()));
    let before = end(&topics, Isolation::Uncommitted);
    write(&topics, [some(2 * EACH, EACH, 0), some(2 * EACH, EACH, 1)].concat());
    let was_open = wait_until("it has them open, or has lost a partition before", || {
        let open = end(&topics, Isolation::Uncommitted) >= before + 2 * EACH as i64;
        let owned = first.progress.all().len();
        (open || owned < 2).then_some(owned == 2)
    });
    // By its own word: while anything of the first one is open, readers of committed records see nothing.
    let taken = wait_until("the second one has taken in what the first one had open", || {
        second.progress.all().into_iter().find(|(_, at)| at.next.0 == 3 * EACH as i64).map(|(partition, _)| partition)
    });
    // Before what was open times out: enough for a transaction.
    write(&topics, some(3 * EACH, 4 * EACH, 1 - taken.0));
    wait_until("the first one commits", || (counted(&topics).len() >= EVENTS).then_some(()));
    first.stop();
    second.stop();
    was_open.then(|| counted(&topics))
}

#[test]
fn what_was_open_when_partitions_were_taken_away_is_never_committed_later() {
    let counted = (0..5).find_map(|_| taken_away_with_work_open()).expect("it has something open at last");
    let more: Vec<_> = counted.iter().filter(|(_, times)| **times != 1).collect();
    assert!(more.is_empty(), "not once: {more:?}");
    assert_eq!(counted.len(), EVENTS);
}

/// Topics of one partition of which `raw` takes the times that it is given: what provisioning would refuse.
fn with_times_of_their_own() -> Provisioned {
    let topics = Topics::with_prefix(unique_prefix());
    let admin = connection().admin().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let new = |name| {
        NewTopic::new(name, 1, TopicReplication::Fixed(1))
            .set("message.timestamp.type", "CreateTime")
            .set("retention.ms", "-1")
    };
    let (raw, events, control) = (topics.raw(), topics.events(), topics.control());
    let all = [&new(&raw), &new(&events), &new(&control)];
    let made = runtime.block_on(admin.create_topics(all, &AdminOptions::new().request_timeout(Some(ANSWER))));
    made.unwrap().into_iter().for_each(|made| drop(made.unwrap()));
    let pinned = |name: String| {
        let id: TopicId = wait_until("the topic is there", || {
            watermarks::of(&connection(), &name, Partition(0), Isolation::Committed).ok()?;
            native::topic_ids(admin.inner(), &[&name], ANSWER).ok()?.remove(0)
        });
        Pinned { name, partitions: 1, id }
    };
    Provisioned { raw: pinned(raw), events: pinned(events), topics, warnings: Vec::new() }
}

fn days_ago(days: i64) -> i64 {
    i64::try_from(SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap() - days * DAY
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// A record that is older than one before it counts as no older, whoever folds it: the same process, one that was started
/// again, one whose store was rolled forward, one that began anew.
#[derive(Clone, Copy, Debug)]
enum Between {
    Nothing,
    Restart,
    /// The store is from before the last commits.
    OldStore,
    NoStore,
}

fn emitted(between: Between) -> BTreeMap<String, usize> {
    let (topics, place) = (with_times_of_their_own(), tempfile::tempdir().unwrap());
    let (directory, kept) = (place.path().join("one"), place.path().join("kept"));
    let start = || {
        let running = Running::start(&topics, &directory, CommitPolicy::default());
        running.owns(1);
        running
    };
    let take_in = |running: &Running, id: &str, day: i64, upto: i64| {
        write(&topics, [(id.to_owned(), 0, Some(days_ago(200 - day)))]);
        wait_until("it is taken in", || (running.progress.all().values().next()?.next.0 == upto).then_some(()));
    };
    let mut running = start();
    take_in(&running, "evt_a", 0, 1);
    if matches!(between, Between::OldStore) {
        running.stop();
        copy(&directory, &kept);
        running = start();
    }
    // Time goes on, and back again.
    take_in(&running, "evt_b", 100, 2);
    if !matches!(between, Between::Nothing) {
        running.stop();
        match between {
            Between::OldStore => {
                fs::remove_dir_all(&directory).unwrap();
                fs::rename(&kept, &directory).unwrap();
            }
            Between::NoStore => fs::remove_dir_all(&directory).unwrap(),
            Between::Nothing | Between::Restart => {}
        }
        running = start();
    }
    // By the time of the log it is a hundred days after the first one, by its own one ten.
    take_in(&running, "evt_a", 10, 3);
    // By the time of the log that was a moment ago.
    take_in(&running, "evt_a", 30, 4);
    running.stop();
    counted(&topics)
}

fn check(between: Between) {
    let expected = BTreeMap::from([("evt_a".to_owned(), 2), ("evt_b".to_owned(), 1)]);
    assert_eq!(emitted(between), expected, "{between:?}");
}

#[test]
fn time_that_runs_backwards_stands_still_while_it_runs() {
    check(Between::Nothing);
}

#[test]
fn time_that_runs_backwards_stands_still_across_a_restart() {
    check(Between::Restart);
}

#[test]
fn time_that_runs_backwards_stands_still_where_a_store_is_rolled_forward() {
    check(Between::OldStore);
}

#[test]
fn time_that_runs_backwards_stands_still_where_a_store_is_built_anew() {
    check(Between::NoStore);
}
