//! `hooklog-faults`: figures on standard output, progress on standard error. Exit codes: 0 nothing was found, 1 something was, 2
//! wrong use, 3 the harness itself could not go on.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use hooklog_faults::{Cli, answer};

fn main() -> ExitCode {
    match answer(Cli::parse()) {
        Ok(answer) => {
            // That nobody reads it changes nothing of what was found.
            let _ = writeln!(std::io::stdout().lock(), "{}", answer.text.trim_end());
            if answer.is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            let _ = writeln!(std::io::stderr().lock(), "error: {error:#}");
            ExitCode::from(3)
        }
    }
}
