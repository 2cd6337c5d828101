//! The command line: flags that every command shares, and the commands.

use crate::broker::command::BrokerCommand;
use crate::datadir::{self, DataDir};
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// Stripe's webhooks, once and for ever, on Apache Kafka.
#[derive(Debug, Parser)]
#[command(version, about)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Args)]
pub(crate) struct Common {
    /// Where everything is kept [default: hooklog in the XDG data home]
    #[arg(long, global = true, value_name = "DIR", env = "HOOKLOG_DATA_DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Machine-readable output
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// The local Apache Kafka alone: for tests, and for who wants to look
    #[command(hide = true, subcommand)]
    Broker(BrokerCommand),
}

impl Cli {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Broker(command) => command.run(&self.common),
        }
    }
}

impl Common {
    /// Opens the data directory for this process alone.
    pub(crate) fn open_data_dir(&self) -> Result<DataDir, datadir::Error> {
        match &self.data_dir {
            Some(path) => DataDir::open(path),
            None => DataDir::open(&datadir::default_path()?),
        }
    }
}
