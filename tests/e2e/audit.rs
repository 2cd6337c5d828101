//! Audit, repair and offsets repair against the real broker. `raw` and `events` are written by hand, damage and all.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it must be")]

use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;

use hooklog_log::committed::{self, Committed};
use hooklog_log::connection::Isolation;
use hooklog_log::reader::{Reader, Span as Stretch};
use hooklog_log::{Connection, Topics, ends, native, partition_for};
use hooklog_processor::Dedup;
use hooklog_schemas::ids::Span;
use hooklog_schemas::{Millis, NextOffset, Offset, Partition, Stamp, header};
use hooklog_task::Input;
use hooklog_test_support::{Broker, unique_prefix, wait_until};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminOptions, NewTopic, TopicReplication};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Header, OwnedHeaders, OwnedMessage};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use serde_json::{Value, json};
use tempfile::TempDir;

const HOOKLOG: &str = env!("CARGO_BIN_EXE_hooklog");
const PARTITIONS: u32 = 2;
const ANSWER: Duration = Duration::from_secs(30);
const DAY: i64 = 86_400_000;
/// When the first record of each test came.
const T: i64 = 1_767_225_600_000;

/// Topics of its own on the broker that all tests share. `raw` takes the times that it is given, so that 35 days can pass.
struct World {
    connection: Connection,
    topics: Topics,
    log: String,
    data_dir: TempDir,
}

/// An event that is to be written, with what a test may spoil.
struct Event {
    partition: i32,
    key: String,
    value: Vec<u8>,
    time: i64,
    headers: Vec<(String, Vec<u8>)>,
}

impl Event {
    fn set(&mut self, name: &str, value: &str) {
        let header = self.headers.iter_mut().find(|(header, _)| header == name).expect("a header of the contract");
        header.1 = value.as_bytes().to_vec();
    }
}

type Untouched = fn(&mut Event);
const AS_IT_IS: Untouched = |_| {};

impl World {
    fn new() -> World {
        let connection = Connection::to(Broker::shared(HOOKLOG).address());
        let topics = Topics::with_prefix(unique_prefix());
        create(&connection, &topics);
        let admin = connection.admin().unwrap();
        let log = wait_until("raw has an id", || {
            native::topic_ids(admin.inner(), &[&topics.raw()], ANSWER).unwrap().remove(0).map(|id| id.0)
        });
        let world = World { connection, topics, log, data_dir: TempDir::new().unwrap() };
        for word in ["raw", "events"] {
            let (key, count) = (format!("pinned/{word}"), PARTITIONS.to_string());
            world.write(&world.plain(), &world.topics.control(), 0, &key, count.as_bytes(), T, &[]);
        }
        world
    }

    fn plain(&self) -> ThreadedProducer<DefaultProducerContext> {
        self.connection.client().set("enable.idempotence", "true").create().unwrap()
    }

    fn transactional(&self) -> ThreadedProducer<DefaultProducerContext> {
        let id = self.topics.group("by-hand");
        let producer: ThreadedProducer<_> = self.connection.client().set("transactional.id", id).create().unwrap();
        producer.init_transactions(ANSWER).unwrap();
        producer
    }

    #[expect(clippy::too_many_arguments, reason = "a record has that many parts")]
    fn write(
        &self,
        producer: &ThreadedProducer<DefaultProducerContext>,
        topic: &str,
        partition: i32,
        key: &str,
        value: &[u8],
        time: i64,
        headers: &[(String, Vec<u8>)],
    ) {
        let headers = headers
            .iter()
            .fold(OwnedHeaders::new(), |all, (key, value)| all.insert(Header { key, value: Some(value) }));
        let record =
            BaseRecord::to(topic).partition(partition).key(key).payload(value).timestamp(time).headers(headers);
        producer.send(record).map_err(|(error, _)| error).unwrap();
        producer.flush(ANSWER).unwrap();
    }

