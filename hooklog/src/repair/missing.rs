//! `hooklog repair`: emits the events that audit found missing, each as the processor would have written it.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use hooklog_log::connection::Isolation;
use hooklog_log::reader::{OffsetRange, Reader};
use hooklog_processor::Dedup;
use hooklog_schemas::{Millis, NextOffset, Offset, Partition};
use hooklog_task::Input;
use rdkafka::message::Message;
use serde_json::json;

use super::Args;
use super::emit::Emitter;
use super::group::Group;
use crate::audit::{Counts, Finding, Kind, Limits, NO, Scope, examine};
use crate::cluster::Cluster;
use crate::inspect::ignore_broken_pipe;
use crate::settings::Common;

/// Emit the events that audit found missing.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct RepairArgs {
    #[command(flatten)]
    args: Args,
    /// How long a transaction may stay open before it counts as one that nobody ends; for tests
    #[arg(long, hide = true, value_name = "SECONDS", default_value_t = Limits::DEFAULT.patience.as_secs())]
    patience: u64,
}

/// Records further apart than this are sought, not read up to.
const NEAR: i64 = 10_000;
/// How many places a dry run names, and how many its JSON.
const SHOWN: usize = 20;
const KEPT: usize = 10_000;
/// So many wait to be emitted: the log may miss more than there is memory.
const AT_ONCE: usize = 10_000;

/// A record without its event, and its T'.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Missing {
    partition: Partition,
    offset: Offset,
    time: Millis,
}

/// What a repair came to.
pub(crate) struct Repaired {
    /// As they were before.
    pub(crate) counts: Counts,
    /// How many events went out.
    pub(crate) emitted: u64,
    /// The first places at which one was missing.
    places: Vec<Missing>,
}

/// Runs the command to its end.
pub(crate) fn run(RepairArgs { args, patience }: &RepairArgs, common: &Common) -> Result<ExitCode> {
    let limits = Limits { patience: Duration::from_secs(*patience), ..Limits::DEFAULT };
    let repaired = Cluster::visit(common, |cluster| {
        if args.apply {
            cluster.refuse_a_log_that_is_to_be_checked()?;
        }
        let subject = Scope::of(cluster)?.within(limits);
        if args.apply {
            // A processor that is at work emits by itself what it owes: both would emit it.
            Group::of(cluster, subject.topics.clone()).wait_until_empty()?;
        }
        let fold = cluster.processor(subject.topics.clone()).fold();
        mend(&subject, &fold, args.apply, &mut |finding| {
            if finding.kind == Kind::Open {
                tracing::error!("{finding}");
            }
        })
    })?;
    let is_refused = args.apply && repaired.counts.open > 0;
    let done = ignore_broken_pipe(tell(&repaired, args.apply, common.json))?;
    Ok(if is_refused { ExitCode::from(NO) } else { done })
}

/// Audits, and emits what is missing where it is to `apply` that; `tell` hears of every other damage. Where a transaction
/// is open that nobody ends, nothing is emitted: it may hide what seems to be missing.
pub(crate) fn mend(subject: &Scope, fold: &Dedup, apply: bool, tell: &mut dyn FnMut(&Finding)) -> Result<Repaired> {
    // Before the audit: an earlier repair that is still at work is ended by this, so nothing can be emitted by both.
    let emitter = apply.then(|| Emitter::start(subject)).transpose()?;
    let mut work = Work { subject, fold, emitter, waiting: Vec::new(), places: Vec::new(), emitted: 0, failed: None };
    let counts = examine(subject, &mut |finding| match absent(&finding) {
        Some(missing) => work.note(missing),
        None => {
            if finding.kind == Kind::Open {
                work.emit_nothing();
            }
            tell(&finding);
        }
    })?;
    work.emit_waiting();
    match work.failed {
        Some(error) => Err(error),
        None => Ok(Repaired { counts, emitted: work.emitted, places: work.places }),
    }
}

