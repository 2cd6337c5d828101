//! The whole side-by-side run: load once, the entrants in turn, then hop and view in turn.

use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::contest::entrants::{self, Entrant};
use crate::contest::verdict::Written;
use crate::contest::{self, Options, Run};
use crate::latency::{Pace, hop, post::Caller, visible};
use crate::load;
use crate::report::{Report, Waits};
use crate::scratch;
use crate::service::{self, Service};

/// Above this load average something else is at work.
const IDLE: f64 = 0.8;
const SECRET: &str = "whsec_of_the_bench_which_guards_nothing";

/// What to measure.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// Use this cluster for the races instead of starting a broker
    #[arg(long)]
    pub(crate) brokers: Option<String>,
    /// Records in raw
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(100..=20_000_000))]
    pub(crate) records: u64,
    /// How often everything is run, in turn
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=20))]
    pub(crate) rounds: u32,
    /// The same seed gives the same records
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Leave an entrant out
    #[arg(long, value_delimiter = ',')]
    pub(crate) without: Vec<Entrant>,
    /// Leave out hop and view
    #[arg(long)]
    pub(crate) no_latency: bool,
    /// Print JSON instead of tables
    #[arg(long)]
    pub(crate) json: bool,
    /// How the entrants are run
    #[command(flatten)]
    pub(crate) options: Options,
    /// Pace of hop and view
    #[command(flatten)]
    pub(crate) pace: Pace,
}

impl Args {
    fn needs_hooklog(&self) -> bool {
        self.brokers.is_none() || !self.no_latency || !self.without.contains(&Entrant::Processor)
    }
}

/// Runs everything and returns what to print.
///
/// # Errors
/// When something cannot be started, fails, is too late, or an entrant wrote what it should not have written.
/// An aim that is missed is no error: it stands in the table.
pub(crate) fn run(args: &Args, say: &dyn Fn(&str)) -> Result<String> {
    if args.needs_hooklog() {
        service::program(&args.options.hooklog)?;
    }
    let load = load_average(say)?;
    let dir = scratch::make("all")?;
    let runs = with_broker(args, &dir, |brokers| races(args, brokers, say))?;
    let waits = if args.no_latency { Vec::new() } else { waits(args, &dir, say)? };
    scratch::remove(&dir)?;
    let report = Report::new(args.records, load, runs, waits);
    Ok(if args.json { serde_json::to_string_pretty(&report)? } else { report.text() })
}

/// A machine that does something else as well gives figures that are too low, and not for all by the same share.
fn load_average(say: &dyn Fn(&str)) -> Result<f64> {
    let text = std::fs::read_to_string("/proc/loadavg").context("cannot read the load of this machine")?;
    let load: f64 =
        text.split(' ').next().unwrap_or_default().parse().context("/proc/loadavg is not as proc(5) says")?;
    if load > IDLE {
        say(&format!("warning: this machine is busy (load average {load}): figures and ratios will be off"));
    }
    Ok(load)
}

fn with_broker<T>(args: &Args, dir: &Path, work: impl FnOnce(&str) -> Result<T>) -> Result<T> {
    if let Some(brokers) = &args.brokers {
        return work(brokers);
    }
    let broker = Service::broker(&args.options.hooklog, dir)?;
    let outcome = work(broker.says("brokers")?);
    broker.stop().and(outcome)
}

fn races(args: &Args, brokers: &str, say: &dyn Fn(&str)) -> Result<Vec<Vec<Run>>> {
    let entrants = [Entrant::Limit, Entrant::Limit2, Entrant::Processor, Entrant::Streams];
    let entrants: Vec<Entrant> = entrants.into_iter().filter(|entrant| !args.without.contains(entrant)).collect();
    if entrants.contains(&Entrant::Streams) {
        entrants::build_streams(&args.options.streams)?;
    }
    if !entrants.is_empty() {
        say(&format!("loading {} records", args.records));
        let prefix = args.options.prefix.clone();
        load::run(&load::Args { brokers: brokers.to_owned(), prefix, records: args.records, seed: args.seed })?;
    }
    (1..=args.rounds).map(|round| race(args, brokers, &entrants, round, say)).collect()
}

fn race(args: &Args, brokers: &str, entrants: &[Entrant], round: u32, say: &dyn Fn(&str)) -> Result<Vec<Run>> {
    let mut runs = Vec::new();
    for entrant in entrants {
        let run = contest::once(*entrant, brokers, &args.options)?;
        let figures = &run.figures;
        let (rate, cpu) = (figures.records_per_second, figures.cpu_per_million);
        say(&format!("round {round}: {} {rate:.0} records/s, {cpu:.2} CPU-seconds a million", entrant.name()));
        runs.push(run);
    }
    same_job(&runs)?;
    Ok(runs)
}

/// Those that dedup wrote the same records, byte for byte and header for header, or they were not compared fairly.
fn same_job(runs: &[Run]) -> Result<()> {
    let written: Vec<Written> = runs.iter().filter(|run| run.entrant.dedups()).map(|run| run.written).collect();
    ensure!(
        written.windows(2).all(|pair| pair[0] == pair[1]),
        "processor and Kafka Streams wrote different records: {written:?}; compare both with `hooklog tail --json`"
    );
    Ok(())
}

fn waits(args: &Args, dir: &Path, say: &dyn Fn(&str)) -> Result<Vec<Waits>> {
    let up = Service::up(&args.options.hooklog, dir, SECRET)?;
    let outcome = (1..=args.rounds).map(|round| wait(args, &up, round, say)).collect();
    up.stop().and(outcome)
}

fn wait(args: &Args, up: &Service, round: u32, say: &dyn Fn(&str)) -> Result<Waits> {
    let seed = args.seed + u64::from(round);
    let hop = hop::run(up.says("brokers")?, &args.options.prefix, seed, args.pace)?;
    let caller = Caller::new(up.says("ingest")?, up.says("query")?, SECRET);
    let visible = visible::run(&caller, seed, args.pace)?;
    say(&format!("round {round}: p99 of one hop {:.1} ms, to visible {:.1} ms", hop.p99_ms, visible.p99_ms));
    Ok(Waits { hop, visible })
}

/// `visible` alone, with the hop beside it.
///
/// # Errors
/// As [`run`].
pub(crate) fn run_waits(args: &Args, say: &dyn Fn(&str)) -> Result<String> {
    let load = load_average(say)?;
    let dir = scratch::make("waits")?;
    let waits = waits(args, &dir, say)?;
    scratch::remove(&dir)?;
    let report = Report::new(0, load, Vec::new(), waits);
    Ok(if args.json { serde_json::to_string_pretty(&report)? } else { report.text() })
}