    /// One webhook at `time`, as ingest writes it; returns where it stands.
    fn webhook(&self, id: &str, time: i64) -> (Partition, Offset) {
        let body = format!(
            r#"{{"id":"{id}","type":"customer.updated","created":1767225600,"livemode":true,"data":{{"object":{{"object":"customer","id":"cus_{id}"}}}}}}"#
        );
        let partition = partition_for(id.as_bytes(), PARTITIONS);
        let headers = [
            (header::NAMESPACE, "stripe"),
            (header::SOURCE, "shop"),
            (header::RECEIVED_AT, "1767225600000"),
            (header::SIGNATURE_TIME, "1767225600"),
            (header::ENCRYPTION, header::ENCRYPTION_NONE),
        ];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()));
        self.write(&self.plain(), &self.topics.raw(), partition.0, id, body.as_bytes(), time, &headers);
        let end = ends::of(&self.connection, &self.topics.raw(), partition, Isolation::Uncommitted).unwrap().end;
        (partition, Offset(end.0 - 1))
    }

    /// What the processor would emit for the record at `place`.
    fn event_of(&self, (partition, offset): (Partition, Offset)) -> Event {
        let (from, to) = (NextOffset(offset.0), offset.next());
        let span = Stretch { topic: self.topics.raw(), partition, from, to };
        let mut reader = Reader::open(&self.connection, Isolation::Uncommitted, span).unwrap();
        let record: OwnedMessage = reader.next().unwrap().expect("it was written").detach();
        let fold = Dedup { window: Span::days(35), partitions: PARTITIONS, log: self.log.clone() };
        let input = Input::read(&record, Millis::MIN);
        let out = fold.outgoing(&input);
        let headers = out.headers.iter().map(|(name, value)| ((*name).to_owned(), value.to_vec())).collect();
        Event { partition: out.partition.0, key: out.key, value: out.value.to_vec(), time: out.time.0, headers }
    }

    /// Emits the event of `place` in a transaction of its own, spoilt by `spoil`.
    fn emit(&self, place: (Partition, Offset), spoil: impl FnOnce(&mut Event)) {
        let producer = self.transactional();
        self.emit_within(&producer, place, spoil);
        producer.commit_transaction(ANSWER).unwrap();
    }

    fn emit_within(
        &self,
        producer: &ThreadedProducer<DefaultProducerContext>,
        place: (Partition, Offset),
        spoil: impl FnOnce(&mut Event),
    ) {
        let mut event = self.event_of(place);
        spoil(&mut event);
        producer.begin_transaction().unwrap();
        let Event { partition, key, value, time, headers } = &event;
        self.write(producer, &self.topics.events(), *partition, key, value, *time, headers);
    }

    fn ends(&self) -> Vec<i64> {
        let ends = ends::all(&self.connection, &self.topics.raw(), PARTITIONS, Isolation::Uncommitted).unwrap();
        ends.iter().map(|ends| ends.end.0).collect()
    }

    fn group(&self) -> String {
        self.topics.group(hooklog_processor::service::NAME)
    }

    /// Commits these offsets for the processor's group, with its stamp.
    fn commit(&self, next: &[i64]) {
        self.commit_with(next, &Stamp { log: self.log.clone(), fold: 1 }.to_string());
    }

    fn commit_with(&self, next: &[i64], metadata: &str) {
        let offset = |(partition, next): (i32, &i64)| Committed {
            partition: Partition(partition),
            next: NextOffset(*next),
            metadata: metadata.to_owned(),
        };
        let offsets: Vec<Committed> = (0..).zip(next).map(offset).collect();
        committed::overwrite(&self.connection, &self.group(), &self.topics.raw(), &offsets).unwrap();
    }

    fn committed(&self) -> Vec<(i64, String)> {
        let partitions = [Partition(0), Partition(1)];
        let all = committed::stable(&self.connection, &self.group(), &self.topics.raw(), &partitions, ANSWER).unwrap();
        all.into_iter().map(|committed| (committed.next.0, committed.metadata)).collect()
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(HOOKLOG);
        command.args(arguments).args(["--brokers", &self.connection.brokers, "--prefix", self.topics.prefix()]);
        command.arg("--data-dir").arg(self.data_dir.path()).output().unwrap()
    }

    /// The exit code and the one line of JSON.
    fn json(&self, arguments: &[&str]) -> (Option<i32>, Value) {
        let output = self.run(&[arguments, &["--json"]].concat());
        let line = String::from_utf8(output.stdout).unwrap();
        let parsed = serde_json::from_str(&line);
        let errors = String::from_utf8_lossy(&output.stderr);
        (output.status.code(), parsed.unwrap_or_else(|error| panic!("{error}: {line:?} {errors}")))
    }

    #[track_caller]
    fn audit_finds(&self, expected: &Value) {
        let (code, found) = self.json(&["audit"]);
        for (name, count) in expected.as_object().unwrap() {
            assert_eq!(&found[name], count, "{name} of {found}");
        }
        let ok = found["ok"] == true;
        assert_eq!(code, Some(if ok { 0 } else { 1 }), "{found}");
        let damage: u64 = ["missing", "doubled", "foreign", "altered", "torn"]
            .iter()
            .map(|name| found[*name].as_u64().unwrap())
            .sum();
        assert_eq!(ok, damage == 0, "{found}");
    }

    /// Three webhooks with their events, all taken in.
    fn whole() -> (World, Vec<(Partition, Offset)>) {
        let world = World::new();
        let places: Vec<_> = ["evt_1", "evt_2", "evt_3"].iter().map(|id| world.webhook(id, T)).collect();
        places.iter().for_each(|place| world.emit(*place, AS_IT_IS));
        world.commit(&world.ends());
        (world, places)
    }
}

