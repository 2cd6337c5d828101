//! `hooklog offsets repair`: gives the processor's group the offsets at which nothing is doubled and nothing lost.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::{Result, bail};
use comfy_table::{Table, presets};
use hooklog_task::resume;
use serde_json::json;

use super::Args;
use super::former;
use super::group::{Group, Row};
use super::plan::{Case, UnknownAt};
use crate::cluster::Cluster;
use crate::datadir::DataDir;
use crate::inspect::ignore_broken_pipe;
use crate::settings::Common;

#[derive(Clone, Debug, clap::Subcommand)]
pub(crate) enum OffsetsCommand {
    /// Find the processor's offsets anew from its store and the log
    Repair(OffsetsArgs),
}

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct OffsetsArgs {
    #[command(flatten)]
    args: Args,
    /// Where a partition goes on of which neither an offset, nor a store, nor `events` tells where it was
    #[arg(long, value_name = "PLACE")]
    unknown_at: Option<UnknownAt>,
}

impl OffsetsCommand {
    pub(crate) fn run(&self, common: &Common) -> Result<ExitCode> {
        let Self::Repair(args) = self;
        Cluster::visit(common, |cluster| repair(cluster, args, common))
    }
}

fn repair(cluster: &Cluster, OffsetsArgs { args, unknown_at }: &OffsetsArgs, common: &Common) -> Result<ExitCode> {
    refuse_while_running(cluster)?;
    if args.apply {
        cluster.refuse_a_log_that_is_to_be_checked()?;
    }
    let topics = cluster.topics()?;
    let mut group = Group::of(cluster, topics.clone());
    group.wait_until_empty()?;
    let _lock = lock(cluster);
    let hanging = group.hanging()?;
    if !hanging.is_empty() {
        group.end_hanging(&hanging, args.apply)?;
    }
    let rows = group.rows(*unknown_at)?;
    let former = former::unrecorded(&cluster.connection, &topics)?;
    if args.apply {
        // First: an offset that counts in today's `raw` makes what is of another log history.
        former::record(&cluster.connection, &topics, &former)?;
        group.write(rows.iter().filter(|row| row.mended.case.changes()))?;
        // After the offsets: where this is broken off, the stores still stop the processor.
        group.begin_again(rows.iter().filter(|row| row.mended.case.is_other_history()))?;
        group.accept_truncation(rows.iter().filter(|row| row.mended.is_truncated))?;
    }
    ignore_broken_pipe(tell(&rows, &former, args.apply, common.json))
}

/// `hooklog broker` alone leaves the processor's offsets in peace.
fn refuse_while_running(cluster: &Cluster) -> Result<()> {
    match &cluster.run {
        Some(run) if run.ingest.is_some() || run.query.is_some() => {
            bail!(
                "hooklog with pid {} is running; stop it first: offsets move under a running processor. Where its own \
                 broker stops with it, this command starts that for itself",
                run.process.pid
            )
        }
        _ => Ok(()),
    }
}

/// Keeps a processor from starting meanwhile. A broker of ours may hold the directory, or we ourselves; RocksDB has its own
/// lock on a store.
fn lock(cluster: &Cluster) -> Option<DataDir> {
    if cluster.is_ours {
        return None;
    }
    cluster.settings.data_dir.is_dir().then(|| DataDir::open(&cluster.settings.data_dir).ok()).flatten()
}

fn tell(rows: &[Row], former: &BTreeSet<String>, applied: bool, as_json: bool) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    let old = |row: &Row| row.facts.committed.as_ref().map(|committed| committed.next);
    let changes = rows.iter().filter(|row| row.mended.changes()).count();
    if as_json {
        let partition = |row: &Row| {
            let believed = resume::trust(&row.facts) != resume::Trust::Unknown;
            json!({
                "partition": row.facts.partition, "old": old(row), "stamped": believed, "new": row.mended.new,
                "changes": row.mended.changes(), "why": row.mended.why(),
            })
        };
        let partitions: Vec<_> = rows.iter().map(partition).collect();
        let line = json!({ "applied": applied, "changes": changes, "partitions": partitions, "former_logs": former });
        writeln!(out, "{line}")?;
        return out.flush();
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["partition", "old", "new", "why"]);
    for row in rows {
        let old = old(row).map_or_else(|| "-".to_owned(), |next| next.to_string());
        let (new, why) = (row.mended.new.to_string(), row.mended.why().to_owned());
        table.add_row([row.facts.partition.to_string(), old, new, why]);
    }
    writeln!(out, "{table}\n")?;
    for log in former {
        let done = if applied { "recorded" } else { "to record; --apply does it" };
        writeln!(out, "Some events are of another log, {log}, which was `raw` before this one: {done}.")?;
    }
    let undecided = rows.iter().filter(|row| row.mended.case == Case::Unknowable).count();
    if undecided > 0 {
        writeln!(
            out,
            "{undecided} partitions are for you to decide: see --unknown-at in `hooklog offsets repair --help`."
        )?;
    }
    match (changes, applied) {
        (0, _) if undecided > 0 => {}
        (0, _) => writeln!(out, "Every offset is as it must be.")?,
        (_, true) => writeln!(out, "{changes} offsets written. Start again, then look with `hooklog audit --wait`.")?,
        (_, false) => writeln!(out, "{changes} offsets to write; --apply does it.")?,
    }
    out.flush()
}