fn absent(finding: &Finding) -> Option<Missing> {
    let (position, time) = finding.record.filter(|_| finding.kind == Kind::Missing)?;
    Some(Missing { partition: position.partition, offset: position.offset, time: time? })
}

/// Takes what is missing as audit finds it: partition after partition, in the order of `raw`.
struct Work<'a> {
    subject: &'a Scope,
    fold: &'a Dedup,
    emitter: Option<Emitter>,
    waiting: Vec<Missing>,
    places: Vec<Missing>,
    emitted: u64,
    failed: Option<anyhow::Error>,
}

impl Work<'_> {
    /// Audit tells of what is open before anything that is missing.
    fn emit_nothing(&mut self) {
        debug_assert!(self.waiting.is_empty() && self.emitted == 0, "something was emitted already");
        self.emitter = None;
    }

    fn note(&mut self, missing: Missing) {
        if self.places.len() < KEPT {
            self.places.push(missing);
        }
        if self.emitter.is_some() && self.failed.is_none() {
            self.waiting.push(missing);
        }
        if self.waiting.len() >= AT_ONCE {
            self.emit_waiting();
        }
    }

    fn emit_waiting(&mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        let Some(emitter) = self.emitter.as_ref().filter(|_| !waiting.is_empty()) else { return };
        match emit(self.subject, self.fold, emitter, &waiting) {
            Ok(()) => self.emitted += waiting.len() as u64,
            Err(error) => self.failed = Some(error),
        }
    }
}

fn emit(subject: &Scope, fold: &Dedup, emitter: &Emitter, missing: &[Missing]) -> Result<()> {
    for stretch in missing.chunk_by(|a, b| a.partition == b.partition && b.offset.0 - a.offset.0 <= NEAR) {
        let (first, last) = (stretch[0], stretch[stretch.len() - 1]);
        let (from, to) = (NextOffset(first.offset.0), last.offset.next());
        let span = OffsetRange { topic: subject.topics.raw.name.clone(), partition: first.partition, from, to };
        let mut reader = Reader::open(&subject.connection, Isolation::Uncommitted, span)?;
        for wanted in stretch {
            let message = loop {
                let message =
                    reader.next()?.with_context(|| format!("raw/{}/{} is gone", wanted.partition, wanted.offset))?;
                if Offset(message.offset()) == wanted.offset {
                    break message.detach();
                }
            };
            emitter.emit(&fold.outgoing(&Input::read(&message, wanted.time)))?;
        }
    }
    emitter.finish()
}

fn tell(repaired: &Repaired, applied: bool, as_json: bool) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    let Repaired { counts, emitted, places } = repaired;
    let place = |missing: &Missing| format!("raw/{}/{}", missing.partition, missing.offset);
    if as_json {
        let places: Vec<String> = places.iter().map(place).collect();
        let Counts { missing, open, .. } = counts;
        let line =
            json!({ "missing": missing, "emitted": emitted, "applied": applied, "records": places, "open": open });
        writeln!(out, "{line}")?;
        return out.flush();
    }
    match (counts.missing, applied) {
        _ if counts.open > 0 => writeln!(
            out,
            "A transaction that nobody ends holds {} partitions and may hide events, so none is emitted.",
            counts.open
        )?,
        (0, _) => writeln!(out, "No event is missing; nothing to emit.")?,
        (_, true) => writeln!(out, "{emitted} events emitted, marked `{}: true`.", hooklog_schemas::header::REPAIRED)?,
        (count, false) => writeln!(out, "{count} events are missing; --apply emits them:")?,
    }
    if !applied {
        places.iter().take(SHOWN).try_for_each(|missing| writeln!(out, "  {}", place(missing)))?;
        let more = counts.missing.saturating_sub(SHOWN as u64);
        (more > 0).then(|| writeln!(out, "  and {more} more")).transpose()?;
    }
    let beyond = counts.doubled + counts.foreign + counts.altered + counts.torn;
    if beyond > 0 {
        writeln!(
            out,
            "{beyond} events are doubled, foreign, altered or torn: what is written stays; see `hooklog audit`."
        )?;
    }
    out.flush()
}
