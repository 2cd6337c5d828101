//! Side-by-side figures: what `make bench` runs. See the README of this folder for what is measured and how.
//!
//! | module | what it is |
//! |---|---|
//! | `load` | raw, filled with the same records for the same seed |
//! | `bare` | the limit: a librdkafka loop without dedup and store |
//! | `contest` | limit, processor and Kafka Streams as children, watched alike from outside |
//! | `latency` | one bare hop, and from a POST to the view |
//! | `all`, `report` | everything in turn; tables, JSON, ratios |
//! | `child`, `service`, `scratch` | programs and directories that are gone when a run is |
//! | `clients`, `topics` | Kafka's settings and empty topics |

mod all;
mod bare;
mod child;
mod clients;
mod contest;
mod latency;
mod load;
mod report;
mod scratch;
mod service;
mod topics;

use anyhow::Result;
use clap::{Parser, Subcommand};
use contest::entrants::Entrant;

/// Side-by-side figures of Hooklog's processor and views
#[derive(Debug, Parser)]
#[command(name = "hooklog-bench", version, args_conflicts_with_subcommands = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// Without a command everything is run
    #[command(flatten)]
    all: all::Args,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run everything in turn and print tables: what is done without a command, too
    All(all::Args),
    /// Fill raw
    Load(load::Args),
    /// Measure the bare loop in one thread
    Limit(contest::Args),
    /// Measure the bare loop in two threads
    Limit2(contest::Args),
    /// Measure `hooklog process`
    Processor(contest::Args),
    /// Measure Kafka Streams
    Streams(contest::Args),
    /// Measure one bare hop from produce to visible
    Hop(HopArgs),
    /// Measure from POST to visible in the view, beside the bare hop
    Visible(all::Args),
    /// The bare loop itself, as `limit` starts it
    #[command(hide = true)]
    Loop(bare::Args),
}

#[derive(Debug, Clone, clap::Args)]
struct HopArgs {
    /// Addresses of the Kafka brokers
    #[arg(long)]
    brokers: String,
    /// Begins the name of every topic
    #[arg(long, default_value = "bench.")]
    prefix: String,
    /// The same seed gives the same records
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    pace: latency::Pace,
}

/// Runs what the command line asks for; `say` is given progress, and what is returned is to be printed.
///
/// # Errors
/// When a program or broker fails or is too late, or a figure would rest on a run that went wrong.
pub fn run(cli: Cli, say: &dyn Fn(&str)) -> Result<String> {
    match cli.command.unwrap_or(Command::All(cli.all)) {
        Command::All(args) => all::run(&args, say),
        Command::Visible(args) => all::run_waits(&args, say),
        Command::Load(args) => load::run(&args).map(|()| format!("{} records in {}raw", args.records, args.prefix)),
        Command::Limit(args) => contest::run(Entrant::Limit, &args),
        Command::Limit2(args) => contest::run(Entrant::Limit2, &args),
        Command::Processor(args) => contest::run(Entrant::Processor, &args),
        Command::Streams(args) => contest::run(Entrant::Streams, &args),
        Command::Hop(args) => {
            Ok(serde_json::to_string(&latency::hop::run(&args.brokers, &args.prefix, args.seed, args.pace)?)?)
        }
        Command::Loop(args) => bare::run(&args).map(|()| String::new()),
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::{Cli, Command};

    #[test]
    fn without_a_command_the_flags_are_those_of_all() {
        Cli::command().debug_assert();
        let bare = Cli::parse_from(["hooklog-bench", "--rounds", "1", "--json"]);
        assert!(bare.command.is_none() && bare.all.rounds == 1 && bare.all.json);
        let named = Cli::parse_from(["hooklog-bench", "all", "--rounds", "2"]);
        assert!(matches!(named.command, Some(Command::All(args)) if args.rounds == 2));
    }
}
