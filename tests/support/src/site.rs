//! One installation of hooklog, which outlives its processes: a data directory, and where its log is.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use hooklog_log::Topics;
use hooklog_oracle::{Oracle, expected_events};
use serde_json::Value;
use tempfile::TempDir;

use crate::broker::Broker;
use crate::names::unique_prefix;
use crate::port::Port;
use crate::process::Process;
use crate::program::{Program, Refused};
use crate::records::{Record, committed, ends, records};
use crate::up::Up;
use crate::wait::wait_until;

/// What the broker of a test is given of partitions: as many as `up`'s own has.
const PARTITIONS: &str = "4";

/// A data directory, with a cluster and a prefix, or with a broker of its own.
#[derive(Debug)]
pub struct Site {
    binary: String,
    directory: PathBuf,
    /// Removes the directory, where it is the test's own.
    _temporary: Option<TempDir>,
    cluster: Option<String>,
    /// Of its own broker, where it has one.
    port: Option<Port>,
    prefix: String,
}

/// How a command ended that ends by itself.
#[derive(Debug)]
pub struct Done {
    /// Its exit code; `None` after a signal.
    pub code: Option<i32>,
    /// What it said.
    pub stdout: String,
    /// What it complained of.
    pub stderr: String,
}

impl Done {
    /// Its only line.
    ///
    /// # Panics
    /// It is no JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Site {
    /// On topics of its own of a broker that others use too.
    ///
    /// # Panics
    /// No directory can be made.
    pub fn on(broker: &Broker, binary: &str) -> Self {
        Self::at(broker.address(), binary)
    }

    /// On topics of its own of the broker at `address`.
    ///
    /// # Panics
    /// No directory can be made.
    pub fn at(address: &str, binary: &str) -> Self {
        Self::new(binary, Some(address.to_owned()), unique_prefix())
    }

    /// Another installation on the same topics: another machine of the same group.
    ///
    /// # Panics
    /// No directory can be made, or the broker is this site's own.
    pub fn beside(&self) -> Self {
        let cluster = self.cluster.clone().expect("a broker that others use too");
        Self::new(&self.binary, Some(cluster), self.prefix.clone())
    }

    /// With a broker of its own, that `up` starts at a port that nobody takes while it is away.
    ///
    /// # Panics
    /// No directory can be made.
    pub fn alone(binary: &str) -> Self {
        Self::new(binary, None, Topics::default().prefix().to_owned())
    }

    /// With a broker of its own, below a directory that outlives this value.
    pub fn alone_in(binary: &str, directory: &Path) -> Self {
        let prefix = Topics::default().prefix().to_owned();
        let directory = directory.to_owned();
        Self { binary: binary.to_owned(), directory, _temporary: None, cluster: None, port: None, prefix }
    }

    fn new(binary: &str, cluster: Option<String>, prefix: String) -> Self {
        let temporary = tempfile::tempdir().expect("a temporary directory");
        let directory = temporary.path().to_owned();
        let port = cluster.is_none().then(Port::reserve);
        Self { binary: binary.to_owned(), directory, _temporary: Some(temporary), cluster, port, prefix }
    }

    /// A file of the test's own, beside the data directory.
    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// The data directory.
    pub fn data_dir(&self) -> PathBuf {
        self.file("data")
    }

    /// The names of its topics.
    pub fn topics(&self) -> Topics {
        Topics::with_prefix(&self.prefix)
    }

    /// The processor's consumer group.
    pub fn group(&self) -> String {
        self.topics().group("processor")
    }

