//! `hooklog`: the one binary. A folder for each group of commands.

mod admin;
mod audit;
mod broker;
mod cli;
mod cluster;
mod datadir;
mod exit;
mod http;
mod inspect;
mod limits;
mod listen;
mod process;
mod rebuild;
mod repair;
mod room;
mod send;
mod settings;
mod signals;
mod up;

use clap::Parser;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;

/// For librdkafka and RocksDB as well: what one thread allocates another frees, record by record.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    log_to_stderr();
    limits::open_as_many_files_as_allowed();
    cli.run().unwrap_or_else(|error| {
        // A closed stderr leaves nobody to tell.
        let _ = writeln!(anstream::stderr().lock(), "hooklog: {}", exit::told(&error));
        exit::code(&error)
    })
}

/// Kafka's client talks of every retry that works; what does not work reaches us as an error.
const QUIET: &str = "info,librdkafka=error,rdkafka=error";

/// `HOOKLOG_LOG` chooses what is said, as in `info,hooklog=debug`.
fn log_to_stderr() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("HOOKLOG_LOG").unwrap_or_else(|_| QUIET.into());
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(std::io::stderr().is_terminal());
    // With a closed stderr, the report of a failed write would be a panic.
    log.log_internal_errors(false).with_writer(std::io::stderr).init();
}
