//! Is the process there, and can it do its work?

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use hyper::StatusCode;

use super::App;
use super::answer::problem;
use crate::writer::Readiness;

pub(super) async fn alive() -> &'static str {
    "ok\n"
}

pub(super) async fn ready(State(app): State<Arc<App>>) -> Response {
    match app.appender.readiness() {
        Readiness::Ready => "ready\n".into_response(),
        Readiness::NotReady(reason) => problem(StatusCode::SERVICE_UNAVAILABLE, &reason),
    }
}