    /// `hooklog <arguments>`, which is told where this site is.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(arguments).arg("--data-dir").arg(self.data_dir());
        if let Some(cluster) = &self.cluster {
            command.args(["--brokers", cluster, "--prefix", &self.prefix]);
            // One broker, given as a cluster: without this its topics would be refused.
            command.env("HOOKLOG_REPLICATION", "1");
        }
        command
    }

    /// One that ends by itself.
    ///
    /// # Panics
    /// It cannot be started.
    #[track_caller]
    pub fn run(&self, arguments: &[&str]) -> Done {
        let output = self.command(arguments).stdin(Stdio::null()).output().expect("the binary is there");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Done { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    /// `hooklog up` at free ports, its broker at the same one each time, and ready.
    ///
    /// # Panics
    /// It refuses.
    #[track_caller]
    pub fn up(&self) -> Up {
        self.try_up(&[]).unwrap_or_else(|refused| panic!("{refused}"))
    }

    /// `hooklog up` at free ports unless `more` says otherwise.
    ///
    /// # Errors
    /// It ended before it was ready: how.
    pub fn try_up(&self, more: &[&str]) -> Result<Up, Refused> {
        let addresses = ["--ingest-addr", "127.0.0.1:0", "--query-addr", "127.0.0.1:0", "--partitions", PARTITIONS];
        let kafka = self.port.as_ref().map(|port| port.number().to_string());
        let port: Vec<&str> = kafka.iter().flat_map(|port| ["--kafka-port", port]).collect();
        self.service(&[&["up"], &addresses[..], &port, more].concat())
    }

    /// Any command that goes on until it is stopped.
    ///
    /// # Errors
    /// As [`Site::try_up`].
    pub fn service(&self, arguments: &[&str]) -> Result<Up, Refused> {
        Ok(Up::new(Program::spawn(self.command(arguments))?, &self.data_dir(), self.topics()))
    }

    /// `hooklog send` to the running `up`, until all is acknowledged; gives its report.
    ///
    /// # Panics
    /// Not all is.
    #[track_caller]
    pub fn send(&self, arguments: &[&str]) -> Value {
        let done = self.run(&[&["send", "--json", "--retry", "--retry-for", "60"], arguments].concat());
        assert_eq!(done.code, Some(0), "{done:?}");
        done.json()
    }

    /// `up` with `flags`, and views that hold all that `send` makes of `made_up`, posted with `manners` on top; and what
    /// they must then answer.
    ///
    /// # Panics
    /// It does not come to that.
    #[track_caller]
    pub fn filled(&self, flags: &[&str], made_up: &[&str], manners: &[&str]) -> (Up, Oracle) {
        let up = self.try_up(flags).unwrap_or_else(|refused| panic!("{refused}"));
        self.send(&[made_up, manners].concat());
        self.processed(up.brokers());
        up.views_follow();
        (up, Oracle::from_ordered(self.bodies(made_up)))
    }

    /// The bodies that `send` posts with these arguments, each once and in their true order.
    ///
    /// # Panics
    /// There are none.
    #[track_caller]
    pub fn bodies(&self, arguments: &[&str]) -> Vec<Vec<u8>> {
        let done = self.run(&[&["send", "--print"], arguments].concat());
        assert_eq!(done.code, Some(0), "{done:?}");
        done.stdout.lines().map(|line| line.as_bytes().to_vec()).collect()
    }

    /// `hooklog audit --wait` holds.
    ///
    /// # Panics
    /// It does not.
    #[track_caller]
    pub fn audit(&self) -> Value {
        let done = self.run(&["audit", "--wait", "--json"]);
        assert_eq!((done.code, &done.json()["ok"]), (Some(0), &Value::Bool(true)), "{done:?}");
        done.json()
    }

    /// `raw` and `events`, once the processor has taken in all of `raw`.
    ///
    /// # Panics
    /// It does not in time.
    #[track_caller]
    pub fn processed(&self, brokers: &str) -> (Vec<Record>, Vec<Record>) {
        let topics = self.topics();
        let raw = ends(brokers, &topics.raw());
        wait_until("the processor has taken in all of raw", || {
            let committed = committed(brokers, &self.group(), &topics.raw());
            // An offset without our stamp is a test's own, which says nothing of the processor.
            let ours = |(next, stamp): &(i64, String)| if stamp.starts_with("hooklog/") { *next } else { 0 };
            let next = |partition: &i32| committed.get(partition).map_or(0, ours);
            raw.iter().all(|(partition, end)| next(partition) >= *end).then_some(())
        });
        (records(brokers, &topics.raw()), records(brokers, &topics.events()))
    }

    /// The transactional id of worker `n` of its processor, once that has run.
    ///
    /// # Panics
    /// It has not.
    #[track_caller]
    pub fn transactional_id(&self, n: usize) -> String {
        let instance = std::fs::read_to_string(self.data_dir().join("processor/instance"));
        format!("{}-{}-{n}", self.group(), instance.expect("the processor has run here").trim())
    }

    /// The directory of the processor's stores.
    ///
    /// # Panics
    /// There is none, or more than one.
    #[track_caller]
    pub fn stores(&self) -> PathBuf {
        let entries = std::fs::read_dir(self.data_dir().join("processor")).expect("the processor has run here");
        let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
        let mut stores: Vec<_> = paths.filter(|path| path.is_dir()).collect();
        assert_eq!(stores.len(), 1, "{stores:?}");
        stores.remove(0)
    }

    /// `events` holds what the oracle says of `raw`, each once and nothing else, and `hooklog audit` agrees. Returns how
    /// many events there are.
    ///
    /// # Panics
    /// Something is missing, doubled or strange.
    #[track_caller]
    pub fn is_exact(&self, brokers: &str) -> usize {
        let (raw, events) = self.processed(brokers);
        let raw: Vec<_> = raw.iter().map(Record::as_raw).collect();
        let position = |(partition, offset): (i32, i64)| format!("raw/{partition}/{offset}");
        let mut expected: Vec<_> = expected_events(&raw).iter().map(|event| position(event.position)).collect();
        let found =
            events.iter().map(|event| event.header("hooklog_position").expect("every event has one").to_owned());
        let mut found: Vec<_> = found.collect();
        found.sort();
        expected.sort();
        let (lost, more) = (absent(&expected, &found), absent(&found, &expected));
        assert!(lost.is_empty() && more.is_empty(), "lost: {lost:?}, not asked for: {more:?}");
        assert_eq!(found.len(), expected.len(), "some came twice");
        self.audit();
        found.len()
    }

    /// The broker that a crash may have left, from the record that is kept of it.
    pub fn recorded_broker(&self) -> Option<Process> {
        let record = std::fs::read(self.data_dir().join("broker/process.json")).ok()?;
        let record: Value = serde_json::from_slice(&record).ok()?;
        Process::of(i32::try_from(record["pid"].as_i64()?).ok()?)
    }
}

/// Where a test fails between two processes, the broker would stay for ever.
impl Drop for Site {
    fn drop(&mut self) {
        self.recorded_broker().inspect(Process::kill);
    }
}

/// What is in the one and not in the other; both sorted.
fn absent<'a>(of: &'a [String], from: &[String]) -> Vec<&'a str> {
    of.iter().filter(|one| from.binary_search(one).is_err()).map(String::as_str).collect()
}

/// What `run.json` in a data directory says.
///
/// # Panics
/// It is not there, or not whole.
#[track_caller]
pub(crate) fn run_file(data_dir: &Path) -> Value {
    let text = std::fs::read(data_dir.join("run.json")).expect("a running hooklog has its run.json");
    serde_json::from_slice(&text).expect("run.json is JSON")
}
