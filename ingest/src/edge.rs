//! HTTP: what a stranger may cost, and what each request is answered.

mod answer;
mod body;
mod health;
mod listen;
#[cfg(test)]
mod tests;
mod unavailable;
mod webhook;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};
use tokio::sync::Semaphore;
use tower_http::catch_panic::CatchPanicLayer;

use crate::config::Limits;
use crate::source::Sources;
use crate::writer::Appender;

pub(crate) use listen::listen;
use unavailable::Unavailable;

/// What every request needs.
pub(crate) struct App {
    sources: Sources,
    appender: Appender,
    limits: Limits,
    /// Room for bodies, in KiB.
    room: Arc<Semaphore>,
    unavailable: Unavailable,
}

impl App {
    pub(crate) fn new(sources: Sources, appender: Appender, limits: Limits) -> App {
        let room = Arc::new(Semaphore::new(body::kib(limits.bodies_bytes)));
        App { sources, appender, limits, room, unavailable: Unavailable::new() }
    }
}

/// Every route. A path that is none of them is 404, another method 405; nothing redirects, since Stripe counts that as
/// a failure.
pub(crate) fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/webhooks/{source}", post(webhook::receive))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .fallback(answer::no_such_path)
        .layer(CatchPanicLayer::new())
        .with_state(app)
}
