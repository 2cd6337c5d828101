//! The command line: the flags that every command has, and the commands.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::broker::command::BrokerCommand;
use crate::{send, settings};

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
    /// Post signed webhooks, made up or your own
    Send(send::Args),
    /// The local Apache Kafka alone: for tests, and for who wants to look
    #[command(hide = true, subcommand)]
    Broker(BrokerCommand),
}

impl Cli {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Send(args) => send::run(args),
            Command::Broker(command) => command.run(&self.common),
        }
    }
}
