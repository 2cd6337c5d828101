//! `hooklog-bench`: prints figures on standard output and what it is doing on standard error.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use hooklog_bench::Cli;

/// For librdkafka and RocksDB as well: what one thread allocates another frees, record by record.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    match hooklog_bench::run(Cli::parse(), &say).and_then(|figures| print(&figures)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn say(line: &str) {
    // Progress that nobody can read any more is no reason to stop measuring.
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

fn print(figures: &str) -> anyhow::Result<()> {
    if !figures.is_empty() {
        writeln!(std::io::stdout().lock(), "{}", figures.trim_end())?;
    }
    Ok(())
}
