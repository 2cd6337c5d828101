//! The table, the details, the line of JSON.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};

use comfy_table::{CellAlignment, Table, presets};
use hooklog_schemas::RawPosition;

use super::counts::Counts;
use super::matching::{Finding, Kind};

/// The first findings of each kind.
pub(super) struct Details {
    at_most: usize,
    of_kind: BTreeMap<&'static str, Vec<Finding>>,
}

impl Details {
    pub(super) fn with_at_most(at_most: usize) -> Details {
        Details { at_most, of_kind: BTreeMap::new() }
    }

    pub(super) fn note(&mut self, finding: Finding) {
        let kept = self.of_kind.entry(word(finding.kind)).or_default();
        if kept.len() < self.at_most {
            kept.push(finding);
        }
    }

    fn lines(&self) -> impl Iterator<Item = String> {
        self.of_kind.values().flatten().map(ToString::to_string)
    }
}

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Missing => "missing",
        Kind::Doubled => "doubled",
        Kind::Foreign => "foreign",
        Kind::Altered => "altered",
        Kind::Torn => "torn",
        Kind::Open => "open",
        Kind::Conflict { .. } => "conflict",
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let event = self.event.map(|(partition, offset)| format!("events/{partition}/{offset}"));
        let record = self.record.map(|(position, _)| position.to_string());
        let first = match (self.kind, self.record) {
            (Kind::Conflict { first }, Some((position, _))) => {
                Some(RawPosition { offset: first, ..position }.to_string())
            }
            _ => None,
        };
        let places: Vec<String> = event.into_iter().chain(record).chain(first).collect();
        write!(f, "{:8} {}: {}", word(self.kind), places.join(" of "), self.what)
    }
}

/// Figures on standard output, places on standard error.
pub(super) fn tell(counts: &Counts, details: &Details, as_json: bool) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    match as_json {
        true => writeln!(out, "{}", serde_json::to_string(counts)?)?,
        false => write!(out, "{}", text(counts))?,
    }
    out.flush()?;
    let mut errors = anstream::stderr().lock();
    details.lines().try_for_each(|line| writeln!(errors, "{line}"))
}

fn text(counts: &Counts) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let general = [
        ("raw", counts.raw, "records taken in, and so judged"),
        ("unique", counts.unique, "of them must have an event"),
        ("events", counts.events, "events of them"),
        ("expired_repeats", counts.expired_repeats, "unique ones that repeat a record from before the window"),
        ("in_flight", counts.in_flight, "records not taken in yet, and so not judged"),
        ("unjudged", counts.unjudged, "events and records that depend on what was deleted or cannot be seen"),
        ("conflicts", counts.conflicts, "records with another content under a known id; the first one counts"),
    ];
    for (name, count, meaning) in general.into_iter().chain(counts.damage()) {
        table.add_row([name.to_owned(), count.to_string(), meaning.to_owned()]);
    }
    if let Some(column) = table.column_mut(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let verdict = match counts.ok {
        true => "Every event is there once, as raw has it.",
        false => "This log is not whole.",
    };
    format!("{table}\n\n{verdict}\n")
}
