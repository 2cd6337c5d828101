//! The command line: the flags that every command has, and the commands.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::broker::command::BrokerCommand;
use crate::up::Roles;
use crate::{rebuild, send, settings, up};

/// Stripe's webhooks, once and for ever, on Apache Kafka.
#[derive(Debug, Parser)]
#[command(name = "hooklog", version, about)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) common: settings::Common,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run everything: webhooks in, duplicates out, views; and a local Kafka where no --brokers are given
    Up(up::Args),
    /// Take webhooks in, and nothing else
    Ingest(up::IngestArgs),
    /// Remove duplicates, and nothing else
    Process(up::ProcessArgs),
    /// Keep the views and answer questions, and nothing else
    Project(up::ProjectArgs),
    /// Build the views anew under the rules on disk, beside those that answer, and switch
    Rebuild,
    /// Post signed webhooks, made up or your own
    Send(send::Args),
    /// What is configured
    #[command(subcommand)]
    Config(settings::check::ConfigCommand),
    /// The local Apache Kafka alone: for tests, and for who wants to look
    #[command(hide = true, subcommand)]
    Broker(BrokerCommand),
}

impl Cli {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Up(args) => up::run(Roles::Up(args), &self.common),
            Command::Ingest(args) => up::run(Roles::Ingest(args), &self.common),
            Command::Process(args) => up::run(Roles::Process(args), &self.common),
            Command::Project(args) => up::run(Roles::Project(args), &self.common),
            Command::Rebuild => rebuild::run(&self.common),
            Command::Send(args) => send::run(args),
            Command::Config(command) => command.run(&self.common),
            Command::Broker(command) => command.run(&self.common),
        }
    }
}
