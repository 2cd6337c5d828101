//! The processor's group as its offsets are mended: what is known of each partition, and what is written.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use hooklog_log::committed::{self, Committed};
use hooklog_log::connection::{ASK, Isolation};
use hooklog_log::provision::Provisioned;
use hooklog_log::watermarks;
use hooklog_processor::Dedup;
use hooklog_schemas::{NextOffset, Partition, Stamp};
use hooklog_store::{Applied, TopicPartition, Verified, Writes};
use hooklog_task::resume::Facts;
use hooklog_task::rewritten::{Known, rewritten};
use hooklog_task::{Fold, transform};
use rdkafka::consumer::Consumer;

use super::plan::{self, Mended, UnknownAt, mended};
use crate::cluster::{Cluster, PATIENCE};

/// A static member that is gone counts as one until its session is over: 15 s, and the coordinator's own time.
const SESSION: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(200);

/// The group of the processor of one cluster, and the stores of this data directory.
pub(crate) struct Group {
    pub(super) task: transform::Config,
    pub(crate) fold: Dedup,
    pub(super) stamp: Stamp,
    /// The transactional id of repairs.
    pub(super) repair: String,
    data_dir: PathBuf,
}

/// One partition.
pub(super) struct Row {
    pub(super) facts: Facts,
    pub(super) mended: Mended,
    /// Events name another log than today's raw, and none of this partition: what they say of it is unknown.
    pub(super) is_of_another_log: bool,
}

/// What a store says of itself.
struct Stored {
    applied: Applied,
    verified: Option<Verified>,
}

impl Stored {
    const NOTHING: Stored = Stored { applied: Applied::NOTHING, verified: None };
}

impl Group {
    pub(crate) fn of(cluster: &Cluster, topics: Provisioned) -> Group {
        let repair = topics.topics.group("repair");
        let processor = cluster.processor(topics);
        let (task, fold) = (processor.task(), processor.fold());
        Group { stamp: task.stamp(&fold), task, fold, repair, data_dir: cluster.settings.data_dir.clone() }
    }

    /// As this one of the group's instances.
    pub(crate) fn with_instance(mut self, instance: String) -> Group {
        self.task.instance = instance;
        self
    }

    /// The instance whose stores are below the data directory, if any.
    pub(super) fn kept_instance(&self) -> Option<String> {
        let stores = stores(&self.data_dir, &self.task)?;
        let id = fs::read_to_string(stores.parent()?.join("instance")).ok()?;
        Some(id.trim().to_owned()).filter(|id| !id.is_empty())
    }