fn new_topic(name: &str, partitions: i32) -> NewTopic<'_> {
    NewTopic::new(name, partitions, TopicReplication::Fixed(1))
}

fn create(connection: &Connection, topics: &Topics) {
    let admin = connection.admin().unwrap();
    let names = [(topics.raw(), PARTITIONS), (topics.events(), PARTITIONS), (topics.control(), 1)];
    let topic = |(name, partitions): (String, u32)| (name, partitions.cast_signed());
    let names = names.map(topic);
    let settings = [("message.timestamp.type", "CreateTime"), ("retention.ms", "-1")];
    let new = names.iter().map(|(name, partitions)| {
        settings.iter().fold(new_topic(name, *partitions), |topic, (name, value)| topic.set(name, value))
    });
    let new: Vec<NewTopic<'_>> = new.collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let options = AdminOptions::new().operation_timeout(Some(ANSWER));
    let made = runtime.block_on(admin.create_topics(&new, &options)).unwrap();
    made.into_iter().for_each(|made| _ = made.unwrap());
}

#[test]
fn a_log_with_repeats_inside_and_outside_the_window_is_whole() {
    let world = World::new();
    let first = world.webhook("evt_1", T);
    let repeat = world.webhook("evt_1", T + 34 * DAY);
    world.webhook("evt_1", T + 60 * DAY);
    let expired = world.webhook("evt_1", T + 95 * DAY);
    let other = world.webhook("evt_2", T + 95 * DAY);
    [first, expired, other].iter().for_each(|place| world.emit(*place, AS_IT_IS));
    world.commit(&world.ends());
    world.audit_finds(&json!({
        "raw": 5, "unique": 3, "events": 3, "missing": 0, "doubled": 0, "foreign": 0, "altered": 0, "torn": 0,
        "expired_repeats": 1, "in_flight": 0, "ok": true,
    }));
    world.emit(repeat, AS_IT_IS);
    world.audit_finds(&json!({ "doubled": 1, "torn": 0, "ok": false }));
}

#[test]
fn what_is_not_taken_in_yet_is_in_flight_and_nothing_else() {
    let (world, _) = World::whole();
    world.webhook("evt_4", T);
    world.audit_finds(&json!({ "raw": 3, "events": 3, "in_flight": 1, "ok": true }));
    let (code, found) = world.json(&["audit", "--wait", "--timeout", "1"]);
    assert_eq!(
        (code, &found["ok"], &found["in_flight"]),
        (Some(1), &json!(false), &json!(1)),
        "who waits wants it all"
    );
}

#[test]
fn an_event_that_was_never_committed_is_missing() {
    let world = World::new();
    let place = world.webhook("evt_1", T);
    let producer = world.transactional();
    world.emit_within(&producer, place, AS_IT_IS);
    producer.abort_transaction(ANSWER).unwrap();
    world.commit(&world.ends());
    world.audit_finds(&json!({ "raw": 1, "unique": 1, "events": 0, "missing": 1, "ok": false }));
}

#[test]
fn an_event_that_was_emitted_again_is_doubled() {
    let (world, places) = World::whole();
    world.emit(places[0], AS_IT_IS);
    world.audit_finds(&json!({ "events": 4, "doubled": 1, "missing": 0, "ok": false }));
    let told = String::from_utf8(world.run(&["audit"]).stderr).unwrap();
    let position = format!("raw/{}/{}", places[0].0, places[0].1);
    assert!(told.contains("doubled") && told.contains(&position), "{told}");
}

