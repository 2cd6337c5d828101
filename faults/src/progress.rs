//! How far a run is, on standard error: a bar on a terminal, a line for each cycle elsewhere.

use std::io::{IsTerminal, Write};

use indicatif::{ProgressBar, ProgressStyle};

/// A run's.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    pub(crate) fn of(name: &'static str, done: u64, cycles: u64) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self { bar: ProgressBar::hidden() };
        }
        let style = ProgressStyle::with_template("{prefix} {bar:40.green} {pos}/{len} cycles, {eta} left  {msg}");
        let bar = ProgressBar::new(cycles).with_style(style.expect("the template is the one above"));
        bar.set_prefix(name);
        bar.set_position(done);
        Self { bar }
    }

    /// What is being done: of no interest to a file.
    pub(crate) fn doing(&self, what: &str) {
        self.bar.set_message(what.to_owned());
        self.bar.tick();
    }

    /// What has happened.
    pub(crate) fn say(&self, line: &str) {
        // Progress that nobody can read any more is no reason to stop.
        self.bar.suspend(|| drop(writeln!(std::io::stderr().lock(), "{line}")));
    }

    pub(crate) fn cycle_done(&self) {
        self.bar.inc(1);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
