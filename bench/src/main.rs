//! `hooklog-bench`: prints figures on standard output and what it is doing on standard error.

use std::io::Write;

use clap::Parser;
use hooklog_bench::Cli;

fn main() -> anyhow::Result<()> {
    let say = |line: &str| {
        // Progress that nobody can read any more is no reason to stop measuring.
        let _ = writeln!(std::io::stderr().lock(), "{line}");
    };
    let figures = hooklog_bench::run(Cli::parse(), &say)?;
    if !figures.is_empty() {
        writeln!(std::io::stdout().lock(), "{}", figures.trim_end())?;
    }
    Ok(())
}