#[test]
fn events_that_belong_to_no_record_are_foreign() {
    let (world, places) = World::whole();
    world.emit(places[0], |event| event.set(header::LOG, "AAAAAAAAAAAAAAAAAAAAAA"));
    world.emit(places[0], |event| event.set(header::POSITION, "raw/0/999"));
    world.emit(places[0], |event| event.set(header::POSITION, "raw/7/0"));
    world.emit(places[0], |event| event.headers.clear());
    world.audit_finds(
        &json!({ "events": 7, "foreign": 4, "missing": 0, "doubled": 0, "altered": 0, "torn": 0, "ok": false }),
    );
}

#[test]
fn every_part_of_an_event_is_compared_with_its_record() {
    let spoils: [fn(&mut Event); 8] = [
        |event| event.value.push(b'\n'),
        |event| event.key = "stripe/test/cus_evt_1".to_owned(),
        |event| event.set(header::CE_ID, "evt_9"),
        |event| event.time += 1,
        |event| event.partition = 1 - event.partition,
        |event| event.set(header::CE_TYPE, "customer.deleted"),
        |event| event.set(header::SOURCE, "another"),
        |event| event.headers.retain(|(name, _)| name != header::CE_SUBJECT),
    ];
    let world = World::new();
    for (n, spoil) in spoils.into_iter().enumerate() {
        let place = world.webhook(&format!("evt_{n}"), T);
        world.emit(place, spoil);
    }
    world.commit(&world.ends());
    world.audit_finds(&json!({ "unique": 8, "events": 8, "altered": 8, "foreign": 0, "missing": 0, "ok": false }));
}

#[test]
fn outputs_without_their_offset_are_torn() {
    let (world, places) = World::whole();
    let mut next = world.ends();
    next[usize::try_from(places[2].0.0).unwrap()] -= 1;
    world.commit(&next);
    world.audit_finds(&json!({ "raw": 2, "events": 3, "torn": 1, "missing": 0, "in_flight": 1, "ok": false }));
}

#[test]
fn what_is_missing_is_repaired_once_and_marked() {
    let (world, _) = World::whole();
    let lost = world.webhook("evt_lost", T);
    world.commit(&world.ends());
    let (code, dry) = world.json(&["repair"]);
    assert_eq!((code, &dry["missing"], &dry["emitted"]), (Some(0), &json!(1), &json!(0)));
    world.audit_finds(&json!({ "missing": 1, "ok": false }));
    let (_, done) = world.json(&["repair", "--apply"]);
    assert_eq!(done["emitted"], 1, "{done}");
    world.audit_finds(&json!({ "events": 4, "missing": 0, "ok": true }));
    let (_, again) = world.json(&["repair", "--apply"]);
    assert_eq!(again["emitted"], 0, "a repair that was done is not done again: {again}");
    let tail = world.run(&["tail", "events", "--from", "beginning", "--no-follow", "--json"]);
    let lines = String::from_utf8(tail.stdout).unwrap();
    let marked: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|event: &Value| event["headers"]["hooklog_repaired"] == "true")
        .collect();
    assert_eq!(marked.len(), 1, "{lines}");
    assert_eq!(marked[0]["headers"]["hooklog_position"], format!("raw/{}/{}", lost.0, lost.1));
}

/// After each of these, `offsets repair --apply` leads back to the same stamped offsets.
#[test]
fn offsets_that_were_deleted_or_reset_are_found_again() {
    let (world, _) = World::whole();
    let (right, stamp) = (world.ends(), Stamp { log: world.log.clone(), fold: 1 }.to_string());
    let healed: Vec<(i64, String)> = right.iter().map(|next| (*next, stamp.clone())).collect();
    let reset_to_zero: &dyn Fn() = &|| world.commit_with(&[0, 0], "");
    let reset_to_end: &dyn Fn() = &|| world.commit_with(&right, "");
    let deleted: &dyn Fn() = &|| delete_group(&world);
    let stamped_behind: &dyn Fn() = &|| world.commit_with(&[0, 0], &stamp);
    let stamped_beyond: &dyn Fn() = &|| world.commit_with(&[900, 900], &stamp);
    for damage in [reset_to_zero, reset_to_end, deleted, stamped_behind, stamped_beyond] {
        damage();
        let before = world.committed();
        let (code, dry) = world.json(&["offsets", "repair"]);
        assert_eq!((code, &dry["applied"]), (Some(0), &json!(false)));
        assert!(dry["changes"].as_u64().unwrap() > 0, "{dry}");
        assert_eq!(world.committed(), before, "a dry run writes nothing");
        let (_, done) = world.json(&["offsets", "repair", "--apply"]);
        assert_eq!(world.committed(), healed, "{done}");
        world.audit_finds(&json!({ "raw": 3, "events": 3, "ok": true }));
    }
    assert_eq!(world.json(&["offsets", "repair"]).1["changes"], 0);
}

