//! `hooklog offsets repair`: gives the processor's group the offsets at which nothing is doubled and nothing lost.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use comfy_table::{Table, presets};
use hooklog_log::committed::{self, Committed};
use hooklog_log::connection::{ASK, Isolation};
use hooklog_log::ends;
use hooklog_schemas::{NextOffset, Partition, Stamp};
use hooklog_store::{Registry, Source};
use hooklog_task::resume::{self, Facts};
use hooklog_task::{Fold, transform};
use rdkafka::consumer::Consumer;
use serde_json::json;

use super::Args;
use super::plan::{Mended, mended};
use crate::cluster::{Cluster, PATIENCE};
use crate::datadir::DataDir;
use crate::settings::Common;

#[derive(Clone, Debug, clap::Subcommand)]
pub(crate) enum OffsetsCommand {
    /// Find the processor's offsets anew from its store and the log
    Repair(Args),
}

/// A processor that is gone is a member until its session is over.
const SESSION: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(200);

impl OffsetsCommand {
    pub(crate) fn run(&self, common: &Common) -> Result<ExitCode> {
        let Self::Repair(args) = self;
        let cluster = Cluster::find(common)?;
        refuse_while_running(&cluster)?;
        let processor = cluster.processor(cluster.topics()?);
        let task = processor.task();
        wait_until_empty(&cluster, &task.group)?;
        let _lock = lock(&cluster);
        let stamp = task.stamp(&processor.fold());
        let facts = facts(&cluster, &task, &processor.fold(), &stamp)?;
        let rows = rows(&task, &facts)?;
        if args.apply {
            apply(&cluster, &task, &stamp, &rows)?;
        }
        tell(&rows, args.apply, common.json)?;
        Ok(ExitCode::SUCCESS)
    }
}

struct Row {
    facts: Facts,
    mended: Mended,
}

/// `hooklog broker` alone leaves the processor's offsets in peace.
fn refuse_while_running(cluster: &Cluster) -> Result<()> {
    match &cluster.run {
        Some(run) if run.ingest.is_some() || run.query.is_some() => {
            bail!(
                "hooklog with pid {} is running; stop it first: offsets move under a running processor",
                run.process.pid
            )
        }
        _ => Ok(()),
    }
}

fn wait_until_empty(cluster: &Cluster, group: &str) -> Result<()> {
    let deadline = Instant::now() + SESSION;
    let reader = cluster.connection.reader(Isolation::Committed)?;
    loop {
        let list = reader.fetch_group_list(Some(group), ASK)?;
        let members: usize = list.groups().iter().filter(|g| g.name() == group).map(|g| g.members().len()).sum();
        if members == 0 {
            return Ok(());
        }
        if Instant::now() >= deadline {
            bail!("the group {group} has {members} members; stop every `hooklog up` and `hooklog process` of it first");
        }
        std::thread::sleep(PAUSE);
    }
}

/// Keeps a processor from starting meanwhile. A broker of ours may hold the directory; RocksDB has its own lock on a store.
fn lock(cluster: &Cluster) -> Option<DataDir> {
    cluster.settings.data_dir.is_dir().then(|| DataDir::open(&cluster.settings.data_dir).ok()).flatten()
}

fn facts(cluster: &Cluster, task: &transform::Config, fold: &impl Fold, stamp: &Stamp) -> Result<Vec<Facts>> {
    let raw = &task.input;
    let partitions: Vec<Partition> = (0..raw.partitions.cast_signed()).map(Partition).collect();
    let stable = committed::stable(&task.connection, &task.group, &raw.name, &partitions, PATIENCE)?;
    let ends = ends::all(&task.connection, &raw.name, raw.partitions, Isolation::Uncommitted)?;
    let stores = stores(&cluster.settings.data_dir, task);
    let facts = partitions.into_iter().zip(ends).map(|(partition, input)| Facts {
        partition,
        applied: stores.as_deref().map_or(NextOffset::ZERO, |stores| applied(stores, task, fold, partition)),
        committed: stable.iter().find(|committed| committed.partition == partition).cloned(),
        stamp: stamp.clone(),
        input,
    });
    Ok(facts.collect())
}

