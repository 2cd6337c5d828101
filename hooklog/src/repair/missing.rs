//! `hooklog repair`: emits the events that audit found missing, each as the processor would have written it.

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, Result};
use hooklog_log::connection::Isolation;
use hooklog_log::reader::{Reader, Span};
use hooklog_processor::Dedup;
use hooklog_schemas::{Millis, NextOffset, Offset, Partition};
use hooklog_task::Input;
use rdkafka::message::Message;
use serde_json::json;

use super::Args;
use super::emit::Emitter;
use crate::audit::{Counts, Finding, Kind, Subject, examine};
use crate::cluster::Cluster;
use crate::settings::Common;

/// Records further apart than this are sought, not read up to.
const NEAR: i64 = 10_000;
/// How many places a dry run names.
const SHOWN: usize = 20;

/// A record without its event, and its T'.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Missing {
    pub(super) partition: Partition,
    pub(super) offset: Offset,
    pub(super) time: Millis,
}

/// Runs the command to its end.
pub(crate) fn run(args: &Args, common: &Common) -> Result<ExitCode> {
    let cluster = Cluster::find(common)?;
    let subject = Subject::of(&cluster)?;
    // Before the audit: an earlier repair that is still at work is ended by this, so nothing can be emitted by both.
    let emitter = args.apply.then(|| Emitter::start(&subject)).transpose()?;
    let mut missing = Vec::new();
    let counts = examine(&subject, &mut |finding| missing.extend(absent(&finding)))?;
    missing.sort_unstable();
    if let Some(emitter) = &emitter {
        let fold = cluster.processor(subject.topics.clone()).fold();
        emit(&subject, &fold, emitter, &missing)?;
    }
    tell(&counts, &missing, args.apply, common.json)?;
    Ok(ExitCode::SUCCESS)
}

fn absent(finding: &Finding) -> Option<Missing> {
    let (position, time) = finding.record.filter(|_| finding.kind == Kind::Missing)?;
    Some(Missing { partition: position.partition, offset: position.offset, time: time? })
}

fn emit(subject: &Subject, fold: &Dedup, emitter: &Emitter, missing: &[Missing]) -> Result<()> {
    for stretch in missing.chunk_by(|a, b| a.partition == b.partition && b.offset.0 - a.offset.0 <= NEAR) {
        let (first, last) = (stretch[0], stretch[stretch.len() - 1]);
        let (from, to) = (NextOffset(first.offset.0), last.offset.next());
        let span = Span { topic: subject.topics.raw.name.clone(), partition: first.partition, from, to };
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

fn tell(counts: &Counts, missing: &[Missing], applied: bool, as_json: bool) -> Result<()> {
    let mut out = anstream::stdout().lock();
    let place = |missing: &Missing| format!("raw/{}/{}", missing.partition, missing.offset);
    let emitted = if applied { missing.len() } else { 0 };
    if as_json {
        let places: Vec<String> = missing.iter().map(place).collect();
        writeln!(
            out,
            "{}",
            json!({ "missing": missing.len(), "emitted": emitted, "applied": applied, "records": places })
        )?;
        return Ok(out.flush()?);
    }
    match (missing.len(), applied) {
        (0, _) => writeln!(out, "No event is missing; nothing to emit.")?,
        (count, true) => {
            writeln!(out, "{count} events emitted, marked `{}: true`.", hooklog_schemas::header::REPAIRED)?
        }
        (count, false) => writeln!(out, "{count} events are missing; --apply emits them:")?,
    }
    if !applied {
        missing.iter().take(SHOWN).try_for_each(|missing| writeln!(out, "  {}", place(missing)))?;
        let more = missing.len().saturating_sub(SHOWN);
        (more > 0).then(|| writeln!(out, "  and {more} more")).transpose()?;
    }
    let beyond = counts.doubled + counts.foreign + counts.altered + counts.torn;
    if beyond > 0 {
        writeln!(
            out,
            "{beyond} events are doubled, foreign, altered or torn: what is written stays; see `hooklog audit`."
        )?;
    }
    Ok(out.flush()?)
}
