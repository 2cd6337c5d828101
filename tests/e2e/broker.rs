//! The local broker: started, adopted, replaced, restarted, given up, refused.

use hooklog_test_support::{Port, Process, Program, Refused, failed_append, unique_prefix, wait_until};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

const HOOKLOG: &str = env!("CARGO_BIN_EXE_hooklog");
const ANSWER: Duration = Duration::from_secs(30);

/// A data directory whose name is hard on whoever writes it into a file, in another one that can be removed.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary directory"))
    }

    fn data_dir(&self) -> PathBuf {
        self.0.path().join("data, ümläut = \\1")
    }

    fn command(&self, port: u16) -> Command {
        let mut command = Command::new(HOOKLOG);
        command.args(["broker", "run", "--kafka-port", &port.to_string(), "--data-dir"]).arg(self.data_dir());
        command
    }

    fn try_start(&self, port: u16) -> Result<Program, Refused> {
        Program::spawn(self.command(port))
    }

    fn start(&self) -> Program {
        self.try_start(0).unwrap_or_else(|refused| panic!("{refused}"))
    }

    /// The broker on record, which may not answer yet.
    fn recorded_broker(&self) -> Option<Process> {
        let record: serde_json::Value =
            serde_json::from_slice(&fs::read(self.data_dir().join("broker/process.json")).ok()?).ok()?;
        Process::of(i32::try_from(record["pid"].as_i64()?).ok()?)
    }

    /// Whoever runs on it, by its command line.
    fn processes(&self) -> Vec<String> {
        let commands = fs::read_dir("/proc")
            .expect("/proc is there")
            .filter_map(|entry| fs::read(entry.ok()?.path().join("cmdline")).ok());
        let commands = commands.map(|command| String::from_utf8_lossy(&command).replace('\0', " "));
        commands.filter(|command| command.contains(self.data_dir().to_str().expect("UTF-8"))).collect()
    }

    /// What the record looks like after the machine has gone down under the broker.
    fn pretend_another_boot(&self) {
        let path = self.data_dir().join("broker/process.json");
        let mut record: serde_json::Value =
            serde_json::from_slice(&fs::read(&path).expect("a record")).expect("it is JSON");
        record["boot_id"] = "another".into();
        fs::write(&path, record.to_string()).expect("it can be written");
    }

    /// The broker's own process, as run.json names it.
    fn broker(&self) -> Process {
        let text = fs::read(self.data_dir().join("run.json")).expect("a running hooklog has its run.json");
        let run: serde_json::Value = serde_json::from_slice(&text).expect("run.json is JSON");
        let pid = run["broker_pid"].as_i64().expect("run.json names the broker's pid");
        Process::of(i32::try_from(pid).expect("a pid is small")).expect("the broker runs")
    }
}

/// Where a test fails between two programs, the broker would stay for ever.
impl Drop for Place {
    fn drop(&mut self) {
        self.recorded_broker().inspect(Process::kill);
    }
}

fn address(program: &Program) -> String {
    program.ready()["brokers"].as_str().expect("it says where the broker is").to_owned()
}

fn client(program: &Program) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", address(program));
    config
}

/// A topic of one partition with this one record, acknowledged.
fn write(program: &Program, value: &str) -> String {
    let topic = format!("{}records", unique_prefix());
    let admin: AdminClient<_> = client(program).create().expect("an admin client");
    let wanted = [NewTopic::new(&topic, 1, TopicReplication::Fixed(1))];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let created = runtime.block_on(admin.create_topics(&wanted, &AdminOptions::new().operation_timeout(Some(ANSWER))));
    created.expect("an answer").into_iter().for_each(|topic| drop(topic.expect("the topic is new")));
    append(program, &topic, value);
    topic
}

fn append(program: &Program, topic: &str, value: &str) {
    let producer: BaseProducer = client(program).set("acks", "all").create().expect("a producer");
    producer.send(BaseRecord::<str, str>::to(topic).partition(0).payload(value)).expect("room in the queue");
    producer.flush(ANSWER).expect("an acknowledgement");
}

