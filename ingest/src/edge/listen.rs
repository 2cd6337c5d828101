//! The accept loop. axum's own has no deadline for headers, so this one runs hyper itself.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::Limits;
use crate::metric_names;

/// How long to wait after a failed accept: it mostly means no file descriptor is free, and that passes.
const AFTER_FAILURE: Duration = Duration::from_millis(200);
/// So many failures in a row, about a minute of them, mean that it does not pass.
const FAILURES: u32 = 300;

/// Serves `router` on `listener` until `shutdown`; then every connection may finish its current request.
pub(crate) async fn listen(
    listener: TcpListener,
    router: Router,
    limits: &Limits,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let places = Arc::new(Semaphore::new(limits.connections));
    let connections = TaskTracker::new();
    let protocol = protocol(limits);
    loop {
        let (stream, place) = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            accepted = accept(&listener, &places) => accepted?,
        };
        let service = TowerToHyperService::new(router.clone());
        let connection = protocol.serve_connection(TokioIo::new(stream), service);
        let lifetime = lifetime(connection, limits.connection_life, limits.drain, shutdown.clone());
        connections.spawn(async move {
            metrics::gauge!(metric_names::CONNECTIONS).increment(1);
            lifetime.await;
            metrics::gauge!(metric_names::CONNECTIONS).decrement(1);
            drop(place);
        });
    }
    // Every connection has its own deadline, so this wait has one.
    drop((listener, router));
    connections.close();
    connections.wait().await;
    Ok(())
}

/// The next connection, once there is a place for it: until then it waits in the system's queue.
async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let place = places.clone().acquire_owned().await.expect("the semaphore is never closed");
    let mut failures = 0;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Answers are small and awaited; a connection that cannot be told so is served all the same.
                let _ = stream.set_nodelay(true);
                return Ok((stream, place));
            }
            Err(error) if failures == FAILURES => return Err(error),
            Err(error) => {
                failures += 1;
                tracing::warn!("no connection could be accepted: {error}");
                sleep(AFTER_FAILURE).await;
            }
        }
    }
}

fn protocol(limits: &Limits) -> http1::Builder {
    let mut protocol = http1::Builder::new();
    protocol
        .timer(TokioTimer::new())
        // A client may close its sending side and wait for the answer; to stop at that would keep from it what Kafka said.
        .half_close(true)
        .header_read_timeout(limits.header_timeout)
        .max_header_size(limits.header_bytes)
        .max_headers(limits.headers)
        .max_buf_size(limits.header_bytes.max(64 << 10));
    protocol
}

type Connection = http1::Connection<TokioIo<TcpStream>, TowerToHyperService<Router>>;

/// Drives a connection until it ends by itself; asks it to end after `life` or on `shutdown`, and cuts it `drain` later.
/// So a client that never reads its answers, or feeds one byte at a time, costs a place for a bounded time.
async fn lifetime(connection: Connection, life: Duration, drain: Duration, shutdown: CancellationToken) {
    let mut connection = pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => return ended_by_itself(ended),
        () = sleep(life) => {}
        () = shutdown.cancelled() => {}
    }
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        ended = connection.as_mut() => ended_by_itself(ended),
        () = sleep(drain) => tracing::debug!("a connection was cut: it did not finish in time"),
    }
}

fn ended_by_itself(ended: hyper::Result<()>) {
    if let Err(error) = ended {
        tracing::debug!("a connection ended: {error}");
    }
}