    pub(super) fn wait_until_empty(&self) -> Result<()> {
        let (group, deadline, mut told) = (&self.task.group, Instant::now() + SESSION, false);
        let connection = &self.task.connection;
        let reader = connection.reader(Isolation::Committed)?;
        loop {
            let members: usize = match reader.fetch_group_list(Some(group), ASK) {
                Ok(list) => list.groups().iter().filter(|g| g.name() == group).map(|g| g.members().len()).sum(),
                // A coordinator that was only just started reads its log first.
                Err(error) if Instant::now() < deadline => {
                    tracing::debug!(group, %error, "the group's members cannot be told yet; asking again");
                    std::thread::sleep(PAUSE);
                    continue;
                }
                Err(error) => {
                    return Err(connection.unreachable("for the members of the processor's group")(error).into());
                }
            };
            if members == 0 {
                return Ok(());
            }
            if !std::mem::replace(&mut told, true) {
                tracing::info!(
                    "the group {group} has {members} members; one that has ended counts for 15 s more, so this waits up to {} s",
                    SESSION.as_secs()
                );
            }
            if Instant::now() >= deadline {
                bail!(
                    "the group {group} still has {members} members after {} s, so they run: stop every `hooklog up` and `hooklog process` of it first",
                    SESSION.as_secs()
                );
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// What becomes of each partition; `decision` counts where nothing tells where one was.
    pub(super) fn rows(&self, decision: Option<UnknownAt>) -> Result<Vec<Row>> {
        let facts = self.facts()?;
        let all: BTreeSet<Partition> = self.partitions().into_iter().collect();
        let verified = |(facts, stored): &(Facts, Stored)| Some((facts.partition, stored.verified.clone()?));
        let verified = facts.iter().filter_map(verified).collect();
        let task = &self.task;
        let outputs = transform::highest_positions(&task.connection, &task.output, &task.input.id.0, &all, &verified)?;
        if let Some(other) = &outputs.other_log {
            tracing::warn!(
                other,
                "some events were made from another log than today's raw; they count for nothing here"
            );
        }
        let row = |(facts, stored): (Facts, Stored)| {
            let (latest, of) =
                (outputs.latest.get(&facts.partition).copied(), (task.input.name.as_str(), facts.partition));
            let known = Known { last: stored.applied.last, latest };
            let is_of_another_log = latest.is_none() && outputs.other_log.is_some();
            let mended = match rewritten(&task.connection, of, Isolation::Uncommitted, facts.input, known)? {
                Some(_) => plan::rewritten(&facts),
                None => {
                    let is_blind = outputs.blind.contains(&facts.partition);
                    mended(&facts, latest.map(|latest| latest.offset), is_blind, decision)
                }
            };
            Ok(Row { mended, facts, is_of_another_log })
        };
        facts.into_iter().map(row).collect()
    }

    pub(super) fn partitions(&self) -> Vec<Partition> {
        (0..self.task.input.partitions.cast_signed()).map(Partition).collect()
    }

    /// N of each partition that has one, once no transaction holds it back.
    pub(super) fn stable(&self, patience: Duration) -> Result<Vec<Committed>, hooklog_log::Error> {
        let task = &self.task;
        committed::stable(&task.connection, &task.group, &task.input.name, &self.partitions(), patience)
    }

    /// What is known of each partition, and what its store says.
    fn facts(&self) -> Result<Vec<(Facts, Stored)>> {
        let (task, raw) = (&self.task, &self.task.input);
        let (partitions, stable) = (self.partitions(), self.stable(PATIENCE)?);
        let ends = watermarks::all(&task.connection, &raw.name, raw.partitions, Isolation::Uncommitted)?;
        let stores = stores(&self.data_dir, task);
        let facts = partitions.into_iter().zip(ends).map(|(partition, input)| {
            let stored = stores.as_deref().and_then(|stores| self.stored(stores, partition)).unwrap_or(Stored::NOTHING);
            let applied = stored.applied.next;
            let committed = stable.iter().find(|committed| committed.partition == partition).cloned();
            (Facts { partition, applied, committed, stamp: self.stamp.clone(), input }, stored)
        });
        Ok(facts.collect())
    }

    /// What the store says, if there is one. One that cannot be opened is no more than a lost cache: then events alone tell.
    fn stored(&self, stores: &Path, partition: Partition) -> Option<Stored> {
        let path = stores.join(format!("p{partition}"));
        if !path.is_dir() {
            return None;
        }
        let source = TopicPartition { topic: self.task.input.name.clone(), partition };
        let opened = self.task.registry.open_existing(&path, self.fold.layout());
        let asked = opened
            .and_then(|store| Ok(Stored { applied: store.applied(&source)?, verified: store.verified(&source)? }));
        let tell = |error: &_| {
            tracing::warn!(partition = partition.0, %error, "the store cannot be read; going by `events` alone");
        };
        asked.inspect_err(tell).ok()
    }

    /// Goes on with what raw has now, where the stores or events tell of another history: each store takes raw in once more,
    /// from its beginning, and nothing that is in `events` now is asked about it again. Where `events` is whole, the stores keep
    /// what they have seen: a webhook that raw lost and that comes again must not become a second event. Where `events` lost
    /// records too, they forget it: that webhook must become one.
    pub(super) fn begin_again<'r>(&self, rows: impl Iterator<Item = &'r Row>) -> Result<()> {
        let (task, events) = (&self.task, &self.task.output);
        let stores = stores(&self.data_dir, task).unwrap_or_else(|| task.stores.clone());
        let ends = watermarks::all(&task.connection, &events.name, events.partitions, Isolation::Committed)?;
        let outputs: Vec<NextOffset> = ends.iter().map(|ends| ends.end).collect();
        for row in rows {
            let (partition, next) = (row.facts.partition, row.mended.new);
            let source = TopicPartition { topic: task.input.name.clone(), partition };
            let path = stores.join(format!("p{partition}"));
            let mut store = task.registry.open(&path, self.fold.layout(), &task.kind)?;
            let were = store.verified(&source)?.map(|verified| verified.outputs);
            if were.is_none_or(|were| were.iter().zip(&outputs).any(|(were, are)| were > are)) {
                drop(store);
                task.registry.discard(&path)?;
                store = task.registry.open(&path, self.fold.layout(), &task.kind)?;
            }
            // What it has emitted counts no more. Its position comes last: until then its last record stops the processor.
            store.forget_verified(&source)?;
            store.set_verified(&source, &Verified { next, outputs: outputs.clone() })?;
            store.apply(
                &Writes::default(),
                &[(source.clone(), Applied { next: row.facts.input.earliest, ..Applied::NOTHING })],
            )?;
            tracing::warn!(partition = partition.0, "the store takes in all of raw once more");
        }
        Ok(())
    }

    /// Goes on without the records that were deleted from the beginning of raw: what they were is forgotten.
    pub(super) fn accept_truncation<'r>(&self, mut rows: impl Iterator<Item = &'r Row>) -> Result<()> {
        let Some(stores) = stores(&self.data_dir, &self.task) else { return Ok(()) };
        rows.try_for_each(|row| {
            let partition = row.facts.partition;
            let source = TopicPartition { topic: self.task.input.name.clone(), partition };
            let store = self.task.registry.open_existing(&stores.join(format!("p{partition}")), self.fold.layout())?;
            let applied = Applied { next: row.facts.input.earliest, ..store.applied(&source)? };
            tracing::warn!(partition = partition.0, from = applied.next.0, "the store goes on where raw begins now");
            Ok(store.apply(&Writes::default(), &[(source, applied)])?)
        })
    }

    /// After the machine went down, and every record before N was found to have its event: what the stores know of their
    /// outputs may not be so any more, and this is.
    pub(crate) fn all_is_verified(&self) -> Result<()> {
        let Some(stores) = stores(&self.data_dir, &self.task) else { return Ok(()) };
        let (task, events, stable) = (&self.task, &self.task.output, self.stable(PATIENCE)?);
        let ends = watermarks::all(&task.connection, &events.name, events.partitions, Isolation::Committed)?;
        let outputs: Vec<NextOffset> = ends.iter().map(|ends| ends.end).collect();
        stable.into_iter().try_for_each(|Committed { partition, next, .. }| {
            let path = stores.join(format!("p{partition}"));
            if !path.is_dir() {
                return Ok(());
            }
            let source = TopicPartition { topic: self.task.input.name.clone(), partition };
            match self.task.registry.open_existing(&path, self.fold.layout()) {
                Ok(store) => {
                    store.forget_verified(&source)?;
                    Ok(store.set_verified(&source, &Verified { next, outputs: outputs.clone() })?)
                }
                // A damaged one is discarded and built again by the processor.
                Err(error) if error.is_damage() => Ok(()),
                Err(error) => Err(error.into()),
            }
        })
    }

    /// Commits the new offsets of `rows`. The group must be empty.
    pub(super) fn write<'r>(&self, rows: impl Iterator<Item = &'r Row>) -> Result<()> {
        let metadata = self.stamp.to_string();
        let committed =
            |row: &Row| Committed { partition: row.facts.partition, next: row.mended.new, metadata: metadata.clone() };
        let offsets: Vec<Committed> = rows.map(committed).collect();
        if !offsets.is_empty() {
            committed::overwrite(&self.task.connection, &self.task.group, &self.task.input.name, &offsets)?;
        }
        Ok(())
    }
}

/// The directory of the processor's stores below the data directory, if there is one of this very kind.
fn stores(data_dir: &Path, task: &transform::Config) -> Option<PathBuf> {
    let kind = task.stores.file_name()?;
    let folders = fs::read_dir(data_dir).ok()?.filter_map(|entry| Some(entry.ok()?.path().join(kind)));
    folders.filter(|path| path.is_dir()).min()
}
