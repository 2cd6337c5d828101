//! What a run is told, and what a report repeats so that the run can be repeated.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

/// What is done to the installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Scenario {
    /// hooklog, its broker or both are killed
    Crash,
    /// both are killed; then the logs of Kafka are read
    Kills,
    /// the broker's disk, the store's or both are full (needs root)
    DiskFull,
    /// the broker is stopped and goes on
    Silent,
}

/// Everything that decides a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Options {
    /// What is done.
    pub scenario: Scenario,
    /// How often.
    pub cycles: u64,
    /// Decides what is drawn.
    pub seed: u64,
    /// Events a second.
    pub rate: u32,
    /// Posts under way at once.
    pub concurrency: usize,
    /// The log is checked after so many cycles, and at the end.
    pub check_every: u64,
    /// How long it may take until all is ready again.
    pub ready_within_s: u64,
    /// How long `silent` stops the broker.
    pub stopped_s: u64,
    /// The size of the broker's disk of `disk-full`.
    pub disk_mib: u64,
    /// Shorter waits between faults, for a test.
    pub hurry: bool,
    /// Count failures, and go on with a new installation after each.
    pub keep_going: bool,
}

impl Options {
    /// What holds where nobody says otherwise.
    pub fn of(scenario: Scenario) -> Self {
        let (cycles, check_every, ready_within_s) = match scenario {
            Scenario::Crash => (300, 10, 30),
            Scenario::Kills => (200, 20, 30),
            Scenario::DiskFull => (20, 3, 60),
            Scenario::Silent => (10, 1, 60),
        };
        // The disks of `disk-full` are memory, and have to hold all of the run.
        let rate = if scenario == Scenario::DiskFull { 200 } else { 600 };
        let (seed, concurrency, stopped_s, disk_mib) = (1, 24, 100, 2_048);
        let (hurry, keep_going) = (false, false);
        Self {
            scenario,
            cycles,
            seed,
            rate,
            concurrency,
            check_every,
            ready_within_s,
            stopped_s,
            disk_mib,
            hurry,
            keep_going,
        }
    }
}

/// The flags of a run.
#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    /// How many cycles [default: 300 of crash, 200 of kills, 20 of disk-full, 10 of silent]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    cycles: Option<u64>,
    /// The same seed draws the same faults
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Events a second [default: 600, of disk-full 200]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: Option<u32>,
    /// Posts under way at once
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1_024), default_value_t = 24)]
    concurrency: u16,
    /// Check the log after so many cycles, and at the end [default: 10, of kills 20, of disk-full 3, of silent 1]
    #[arg(long, value_name = "CYCLES", value_parser = clap::value_parser!(u64).range(1..))]
    check_every: Option<u64>,
    /// How long it may take until all is ready again [default: 30, of disk-full and silent 60]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3_600))]
    ready_within: Option<u64>,
    /// How long `silent` stops the broker
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3_600), default_value_t = 100)]
    stopped: u64,
    /// The size of the broker's disk of `disk-full`, which is memory
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(64..=65_536), default_value_t = 2_048)]
    disk_mib: u64,
    /// Wait a quarter of the time between faults
    #[arg(long)]
    hurry: bool,
    /// Count failures, and go on with a new installation after each
    #[arg(long)]
    keep_going: bool,
    /// Where installations, acknowledged ids and the report are kept; must not exist [default: a new one in the system's
    /// directory for temporary files]
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) to: ToArgs,
}

/// What a run that goes on may be told, too.
#[derive(Clone, Debug, Args)]
pub struct ToArgs {
    /// The program under test
    #[arg(long, value_name = "PROGRAM", default_value = "bin/hooklog")]
    pub(crate) hooklog: PathBuf,
    /// Write the report to this file, too
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
}

impl RunArgs {
    pub(crate) fn options(&self, scenario: Scenario) -> Options {
        let usual = Options::of(scenario);
        Options {
            cycles: self.cycles.unwrap_or(usual.cycles),
            seed: self.seed,
            rate: self.rate.unwrap_or(usual.rate),
            concurrency: usize::from(self.concurrency),
            check_every: self.check_every.unwrap_or(usual.check_every),
            ready_within_s: self.ready_within.unwrap_or(usual.ready_within_s),
            stopped_s: self.stopped,
            disk_mib: self.disk_mib,
            hurry: self.hurry,
            keep_going: self.keep_going,
            scenario,
        }
    }
}
