//! `hooklog config check`: every setting, where it came from, and everything that is wrong.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Subcommand;
use comfy_table::{ContentArrangement, Table, presets};
use serde_json::json;

use super::common::{Common, Flags};
use super::resolve::{Resolved, load};

/// Wrong use or configuration.
const WRONG: u8 = 2;

/// `hooklog config ...`
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Show every setting, where it comes from, and everything that is wrong
    Check,
}

impl ConfigCommand {
    pub(crate) fn run(&self, common: &Common) -> anyhow::Result<ExitCode> {
        let Self::Check = self;
        let resolved = load(&Flags::of(common));
        Ok(run(&resolved, common.json, &mut anstream::stdout().lock())?)
    }
}

/// Writes the report to `out` and gives the exit code: 0, or 2 where something is wrong.
///
/// # Errors
/// What `out` says.
pub(crate) fn run(resolved: &Resolved, as_json: bool, out: &mut impl Write) -> io::Result<ExitCode> {
    let written = if as_json { write_json(resolved, out) } else { write_table(resolved, out) };
    // Who has seen enough still gets the answer.
    written.or_else(|error| if error.kind() == io::ErrorKind::BrokenPipe { Ok(()) } else { Err(error) })?;
    Ok(if resolved.settings.is_ok() { ExitCode::SUCCESS } else { ExitCode::from(WRONG) })
}

fn problems(resolved: &Resolved) -> &[super::problem::Problem] {
    resolved.settings.as_ref().err().map_or(&[], |invalid| &invalid.0)
}

fn write_json(resolved: &Resolved, out: &mut impl Write) -> io::Result<()> {
    let settings = resolved.rows.iter();
    let settings: Vec<_> =
        settings.map(|row| json!({ "key": row.key, "value": row.value, "from": row.from.to_string() })).collect();
    let wrong: Vec<_> =
        problems(resolved).iter().map(|problem| json!({ "at": problem.at, "what": problem.what })).collect();
    let ok = resolved.settings.is_ok();
    writeln!(out, "{}", json!({ "ok": ok, "settings": settings, "problems": wrong, "warnings": resolved.warnings }))
}

fn write_table(resolved: &Resolved, out: &mut impl Write) -> io::Result<()> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["setting", "value", "from"]);
    for row in &resolved.rows {
        table.add_row([row.key.clone(), row.value.clone(), row.from.to_string()]);
    }
    writeln!(out, "{table}")?;
    for warning in &resolved.warnings {
        writeln!(out, "warning: {warning}")?;
    }
    match problems(resolved) {
        [] => writeln!(out, "\nThese settings are fine."),
        wrong => {
            writeln!(out, "\n{} wrong:", wrong.len())?;
            wrong.iter().try_for_each(|problem| writeln!(out, "  {problem}"))
        }
    }
}
