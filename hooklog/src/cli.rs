//! The command line: the flags that every command has, and the commands.

use std::io::Write;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::broker::command::BrokerCommand;
use crate::up::Roles;
use crate::{audit, inspect, rebuild, repair, send, settings, up};

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
    Ingest(up::Alone<up::IngestArgs>),
    /// Remove duplicates, and nothing else
    Process(up::Alone<up::ProcessArgs>),
    /// Keep the views and answer questions, and nothing else
    Project(up::Alone<up::ProjectArgs>),
    /// Build the views anew under the rules on disk, beside those that answer, and switch
    Rebuild,
    /// Post signed webhooks, made up or your own
    Send(send::Args),
    /// What is configured
    #[command(subcommand)]
    Config(settings::check::ConfigCommand),
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
    Repair(repair::RepairArgs),
    /// The processor's committed offsets
    #[command(subcommand)]
    Offsets(repair::OffsetsCommand),
    /// Write a script that completes hooklog's command line in your shell
    Completions(Completions),
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
            Command::Send(args) => send::run(&args, &self.common),
            Command::Config(command) => command.run(&self.common),
            Command::Audit(args) => audit::run(&args, &self.common),
            Command::Tail(args) => inspect::tail(&args, &self.common),
            Command::Access(args) => inspect::access(&args, &self.common),
            Command::Subscription(args) => inspect::subscription(&args, &self.common),
            Command::Status(args) => inspect::status(&args, &self.common),
            Command::Repair(args) => repair::run(&args, &self.common),
            Command::Offsets(command) => command.run(&self.common),
            Command::Completions(args) => args.write(),
            Command::Broker(command) => command.run(&self.common),
        }
    }
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
        inspect::ignore_broken_pipe(std::io::stdout().lock().write_all(&script))
    }
}