/// The directory of the processor's stores below the data directory, if there is one of this very kind.
fn stores(data_dir: &Path, task: &transform::Config) -> Option<PathBuf> {
    let kind = task.stores.file_name()?;
    let folders = fs::read_dir(data_dir).ok()?.filter_map(|entry| Some(entry.ok()?.path().join(kind)));
    folders.filter(|path| path.is_dir()).min()
}

/// S. A store that cannot be opened is no more than a lost cache: then events alone tell.
fn applied(stores: &Path, task: &transform::Config, fold: &impl Fold, partition: Partition) -> NextOffset {
    let path = stores.join(format!("p{partition}"));
    if !path.is_dir() {
        return NextOffset::ZERO;
    }
    let source = Source { topic: task.input.name.clone(), partition };
    let registry: &Registry = &task.registry;
    let opened = registry.open_existing(&path, fold.layout()).and_then(|store| store.applied(&source));
    match opened {
        Ok(applied) => applied.next,
        Err(error) => {
            tracing::warn!(partition = partition.0, %error, "the store cannot be asked; going by `events` alone");
            NextOffset::ZERO
        }
    }
}

fn rows(task: &transform::Config, facts: &[Facts]) -> Result<Vec<Row>> {
    let all: BTreeSet<Partition> = facts.iter().map(|facts| facts.partition).collect();
    let outputs = transform::highest_positions(&task.connection, &task.output, &task.input.id.0, &all)?;
    if let Some(other) = &outputs.other_log {
        tracing::warn!(other, "some events were made from another log than today's raw; they count for nothing here");
    }
    let row = |facts: &Facts| {
        let mended = mended(facts, outputs.highest.get(&facts.partition).copied());
        Row { facts: facts.clone(), mended }
    };
    Ok(facts.iter().map(row).collect())
}

fn apply(cluster: &Cluster, task: &transform::Config, stamp: &Stamp, rows: &[Row]) -> Result<()> {
    let changed = rows.iter().filter(|row| row.mended.changes);
    let metadata = stamp.to_string();
    let offsets: Vec<Committed> = changed
        .map(|row| Committed { partition: row.facts.partition, next: row.mended.new, metadata: metadata.clone() })
        .collect();
    if !offsets.is_empty() {
        committed::overwrite(&cluster.connection, &task.group, &task.input.name, &offsets)?;
    }
    Ok(())
}

fn tell(rows: &[Row], applied: bool, as_json: bool) -> Result<()> {
    let mut out = anstream::stdout().lock();
    let old = |row: &Row| row.facts.committed.as_ref().map(|committed| committed.next);
    let changes = rows.iter().filter(|row| row.mended.changes).count();
    if as_json {
        let partition = |row: &Row| {
            let believed = resume::trust(&row.facts) != resume::Trust::Unknown;
            json!({
                "partition": row.facts.partition, "old": old(row), "stamped": believed, "new": row.mended.new,
                "changes": row.mended.changes, "why": row.mended.why,
            })
        };
        let partitions: Vec<_> = rows.iter().map(partition).collect();
        writeln!(out, "{}", json!({ "applied": applied, "changes": changes, "partitions": partitions }))?;
        return Ok(out.flush()?);
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["partition", "old", "new", "why"]);
    for row in rows {
        let old = old(row).map_or_else(|| "-".to_owned(), |next| next.to_string());
        table.add_row([row.facts.partition.to_string(), old, row.mended.new.to_string(), row.mended.why.to_owned()]);
    }
    writeln!(out, "{table}\n")?;
    match (changes, applied) {
        (0, _) => writeln!(out, "Every offset is as it must be.")?,
        (_, true) => writeln!(out, "{changes} offsets written.")?,
        (_, false) => writeln!(out, "{changes} offsets to write; --apply does it.")?,
    }
    Ok(out.flush()?)
}