fn read(program: &Program, topic: &str, count: i64) -> Vec<String> {
    let consumer: BaseConsumer = client(program).set("group.id", "none").create().expect("a consumer");
    let mut from = TopicPartitionList::new();
    from.add_partition_offset(topic, 0, Offset::Beginning).expect("a place to begin");
    consumer.assign(&from).expect("an assignment");
    (0..count)
        .map(|_| {
            wait_until("the next record comes", || match consumer.poll(Duration::from_millis(100)) {
                Some(Ok(record)) => Some(String::from_utf8_lossy(record.payload().unwrap_or_default()).into_owned()),
                _ => None,
            })
        })
        .collect()
}

#[test]
fn after_a_kill_of_hooklog_the_next_one_adopts_its_broker() {
    let place = Place::new();
    let first = place.start();
    let (broker, old_address) = (place.broker(), address(&first));
    let topic = write(&first, "one");
    first.kill();
    assert!(broker.is_alive(), "the broker went with hooklog");
    let second = place.start();
    assert_eq!(place.broker(), broker);
    assert_eq!(address(&second), old_address);
    append(&second, &topic, "two");
    assert_eq!(read(&second, &topic, 2), ["one", "two"]);
    assert!(second.stop().success());
    assert!(!broker.is_alive(), "an adopted broker is stopped like any other");
}

#[test]
fn after_a_kill_of_both_a_new_broker_goes_on_with_the_old_data() {
    let place = Place::new();
    let first = place.start();
    let broker = place.broker();
    let topic = write(&first, "one");
    first.kill();
    broker.kill();
    let second = place.start();
    assert_ne!(place.broker(), broker);
    append(&second, &topic, "two");
    assert_eq!(read(&second, &topic, 2), ["one", "two"]);
}

#[test]
fn a_power_loss_stays_on_record_until_somebody_has_looked_after_it() {
    let place = Place::new();
    let mark = place.data_dir().join("broker/power-loss");
    let (program, broker) = (place.start(), place.broker());
    program.kill();
    broker.kill();
    assert!(place.start().stop().success());
    assert!(!mark.exists(), "a kill is no power loss");
    let (program, broker) = (place.start(), place.broker());
    program.kill();
    broker.kill();
    place.pretend_another_boot();
    for _ in 0..2 {
        assert!(place.start().stop().success());
        assert!(mark.exists());
    }
}

#[test]
fn an_orphan_at_another_port_than_the_wanted_one_is_replaced() {
    let place = Place::new();
    let first = place.start();
    let (broker, old_address) = (place.broker(), address(&first));
    first.kill();
    let reserved = Port::reserve();
    let port = reserved.number();
    let second = place.try_start(port).unwrap_or_else(|refused| panic!("{refused}"));
    assert_eq!(address(&second), format!("127.0.0.1:{port}"));
    assert_ne!(address(&second), old_address);
    assert!(!broker.is_alive(), "two brokers on one data directory");
}

#[test]
fn an_orphan_without_a_record_is_found_by_its_command_line_and_replaced() {
    let place = Place::new();
    let first = place.start();
    let broker = place.broker();
    let topic = write(&first, "one");
    first.kill();
    fs::remove_file(place.data_dir().join("broker/process.json")).unwrap();
    let second = place.start();
    assert_ne!(place.broker(), broker);
    assert!(!broker.is_alive());
    assert_eq!(read(&second, &topic, 1), ["one"]);
}

#[test]
fn a_broker_that_dies_is_started_again_at_its_port_even_an_adopted_one() {
    let place = Place::new();
    let first = place.start();
    let topic = write(&first, "one");
    let broker = place.broker();
    broker.kill();
    let restarted = wait_for_another_broker(&place, &broker);
    assert_eq!(read(&first, &topic, 1), ["one"]);
    first.kill();
    let second = place.start();
    assert_eq!(place.broker(), restarted);
    restarted.kill();
    wait_for_another_broker(&place, &restarted);
    assert_eq!(read(&second, &topic, 1), ["one"]);
}

