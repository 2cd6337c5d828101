//! Which services a command runs, and the flags that they take.

use std::path::PathBuf;

use clap::Args as ClapArgs;

use crate::settings::{Common, Flags};

/// `hooklog up`.
#[derive(Debug, Default, ClapArgs)]
#[command(args_override_self = true)]
pub(crate) struct Args {
    #[command(flatten)]
    ingest: IngestArgs,
    #[command(flatten)]
    project: ProjectArgs,
    #[command(flatten)]
    process: ProcessArgs,
    #[command(flatten)]
    topics: TopicArgs,
    /// The port of its own broker on 127.0.0.1; 0 takes a free one [default: 9092]
    #[arg(long, value_name = "PORT")]
    kafka_port: Option<u16>,
}

/// `hooklog ingest`.
#[derive(Debug, Default, ClapArgs)]
pub(crate) struct IngestArgs {
    /// Where webhooks come in [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    ingest_addr: Option<String>,
}

/// `hooklog process`.
#[derive(Debug, Default, ClapArgs)]
pub(crate) struct ProcessArgs {
    /// Partitions of new topics; pinned for ever [default: 4 on its own broker, 12 on a given cluster]
    #[arg(long, value_name = "N")]
    partitions: Option<u32>,
    /// Take the dedup window that is configured now in place of the recorded one; no other processor may run
    #[arg(long)]
    change_window: bool,
}

/// `hooklog project`.
#[derive(Debug, Default, ClapArgs)]
pub(crate) struct ProjectArgs {
    /// Where questions come in, loopback only [default: 127.0.0.1:8081]
    #[arg(long, value_name = "ADDRESS")]
    query_addr: Option<String>,
    /// Access rules [default: rules/default.toml in the working directory if it is there, else those built in]
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
}

/// What every service asks of topics that it has to create.
#[derive(Debug, Default, ClapArgs)]
pub(crate) struct TopicArgs {
    /// How many brokers keep each partition of new topics [default: 1 on its own broker, 3 on a given cluster]
    #[arg(long, value_name = "N")]
    replication: Option<u32>,
}

/// A service that runs alone.
#[derive(Debug, Default, ClapArgs)]
pub(crate) struct Alone<T: ClapArgs> {
    #[command(flatten)]
    service: T,
    #[command(flatten)]
    topics: TopicArgs,
}

/// What one process runs.
#[derive(Debug)]
pub(crate) enum Roles {
    /// Everything, and a broker where no cluster is given.
    Up(Args),
    /// Webhooks in.
    Ingest(Alone<IngestArgs>),
    /// Duplicates out.
    Process(Alone<ProcessArgs>),
    /// Views.
    Project(Alone<ProjectArgs>),
}

impl Roles {
    pub(super) fn ingests(&self) -> bool {
        matches!(self, Roles::Up(_) | Roles::Ingest(_))
    }

    pub(super) fn processes(&self) -> bool {
        matches!(self, Roles::Up(_) | Roles::Process(_))
    }

    pub(super) fn projects(&self) -> bool {
        matches!(self, Roles::Up(_) | Roles::Project(_))
    }

    /// Whether it may run its own broker, and be found by other commands.
    pub(super) fn is_up(&self) -> bool {
        matches!(self, Roles::Up(_))
    }

    /// Whether another window than the recorded one is meant.
    pub(super) fn changes_window(&self) -> bool {
        match self {
            Roles::Up(all) => all.process.change_window,
            Roles::Process(process) => process.service.change_window,
            Roles::Ingest(_) | Roles::Project(_) => false,
        }
    }

    /// All flags, as settings.
    pub(super) fn flags(&self, common: &Common) -> Flags {
        let (none_i, none_c, none_j) = (IngestArgs::default(), ProcessArgs::default(), ProjectArgs::default());
        let (ingest, process, project, topics, port) = match self {
            Roles::Up(all) => (&all.ingest, &all.process, &all.project, &all.topics, all.kafka_port),
            Roles::Ingest(alone) => (&alone.service, &none_c, &none_j, &alone.topics, None),
            Roles::Process(alone) => (&none_i, &alone.service, &none_j, &alone.topics, None),
            Roles::Project(alone) => (&none_i, &none_c, &alone.service, &alone.topics, None),
        };
        let rules = project.rules.as_ref().map(|path| path.to_string_lossy().into_owned());
        Flags::of(common)
            .with("ingest_addr", ingest.ingest_addr.as_ref())
            .with("query_addr", project.query_addr.as_ref())
            .with("rules", rules)
            .with("partitions", process.partitions)
            .with("replication", topics.replication)
            .with("kafka_port", port)
    }
}
