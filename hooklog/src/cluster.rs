//! The cluster that a tool looks at: the one that was named, else the one of the `hooklog` that runs on the data directory,
//! else the broker that the data directory has of its own, started for the tool and stopped after it.
//! Nothing is created and nothing is pinned here: a tool that looks must leave no trace.

mod own;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use hooklog_log::connection::{ASK, Isolation};
use hooklog_log::provision::{Pinned, Provisioned};
use hooklog_log::reader::{OffsetRange, Reader};
use hooklog_log::{Connection, native, watermarks};
use hooklog_processor::{Conflicts, service};
use hooklog_schemas::Partition;
use hooklog_schemas::ids::Span;
use hooklog_store::Registry;
use hooklog_task::commit_policy::CommitPolicy;
use rdkafka::message::Message;

use crate::broker::{self, PowerLoss};
use crate::datadir::RunFile;
use crate::settings::{self, Common, Settings};

/// How long an open transaction may hold up an answer: its timeout, the broker's clean-up, and room to spare.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Memory for a store that is opened to be asked one question.
const STORE_MEMORY: usize = 16 << 20;

/// Where Kafka is, and what was said about everything else.
pub(crate) struct Cluster {
    pub(crate) settings: Settings,
    pub(crate) connection: Connection,
    /// Who runs on the data directory, if anybody does.
    pub(crate) run: Option<RunFile>,
    /// Whether the data directory is locked by us, with its broker started for us.
    pub(crate) is_ours: bool,
}

impl Cluster {
    /// Finds it without talking to it.
    pub(crate) fn find(common: &Common) -> Result<Cluster> {
        let settings = settings::settings(common)?;
        let run = RunFile::find(&settings.data_dir)?;
        let running = run.as_ref().and_then(|run| run.brokers.clone());
        let brokers = settings.brokers.clone().or(running).ok_or_else(|| nothing_runs(&settings.data_dir))?;
        Ok(Cluster { connection: settings.connection_to(&brokers), settings, run, is_ours: false })
    }

    /// Does `work` on the cluster that [`Cluster::find`] finds. Where none is named and none runs, and the data directory has
    /// a broker of its own, that one is started for it, and stopped in order afterwards.
    pub(crate) fn visit<T>(common: &Common, work: impl FnOnce(&Cluster) -> Result<T>) -> Result<T> {
        let settings = settings::settings(common)?;
        let runs = settings.brokers.is_some() || RunFile::find(&settings.data_dir)?.is_some();
        if runs || !broker::is_in(&settings.data_dir) {
            return work(&Cluster::find(common)?);
        }
        own::with(&settings, |brokers| {
            let connection = settings.connection_to(brokers);
            work(&Cluster { connection, settings: settings.clone(), run: None, is_ours: true })
        })
    }

    /// For a command that writes: the log of our own broker may lack what others hold. What is appended to it now would hide
    /// that from the check, which `hooklog up` makes before it serves anything.
    pub(crate) fn refuse_a_log_that_is_to_be_checked(&self) -> Result<()> {
        let running = self.run.as_ref().and_then(|run| run.brokers.as_deref());
        match loss(&self.settings.data_dir, self.settings.brokers.as_deref(), running) {
            Some(loss) => bail!(
                "{}, and its log was not checked since, so nothing is written to it: start `hooklog up`, which checks and repairs it first. To accept the log as it is, delete {} (docs/guide/operations.md, The power went)",
                loss.cause(),
                loss.mark().display()
            ),
            None => Ok(()),
        }
    }

    /// The topics as they are.
    pub(crate) fn topics(&self) -> Result<Provisioned> {
        let topics = self.settings.topics();
        let pin = |name: String, word: &str| self.pinned(name, word);
        let (raw, events) = (pin(topics.raw(), "raw")?, pin(topics.events(), "events")?);
        Ok(Provisioned { topics, raw, events, warnings: Vec::new() })
    }

    /// What the processor of this cluster is made of, as far as a tool needs it.
    pub(crate) fn processor(&self, topics: Provisioned) -> service::Config {
        service::Config {
            connection: self.connection.clone(),
            topics,
            window: self.window(),
            directory: PathBuf::new(),
            instance: String::new(),
            workers: 1,
            registry: Registry::with_memory(STORE_MEMORY),
            commit_policy: CommitPolicy::default(),
            conflicts: Conflicts::default(),
        }
    }

    pub(crate) fn window(&self) -> Span {
        Span::days(i64::from(self.settings.dedup_window_days))
    }

    fn pinned(&self, name: String, word: &str) -> Result<Pinned> {
        let admin = self.connection.admin()?;
        let ids = native::topic_ids(admin.inner(), &[&name], ASK);
        let ids = ids.map_err(|failure| hooklog_log::Error::Native { what: "the topics' ids", failure })?;
        let id = ids.into_iter().next().flatten().ok_or_else(|| hooklog_log::Error::NoTopic(name.clone()))?;
        let partitions = self.pinned_count(word)?.ok_or_else(|| {
            anyhow!("nobody has pinned how many partitions {name} uses; start `hooklog up` or `hooklog process` once")
        })?;
        Ok(Pinned { name, partitions, id })
    }

    /// The first record that pins a count is the one that counts.
    fn pinned_count(&self, word: &str) -> Result<Option<u32>> {
        let (topic, partition) = (self.settings.topics().control(), Partition(0));
        let ends = watermarks::of(&self.connection, &topic, partition, Isolation::Committed)?;
        let span = OffsetRange { topic, partition, from: ends.earliest, to: ends.end };
        let mut reader = Reader::open(&self.connection, Isolation::Committed, span)?;
        let wanted = format!("pinned/{word}");
        while let Some(record) = reader.next()? {
            if record.key() == Some(wanted.as_bytes()) {
                let text = record.payload().and_then(|value| std::str::from_utf8(value).ok());
                let count = text.and_then(|text| text.parse().ok());
                return count.map(Some).with_context(|| format!("the record {wanted} in `control` is not a number"));
            }
        }
        Ok(None)
    }
}

/// What a tool says where there is nothing to look at.
pub(crate) fn nothing_runs(data_dir: &std::path::Path) -> anyhow::Error {
    anyhow!(
        "no hooklog runs on {}: start `hooklog up`, name its data directory with --data-dir, or name a cluster with --brokers",
        data_dir.display()
    )
}

/// The mark of the data directory, where its own broker is the one that is used: none is `named`, or the one that is `running`.
fn loss(data_dir: &Path, named: Option<&str>, running: Option<&str>) -> Option<PowerLoss> {
    let is_own = named.is_none() || named == running;
    PowerLoss::in_data_dir(data_dir).filter(|_| is_own)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_log_of_our_own_that_is_to_be_checked_is_known_however_its_broker_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let own = Some("127.0.0.1:9092");
        let is_marked = |named, running| loss(dir.path(), named, running).is_some();
        assert!(!is_marked(None, None) && !is_marked(own, own), "there is no mark");
        fs::create_dir_all(dir.path().join("broker")).unwrap();
        fs::write(dir.path().join("broker/power-loss"), "").unwrap();
        assert!(is_marked(None, None), "a broker that is started for the command");
        assert!(is_marked(None, own), "one that runs");
        assert!(is_marked(own, own), "one that runs, by its name");
        assert!(!is_marked(Some("cluster:9092"), own) && !is_marked(Some("cluster:9092"), None), "another cluster");
    }
}