#[test]
fn a_broker_that_dies_three_times_in_a_minute_is_given_up_with_the_name_of_its_log() {
    let place = Place::new();
    let program = place.start();
    let hooklog = program.process().clone();
    wait_until("hooklog has given up", || {
        place.recorded_broker().inspect(Process::kill);
        (!hooklog.is_alive()).then_some(())
    });
    let end = program.ended();
    assert_eq!(end.code, Some(3), "{}", end.stderr);
    assert!(end.stderr.contains("died 3 times"), "{}", end.stderr);
    assert!(end.stderr.contains("broker/logs/server.log"), "{}", end.stderr);
}

/// Its disk refuses an append; then it ends.
fn fail_to_append(place: &Place) {
    failed_append::say(&place.data_dir());
    place.broker().kill();
}

#[test]
fn a_broker_whose_append_failed_is_not_started_again_beside_others_that_use_its_log() {
    let place = Place::new();
    let program = place.start();
    fail_to_append(&place);
    let end = program.ended();
    assert_eq!(end.code, Some(3), "{}", end.stderr);
    assert!(end.stderr.contains("hooklog up"), "it names no way out: {}", end.stderr);
    assert!(place.data_dir().join("broker/power-loss").exists(), "nobody would check its log");
    assert_eq!(place.processes(), Vec::<String>::new());
}

#[test]
fn a_broker_that_is_given_up_after_a_failed_append_leaves_the_mark_of_that() {
    let place = Place::new();
    let program = place.start();
    for _ in 0..2 {
        let broker = place.broker();
        broker.kill();
        wait_for_another_broker(&place, &broker);
    }
    fail_to_append(&place);
    let end = program.ended();
    assert_eq!(end.code, Some(3), "{}", end.stderr);
    assert!(end.stderr.contains("died 3 times"), "{}", end.stderr);
    assert!(place.data_dir().join("broker/power-loss").exists(), "nobody would check its log");
}

#[test]
fn a_broker_whose_record_cannot_be_written_does_not_run_on_unknown() {
    let place = Place::new();
    assert!(place.start().stop().success());
    // A directory stands where the record is written first.
    fs::create_dir_all(place.data_dir().join("broker/process.unfinished/x")).unwrap();
    let refused = place.try_start(0).unwrap_err();
    assert!(refused.code == Some(3) && refused.stderr.contains("process.unfinished"), "{refused}");
    assert_eq!(place.processes(), Vec::<String>::new());
}

#[test]
fn an_orderly_stop_leaves_no_process_and_no_trace_of_one() {
    let place = Place::new();
    let program = place.start();
    let broker = place.broker();
    assert!(program.stop().success());
    assert!(!broker.is_alive());
    assert!(!place.data_dir().join("run.json").exists());
    assert!(!place.data_dir().join("broker/process.json").exists());
}

#[test]
fn a_port_that_is_taken_is_named_with_the_flag_that_chooses_another() {
    let place = Place::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let refused = place.try_start(port).unwrap_err();
    assert_eq!(refused.code, Some(3), "{refused}");
    assert!(refused.stderr.contains(&format!("port {port}")), "{refused}");
    assert!(refused.stderr.contains("--kafka-port"), "{refused}");
}

#[test]
fn a_data_directory_in_use_is_refused_with_the_pid_of_its_owner() {
    let place = Place::new();
    let program = place.start();
    let refused = place.try_start(0).unwrap_err();
    assert_eq!(refused.code, Some(3), "{refused}");
    assert!(refused.stderr.contains(&format!("pid {}", program.process().pid)), "{refused}");
    assert!(place.broker().is_alive(), "the refused one ended the broker of the other");
}

