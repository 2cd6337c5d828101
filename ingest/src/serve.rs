//! The whole service: the edge and the writer, started and stopped in order.

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::edge::{self, App};
use crate::metric_names;
use crate::source::{Source, Sources};
use crate::writer::{self, Status};
use crate::{Config, Error, Limits};

/// Serves `POST /webhooks/{source}`, `/healthz` and `/readyz` on `listener` until `shutdown`, then lets what is under
/// way finish within its deadlines. It starts without Kafka and answers 503 until Kafka is there, which `standing` tells.
///
/// # Errors
/// What is wrong with `config`, a listener that broke for good, or a writer that died.
pub async fn serve(
    listener: TcpListener,
    config: Config,
    standing: Status,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    config.check()?;
    metric_names::describe();
    let (appender, mut writer) = writer::start(&config, &standing)?;
    let app = App::new(Sources::new(&config.sources)?, appender, config.limits.clone());
    let edge = edge::listen(listener, edge::router(Arc::new(app)), &config.limits, shutdown);
    tokio::select! {
        served = edge => served?,
        ended = &mut writer => {
            let reason = ended.err().map_or_else(|| "it returned".to_owned(), |died| died.to_string());
            return Err(Error::WriterEnded { reason });
        }
    }
    // The edge is gone and with it every sender of the queue, so the writer finishes by itself.
    writer.await.map_err(|died| Error::WriterEnded { reason: died.to_string() })
}

/// In the place of [`serve`] while nothing may be written: what is genuine gets 503 at once, and `/readyz` says why, as
/// `standing` does. Until `shutdown`.
///
/// # Errors
/// Sources that are wrong, or a listener that broke for good.
pub async fn refuse(
    listener: TcpListener,
    sources: &[Source],
    standing: Status,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    metric_names::describe();
    let limits = Limits::default();
    let (appender, refusing) = writer::refuse(&limits, &standing);
    let app = App::new(Sources::new(sources)?, appender, limits.clone());
    edge::listen(listener, edge::router(Arc::new(app)), &limits, shutdown).await?;
    refusing.await.map_err(|died| Error::WriterEnded { reason: died.to_string() })
}
