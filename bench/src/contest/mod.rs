//! The side-by-side runs: bare loop, processor and Kafka Streams over the same raw, measured alike from outside.

mod cpu;
pub(crate) mod entrants;
pub(crate) mod figures;
mod observe;
pub(crate) mod verdict;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rdkafka::consumer::BaseConsumer;
use serde::Serialize;

use crate::child::Program;
use crate::clients;
use crate::load::sequence;
use crate::scratch;
use crate::topics::{self, Clock};
use entrants::{Entrant, Race};
use figures::Figures;
use observe::Watched;
use verdict::Written;

/// How to run the entrants.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// Begins the name of every topic
    #[arg(long, default_value = "bench.")]
    pub(crate) prefix: String,
    /// The program whose `process` is measured
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../bin/hooklog"))]
    pub(crate) hooklog: PathBuf,
    /// The Maven project of the Kafka Streams program
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/streams"))]
    pub(crate) streams: PathBuf,
    /// Stream threads of Kafka Streams
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=8))]
    pub(crate) streams_threads: u32,
    /// A setting of Kafka Streams, as name=value, over those that the bench gives it
    #[arg(long = "streams-set", value_name = "NAME=VALUE")]
    pub(crate) streams_settings: Vec<String>,
    /// An option of the JVM that Kafka Streams runs in, instead of those that the bench gives it
    #[arg(long = "java-option", value_name = "OPTION", allow_hyphen_values = true)]
    pub(crate) java_options: Vec<String>,
    /// A run that takes longer is given up
    #[arg(long, default_value_t = 300)]
    pub(crate) deadline_seconds: u64,
}

/// One run of one entrant over a raw that `load` filled.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// Addresses of the Kafka brokers
    #[arg(long)]
    pub(crate) brokers: String,
    /// How to run it
    #[command(flatten)]
    pub(crate) options: Options,
}

/// What one run gave.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Run {
    pub(crate) entrant: Entrant,
    #[serde(flatten)]
    pub(crate) figures: Figures,
    pub(crate) written: Written,
}

/// Runs one entrant and returns its figures as a line of JSON.
///
/// # Errors
/// When it fails, is too late, or did not write what it should have written.
pub(crate) fn run(entrant: Entrant, args: &Args) -> Result<String> {
    if entrant == Entrant::Streams {
        entrants::build_streams(&args.options.streams)?;
    }
    Ok(serde_json::to_string(&once(entrant, &args.brokers, &args.options)?)?)
}

/// One run with empty events, no offsets, an empty store.
pub(crate) fn once(entrant: Entrant, brokers: &str, options: &Options) -> Result<Run> {
    let race = race(brokers, options, scratch::make(entrant.name())?)?;
    let start = entrant.start(&race)?;
    if !entrant.ends_alone() {
        topics::forget_group(brokers, &start.group)?;
    }
    topics::fresh(brokers, &race.events(), Clock::Producer)?;
    let figures = measure(entrant, &race, &start)?;
    let written = verdict::read(brokers, &race.events(), Duration::from_secs(options.deadline_seconds))?;
    clean(brokers, &start.group)?;
    judge(entrant, &race, written)?;
    scratch::remove(&race.dir)?;
    Ok(Run { entrant, figures, written })
}

fn measure(entrant: Entrant, race: &Race, start: &entrants::Start) -> Result<Figures> {
    let began = Instant::now();
    let mut program = Program::start(entrant.name(), &start.program, &start.args, &race.dir)?;
    let raw = race.raw();
    let watched = Watched { brokers: &race.brokers, raw: &raw, group: &start.group };
    let within = Duration::from_secs(race.options.deadline_seconds);
    let samples = observe::watch(&mut program, &watched, began, race.total, within)?;
    if entrant.ends_alone() {
        program.wait(Duration::from_secs(60))?;
    } else {
        program.stop()?;
    }
    figures::figures(&samples, race.total).context("all fitted into one commit: load more records")
}

fn judge(entrant: Entrant, race: &Race, written: Written) -> Result<()> {
    let total = u64::try_from(race.total)?;
    let expected = if entrant.dedups() { sequence::unique_before(total) } else { total };
    ensure!(
        written.records == expected,
        "{} wrote {} records where {expected} are right: its figures mean nothing",
        entrant.name(),
        written.records
    );
    Ok(())
}

/// Kafka Streams leaves its changelog, which begins with its group's name.
fn clean(brokers: &str, group: &str) -> Result<()> {
    let left = topics::starting_with(brokers, group)?;
    if left.is_empty() {
        return Ok(());
    }
    topics::delete(brokers, &left.iter().map(String::as_str).collect::<Vec<_>>())
}

fn race(brokers: &str, options: &Options, dir: PathBuf) -> Result<Race> {
    let observer: BaseConsumer = clients::observer(brokers, "hooklog-bench-contest").create()?;
    let total = topics::ends(&observer, &format!("{}raw", options.prefix))?.iter().sum();
    ensure!(total > 0, "{}raw is empty: fill it with `hooklog-bench load`", options.prefix);
    Ok(Race { brokers: brokers.to_owned(), total, dir, options: options.clone() })
}