#[test]
fn without_java_or_maven_it_says_what_to_install() {
    let machine = Machine::new();
    let refused = machine.refuses();
    assert!(refused.contains("Java") && refused.contains("make setup"), "{refused}");
    machine.link("java");
    let refused = machine.refuses();
    assert!(refused.contains("Maven") && refused.contains("make setup"), "{refused}");
}

#[test]
fn without_a_network_it_says_what_maven_said() {
    let machine = Machine::new();
    machine.link("java");
    machine.maven("echo '[ERROR] Could not transfer artifact x: Unknown host y'; exit 1");
    let refused = machine.refuses();
    assert!(refused.contains("Unknown host y") && refused.contains("--brokers"), "{refused}");
    assert!(!machine.has_jars());
}

#[test]
fn jars_that_are_not_those_of_the_lock_file_are_not_kept() {
    let machine = Machine::new();
    machine.link("java");
    machine.maven("/bin/mkdir jars && echo evil > jars/kafka-clients-4.3.1.jar");
    let refused = machine.refuses();
    assert!(refused.contains("not those of the lock file"), "{refused}");
    assert!(!machine.has_jars());
}

#[test]
fn a_temporary_broker_ends_with_the_test_that_wanted_it() {
    let own = ["broker", "run", "--temporary", "--kafka-port", "0"];
    let program = Program::start(HOOKLOG, &own).unwrap_or_else(|refused| panic!("{refused}"));
    let prefix = format!("hooklog-{}-", program.process().pid);
    let left = || fs::read_dir(std::env::temp_dir()).unwrap().filter(|entry| is_named(entry, &prefix)).count();
    assert_eq!(left(), 1);
    let end = program.abandon();
    assert_eq!(end.code, Some(0), "{}", end.stderr);
    assert_eq!(left(), 0);
}

fn is_named(entry: &std::io::Result<fs::DirEntry>, prefix: &str) -> bool {
    entry.as_ref().is_ok_and(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
}

fn wait_for_another_broker(place: &Place, old: &Process) -> Process {
    wait_until("run.json names another broker, which runs", || {
        let text = fs::read(place.data_dir().join("run.json")).ok()?;
        let run: serde_json::Value = serde_json::from_slice(&text).ok()?;
        let process = Process::of(i32::try_from(run["broker_pid"].as_i64()?).ok()?)?;
        (process != *old).then_some(process)
    })
}

/// A machine with an empty cache and nothing on the PATH but what it is given.
struct Machine {
    place: Place,
    path: TempDir,
}

impl Machine {
    fn new() -> Self {
        Self { place: Place::new(), path: tempfile::tempdir().expect("a temporary directory") }
    }

    fn link(&self, program: &str) {
        symlink(found(program), self.path.path().join(program)).expect("a link");
    }

    fn maven(&self, script: &str) {
        let path = self.path.path().join("mvn");
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("a script");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it can be run");
    }

    fn cache(&self) -> PathBuf {
        self.path.path().join("cache")
    }

    /// Why it does not start, which has to be something that is not there.
    fn refuses(&self) -> String {
        let mut command = self.place.command(0);
        command.env("PATH", self.path.path()).env("XDG_CACHE_HOME", self.cache()).env_remove("JAVA_HOME");
        let refused = Program::spawn(command).expect_err("it cannot start");
        assert_eq!(refused.code, Some(3), "{refused}");
        refused.stderr
    }

    /// Whole or in part.
    fn has_jars(&self) -> bool {
        fs::read_dir(self.cache().join("hooklog"))
            .expect("the cache")
            .any(|entry| entry.is_ok_and(|entry| entry.path().is_dir()))
    }
}

fn found(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").expect("a PATH");
    let found = std::env::split_paths(&path).map(|directory| directory.join(program)).find(|path| path.exists());
    found.and_then(|path| Path::canonicalize(&path).ok()).unwrap_or_else(|| panic!("{program} is on the PATH"))
}
