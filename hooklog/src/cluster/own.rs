//! The data directory's own broker, for the time of one command.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use tokio_util::sync::CancellationToken;

use crate::broker::{Broker, Wanted};
use crate::datadir::{DataDir, cache_home};
use crate::settings::Settings;
use crate::{exit, signals};

const GRACE: Duration = Duration::from_secs(30);
/// Any port will do: nobody but us is told.
const PORT: u16 = 0;

/// Starts it, gives `work` its address, and stops it, whatever came of that. The data directory is locked meanwhile.
pub(super) fn with<T>(settings: &Settings, work: impl FnOnce(&str) -> Result<T>) -> Result<T> {
    let data = DataDir::open(&settings.data_dir)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let cancel = runtime.block_on(async { signals::cancel_on_signals() })?;
    tracing::info!("no hooklog runs on {}: starting its broker for this command", data.path().display());
    let wanted = Wanted { data_dir: data.path().to_owned(), cache: cache_home()?, port: PORT, cancel: cancel.clone() };
    let broker = Broker::start(wanted)?;
    let address = broker.address();
    tracing::info!(pid = broker.pid(), "Apache Kafka answers at {address}");
    if let Some(loss) = broker.power_loss() {
        tracing::warn!("{}: the next `hooklog up` checks and mends its log before it serves anything", loss.cause());
    }
    let own = Own(Arc::new(Mutex::new(Some(broker))));
    own.clone().end_on(cancel, &runtime)?;
    let done = work(&address);
    let stopped = own.stop();
    // Why the work was not done says more than how the broker ended.
    let done = done?;
    stopped.map(|()| done)
}

/// Stopped once, by whoever comes first.
#[derive(Clone)]
struct Own(Arc<Mutex<Option<Broker>>>);

impl Own {
    /// The work blocks its thread, so a signal ends the process from another one, the broker first. What a command left half
    /// done, the next one does again.
    fn end_on(self, cancel: CancellationToken, runtime: &tokio::runtime::Runtime) -> std::io::Result<()> {
        let handle = runtime.handle().clone();
        let end = move || {
            handle.block_on(cancel.cancelled());
            tracing::warn!("stopped before it was done");
            let _ = self.stop().inspect_err(|error| tracing::error!("{error:#}"));
            std::process::exit(exit::MISSING.into());
        };
        std::thread::Builder::new().name("signals".to_owned()).spawn(end).map(drop)
    }

    /// Holds the lock until it is done, so that nobody ends the process meanwhile.
    fn stop(&self) -> Result<()> {
        let mut broker = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(broker) = broker.take() else { return Ok(()) };
        tracing::info!("stopping the broker");
        broker.stop(GRACE)?;
        Ok(())
    }
}
