//! The fault harness: one local installation under load, faults from outside, and a look at the log afterwards. See the README
//! of this folder for what each scenario does and what a report says.
//!
//! | module | what it is |
//! |---|---|
//! | [`options`] | the scenarios and their flags |
//! | [`schedule`] | what is done in each cycle, from a seed: pure |
//! | `run`, `act`, `check` | the cycles; the faults; what is looked at between them |
//! | `installation`, `disk` | what is tested, and where |
//! | `load` | webhooks, posted until they are acknowledged |
//! | [`reader`], `exact` | `events` as a plain consumer sees it, and whether each acknowledged event is there once: the latter pure |
//! | [`logs`] | the logs of a stopped broker: has each transaction all its markers? |
//! | [`failure`], [`report`], `table`, `tail`, `progress` | what was found, how it is told |
//! | `dice`, `stop` | seeded chance; signals |

mod act;
mod check;
mod dice;
mod disk;
mod exact;
pub mod failure;
mod installation;
mod load;
pub mod logs;
pub mod options;
mod progress;
pub mod reader;
pub mod report;
mod run;
pub mod schedule;
mod stop;
mod table;
mod tail;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand};

pub use report::{Report, Standing};
pub use run::{Place, resume, run};
pub use stop::Stop;

use failure::Failure;
use logs::Logs;
use options::{RunArgs, Scenario, ToArgs};

/// Faults from outside on a local installation under load
#[derive(Debug, Parser)]
#[command(name = "hooklog-faults", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Kill hooklog, its broker or both, again and again
    Crash(RunArgs),
    /// Kill both, half of the times with a long pause; then read the logs of Kafka
    Kills(RunArgs),
    /// Fill the broker's disk, the store's or both (needs root)
    DiskFull(RunArgs),
    /// Stop the broker for a while
    Silent(RunArgs),
    /// Go on with a run that was ended, in its directory
    Resume {
        /// As the run named it
        dir: PathBuf,
        #[command(flatten)]
        to: ToArgs,
    },
    /// Read the logs of a stopped installation: has each transaction all its markers?
    Logs {
        /// Its data directory
        data_dir: PathBuf,
        /// Write what was read to this directory
        #[arg(long, value_name = "DIR")]
        save: Option<PathBuf>,
    },
}

/// What is to be printed, and whether all is well.
#[derive(Debug)]
pub struct Answer {
    /// Tables.
    pub text: String,
    /// Nothing was found, and everything was done.
    pub is_well: bool,
}

/// Runs what the command line asks for.
///
/// # Errors
/// The harness itself cannot go on: what it needs is not there.
pub fn answer(cli: Cli) -> Result<Answer> {
    match cli.command {
        Command::Crash(args) => of_scenario(Scenario::Crash, args),
        Command::Kills(args) => of_scenario(Scenario::Kills, args),
        Command::DiskFull(args) => of_scenario(Scenario::DiskFull, args),
        Command::Silent(args) => of_scenario(Scenario::Silent, args),
        Command::Resume { dir, to } => {
            let place = Place { hooklog: to.hooklog, directory: dir, report: to.report };
            Ok(told(&resume(place, &Stop::on_signals()?)?))
        }
        Command::Logs { data_dir, save } => logs_of(&data_dir, save.as_deref()),
    }
}

fn of_scenario(scenario: Scenario, args: RunArgs) -> Result<Answer> {
    let options = args.options(scenario);
    let named = format!("hooklog-faults-{scenario:?}-{}-{}", options.seed, std::process::id()).to_lowercase();
    let directory = args.dir.unwrap_or_else(|| std::env::temp_dir().join(named));
    ensure!(
        !directory.join("report.json").exists(),
        "a run was made in {0}: go on with it (`resume {0}`), or name another directory",
        directory.display()
    );
    let place = Place { hooklog: args.to.hooklog, directory: directory.clone(), report: args.to.report };
    let report = run(options, place, &Stop::on_signals()?)?;
    let mut answer = told(&report);
    if report.standing == Standing::Unfinished {
        answer.text += &format!("\nended before its time: go on with `resume {}`", directory.display());
    }
    Ok(answer)
}

fn told(report: &Report) -> Answer {
    Answer { text: report.table(), is_well: report.standing == Standing::Passed }
}

fn logs_of(data_dir: &Path, save: Option<&Path>) -> Result<Answer> {
    let logs = Logs::read(data_dir)?;
    save.map_or(Ok(()), |directory| logs.save(directory))?;
    let judgement = logs.judge();
    let text = serde_json::to_string_pretty(&judgement).context("a judgement has a JSON form")?;
    let no_leader = format!("\n\"no leader\" in server.log: {}", logs.no_leader);
    Ok(Answer { text: text + &no_leader, is_well: Failure::markers(&judgement).is_none() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn flags_are_what_the_scenario_usually_has_unless_they_say_otherwise() {
        Cli::command().debug_assert();
        let cli = Cli::parse_from(["hooklog-faults", "kills", "--cycles", "7", "--seed", "3"]);
        let Command::Kills(args) = cli.command else { panic!() };
        let options = args.options(Scenario::Kills);
        assert_eq!((options.cycles, options.seed, options.check_every, options.ready_within_s), (7, 3, 20, 30));
        assert!(!options.keep_going && !options.hurry);
    }
}
