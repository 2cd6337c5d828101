//! A running `hooklog up`, or one of its services.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use hooklog_log::Topics;
use hooklog_oracle::{Of, Oracle};
use serde_json::json;

use crate::http::{self, Answer};
use crate::process::Process;
use crate::program::Program;
use crate::records::records;
use crate::site::run_file;
use crate::wait::wait_until;

/// A process, and where it said it is.
#[derive(Debug)]
pub struct Up {
    /// To stop, to kill, to look at.
    pub program: Program,
    data_dir: PathBuf,
    topics: Topics,
}

impl Up {
    pub(crate) fn new(program: Program, data_dir: &Path, topics: Topics) -> Self {
        Self { program, data_dir: data_dir.to_owned(), topics }
    }

    /// `http://host:port` of `ingest` or `query`, or `host:port` of `brokers`.
    ///
    /// # Panics
    /// It does not serve that.
    #[track_caller]
    pub fn address(&self, of: &str) -> &str {
        self.program.ready()[of].as_str().unwrap_or_else(|| panic!("no {of} in {}", self.program.ready()))
    }

    /// `host:port` of Kafka.
    pub fn brokers(&self) -> &str {
        self.address("brokers")
    }

    /// Its own broker, as `run.json` names it; waits for one that is being started.
    ///
    /// # Panics
    /// There is none in time.
    #[track_caller]
    pub fn broker(&self) -> Process {
        wait_until("run.json names a broker that runs", || {
            let pid = run_file(&self.data_dir)["broker_pid"].as_i64()?;
            Process::of(i32::try_from(pid).ok()?)
        })
    }

    /// Asks the query API.
    ///
    /// # Panics
    /// Nobody answers.
    #[track_caller]
    pub fn get(&self, path: &str) -> Answer {
        http::get(self.address("query"), path).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// The sum of a metric over all series whose labels hold `label`.
    ///
    /// # Panics
    /// Nobody answers.
    #[track_caller]
    pub fn metric(&self, name: &str, label: &str) -> f64 {
        let text = self.get("/metrics").body;
        let series = text.lines().filter(|line| line.split(['{', ' ']).next() == Some(name) && line.contains(label));
        series.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// Waits until the program's log holds `words`, and returns the line.
    ///
    /// # Panics
    /// It does not in time.
    #[track_caller]
    pub fn says(&self, words: &str) -> String {
        wait_until(&format!("the log says {words:?}"), || {
            self.program.stderr().lines().find(|line| line.contains(words)).map(str::to_owned)
        })
    }

    /// Posts a webhook, signed with the secret of the data directory.
    ///
    /// # Panics
    /// Nobody answers.
    #[track_caller]
    pub fn post(&self, body: &[u8]) -> Answer {
        let secret =
            std::fs::read_to_string(self.data_dir.join("secrets/stripe")).expect("`up` keeps its secret there");
        http::post_signed(self.address("ingest"), secret.trim_end(), now(), body).expect("ingest answers")
    }

    /// Waits until the views hold all that is in `events`.
    ///
    /// # Panics
    /// They do not in time.
    #[track_caller]
    pub fn views_follow(&self) {
        let mut last = BTreeMap::new();
        for record in records(self.brokers(), &self.topics.events()) {
            last.insert(i64::from(record.partition), record.offset);
        }
        wait_until("the views hold all of events", || {
            let ready = self.get("/readyz").json();
            let rows = ready["views"]["partitions"].as_array()?;
            let next = |partition: i64| rows.iter().find(|row| row["partition"] == partition)?["next"].as_i64();
            last.iter().all(|(partition, offset)| next(*partition).is_some_and(|next| next > *offset)).then_some(())
        });
    }

    /// What the query API says of each of these customers.
    ///
    /// # Panics
    /// One is not known, or is somebody else.
    #[track_caller]
    pub fn access<'o>(&self, of: impl IntoIterator<Item = &'o Of>) -> BTreeMap<Of, bool> {
        let told = |of: &Of| {
            let answer = self.get(&format!("/v1/customers/{}/access?{}", of.id, narrowed(of)));
            assert_eq!((answer.status, &answer.json()["account"]), (200, &json!(of.account)), "{of:?} {answer:?}");
            (of.clone(), answer.json()["access"].as_bool().expect("access is true or false"))
        };
        of.into_iter().map(told).collect()
    }

    /// Every customer has the access that the oracle says.
    ///
    /// # Panics
    /// One has not.
    #[track_caller]
    pub fn equals(&self, oracle: &Oracle, past_due_gives_access: bool) {
        let expected = oracle.customers(past_due_gives_access);
        assert!(!expected.is_empty(), "an oracle that was told nothing");
        assert_eq!(self.access(expected.keys()), expected);
    }
}

/// The parameters that name the scope of an object.
pub fn narrowed(of: &Of) -> String {
    let account = of.account.as_ref().map(|account| format!("&account={account}")).unwrap_or_default();
    format!("livemode={}{account}", of.livemode)
}

#[expect(clippy::disallowed_methods, reason = "a webhook is signed with the time of its sending")]
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
