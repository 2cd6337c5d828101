//! `hooklog broker ...`: the local broker alone. Tests start it so, and who wants to look at its topics.

use super::temporary::{Temporary, cancel_when_stdin_closes};
use super::{Broker, State, VERSION, Wanted, Watch, jars};
use crate::datadir::{DataDir, RunFile, cache_home};
use crate::process::Identity;
use crate::settings::{self, Common};
use crate::signals::cancel_on_signals;
use anyhow::Context;
use clap::{Args, Subcommand};
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const GRACE: Duration = Duration::from_secs(8);

#[derive(Debug, Subcommand)]
pub(crate) enum BrokerCommand {
    /// Run the local Apache Kafka in the foreground until Ctrl-C
    Run(Run),
    /// Fetch its jars into the cache directory, if they are not there and whole
    Fetch,
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    /// Its port on 127.0.0.1; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = 9092, env = "HOOKLOG_KAFKA_PORT")]
    kafka_port: u16,
    /// For a test: in a new directory that is removed at the end, which comes when stdin closes
    #[arg(long, conflicts_with = "data_dir")]
    temporary: bool,
}

impl BrokerCommand {
    pub(crate) fn run(self, common: &Common) -> anyhow::Result<ExitCode> {
        match self {
            Self::Run(run) => {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                runtime.block_on(run.run(common))?;
            }
            Self::Fetch => {
                let jars = jars::ensure(&cache_home()?, &CancellationToken::new())?;
                writeln!(anstream::stdout().lock(), "{}", jars.display())?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Run {
    async fn run(&self, common: &Common) -> anyhow::Result<()> {
        let cancel = cancel_on_signals()?;
        let temporary = self.temporary(&cancel)?;
        let data = match &temporary {
            Some(temporary) => DataDir::open(temporary.path())?,
            None => DataDir::open(&settings::settings(common)?.data_dir)?,
        };
        let wanted = Wanted {
            data_dir: data.path().into(),
            cache: cache_home()?,
            port: self.kafka_port,
            cancel: cancel.clone(),
        };
        let started = tokio::task::spawn_blocking(|| Broker::start(wanted)).await?;
        let broker = match started {
            Err(super::Error::Cancelled) => return Ok(()),
            started => started?,
        };
        let address = broker.address();
        publish(&data, &address, broker.pid())?;
        say_ready(&broker, common.json)?;
        let watch = Watch::over(broker);
        let watched = follow(&watch, &data, &address, &cancel).await;
        let stopped = tokio::task::spawn_blocking(|| watch.stop(GRACE)).await?;
        data.unpublish()?;
        stopped?;
        watched
    }

    fn temporary(&self, cancel: &CancellationToken) -> anyhow::Result<Option<Temporary>> {
        if !self.temporary {
            return Ok(None);
        }
        cancel_when_stdin_closes(cancel.clone());
        Ok(Some(Temporary::create(&Identity::own()?)?))
    }
}

/// Until it is to stop, or has given up.
async fn follow(watch: &Watch, data: &DataDir, address: &str, cancel: &CancellationToken) -> anyhow::Result<()> {
    let mut states = watch.states();
    loop {
        tokio::select! {
            () = cancel.cancelled() => return Ok(()),
            changed = states.changed() => changed.context("the thread that watches Apache Kafka died")?,
        }
        let state = states.borrow_and_update().clone();
        match state {
            // Who cannot find this broker is told so; that ends no broker.
            State::Running { pid } => publish(data, address, pid).unwrap_or_else(|error| tracing::warn!("{error:#}")),
            State::Restarting { .. } => {}
            // Others would go on acknowledging what they write behind the loss. Its log is marked, and the check is `up`'s.
            State::Unsound { why } => return Err(super::Error::Unsound { reason: why }.into()),
            State::GaveUp => return Ok(()),
        }
    }
}

fn publish(data: &DataDir, address: &str, pid: i32) -> anyhow::Result<()> {
    let process = Identity::own()?;
    let run = RunFile { brokers: Some(address.to_owned()), broker_pid: Some(pid), ..RunFile::of(process) };
    Ok(data.publish(&run)?)
}

fn say_ready(broker: &Broker, json: bool) -> anyhow::Result<()> {
    let (address, came, pid) = (broker.address(), broker.came(), broker.pid());
    tracing::info!(?came, pid, "Apache Kafka {VERSION} answers at {address}");
    if let Some(loss) = broker.power_loss() {
        tracing::warn!(
            mark = %loss.mark().display(),
            "{}: its topics may have lost different tails, which the next `hooklog up` mends",
            loss.cause()
        );
    }
    let mut out = anstream::stdout().lock();
    match json {
        true => writeln!(out, "{}", serde_json::json!({ "ready": true, "brokers": address }))?,
        false => writeln!(out, "Apache Kafka {VERSION} answers at {address}. Ctrl-C stops it.")?,
    }
    Ok(out.flush()?)
}
