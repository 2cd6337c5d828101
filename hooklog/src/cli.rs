//! The command line: the flags that every command has, and the commands.

use std::io::Write;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::broker::command::BrokerCommand;
use crate::{audit, inspect, repair, send, settings};

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
    /// Prove from the log alone that every event is there once, as raw has it
    Audit(audit::Args),
    /// Show the records of a topic, decoded, and those that follow
    Tail(inspect::TailArgs),
    /// Ask whether a customer has access, and why
    Access(inspect::AccessArgs),
    /// Ask for a subscription's state, and why it is so
    Subscription(inspect::SubscriptionArgs),
    /// Show positions, lag and rates of every partition
    Status(inspect::StatusArgs),
    /// Emit the events that audit found missing
    Repair(repair::Args),
    /// The processor's committed offsets
    #[command(subcommand)]
    Offsets(repair::OffsetsCommand),
    /// Look at the settings
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Write a script that completes hooklog's command line in your shell
    Completions(Completions),
    /// The local Apache Kafka alone: for tests, and for who wants to look
    #[command(hide = true, subcommand)]
    Broker(BrokerCommand),
}

impl Cli {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Send(args) => send::run(args),
            Command::Audit(args) => audit::run(&args, &self.common),
            Command::Tail(args) => inspect::tail(&args, &self.common),
            Command::Access(args) => inspect::access(&args, &self.common),
            Command::Subscription(args) => inspect::subscription(&args, &self.common),
            Command::Status(args) => inspect::status(&args, &self.common),
            Command::Repair(args) => repair::run(&args, &self.common),
            Command::Offsets(command) => command.run(&self.common),
            Command::Config(ConfigCommand::Check) => config_check(&self.common),
            Command::Completions(args) => args.write(),
            Command::Broker(command) => command.run(&self.common),
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Every setting, where it came from, and everything that is wrong
    Check,
}

fn config_check(common: &settings::Common) -> anyhow::Result<ExitCode> {
    let resolved = settings::load(&settings::Flags::of(common));
    Ok(settings::check::run(&resolved, common.json, &mut anstream::stdout().lock())?)
}

#[derive(Debug, Args)]
pub(crate) struct Completions {
    shell: clap_complete::Shell,
}

impl Completions {
    /// By way of memory: clap_complete panics where nobody reads on.
    fn write(&self) -> anyhow::Result<ExitCode> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "hooklog", &mut script);
        inspect::until_nobody_reads(std::io::stdout().lock().write_all(&script))
    }
}