fn delete_group(world: &World) {
    let admin = world.connection.admin().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let group = world.group();
    let deleted = runtime.block_on(admin.delete_groups(&[&group], &AdminOptions::new())).unwrap();
    deleted.into_iter().for_each(|deleted| _ = deleted.unwrap());
    assert_eq!(world.committed(), []);
}

#[test]
fn offsets_do_not_move_under_a_group_that_has_members() {
    let (world, _) = World::whole();
    let mut config: ClientConfig = world.connection.client();
    let member: BaseConsumer = config.set("group.id", world.group()).create().unwrap();
    member.subscribe(&[&world.topics.raw()]).unwrap();
    wait_until("it is a member", || {
        let _ = member.poll(Duration::from_millis(50));
        (member.assignment().unwrap().count() > 0).then_some(())
    });
    let output = world.run(&["offsets", "repair", "--apply"]);
    assert_eq!(output.status.code(), Some(3));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("has 1 members"), "{told}");
}

#[test]
fn a_topic_is_shown_from_where_one_asks_and_no_further_than_it_goes() {
    let (world, places) = World::whole();
    let tail = |arguments: &[&str]| {
        let output = world.run(&[&["tail"], arguments, &["--no-follow"]].concat());
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(tail(&["raw", "--from", "beginning"]).lines().count(), 3);
    assert_eq!(tail(&["events", "--from", "beginning"]).lines().count(), 3);
    assert_eq!(tail(&["events", "--from", "end"]).lines().count(), 0);
    assert_eq!(tail(&["control", "--from", "beginning"]).lines().count(), 2);
    assert_eq!(tail(&["raw", "--from", "beginning", "--limit", "2"]).lines().count(), 2);
    assert_eq!(tail(&["raw", "--from", "2026-01-02T00:00:00Z"]).lines().count(), 0);
    assert_eq!(tail(&["raw", "--from", "2025-12-31T00:00:00Z"]).lines().count(), 3);
    let one = tail(&["events", "--from", "beginning", "--key", "stripe/live/cus_evt_2"]);
    let shown = one.contains("evt_2") && one.contains(&format!("raw/{}/{}", places[1].0, places[1].1));
    assert!(one.lines().count() == 1 && shown && !one.contains('\x1b'), "{one}");
}

#[test]
fn positions_and_lag_are_shown_by_partition() {
    let (world, _) = World::whole();
    world.webhook("evt_4", T);
    let (code, status) = world.json(&["status", "--over", "0.1"]);
    let partitions = status["partitions"].as_array().unwrap();
    let sum = |name: &str| partitions.iter().map(|line| line[name].as_i64().unwrap()).sum::<i64>();
    assert_eq!((code, sum("raw"), sum("processor"), sum("processor_lag")), (Some(0), 4, 3, 1), "{status}");
    assert!(partitions.iter().all(|line| line["stamped"] == true && line["view"].is_null()), "{status}");
}

#[test]
fn where_nothing_runs_every_tool_says_what_to_do() {
    let data_dir: PathBuf = TempDir::new().unwrap().path().join("nothing");
    let commands: [&[&str]; 7] = [
        &["audit"],
        &["tail", "raw"],
        &["status"],
        &["repair"],
        &["offsets", "repair"],
        &["access", "cus_1"],
        &["subscription", "sub_1"],
    ];
    for command in commands {
        let output = Command::new(HOOKLOG).args(command).arg("--data-dir").arg(&data_dir).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{command:?}: {told}");
        assert!(told.contains("hooklog up") && told.contains("--data-dir"), "{command:?}: {told}");
    }
}
