//! The query API.
//!
//! - [`ask`]: the parameters of a question, read strictly
//! - [`look`]: one question answered from one snapshot
//! - [`shape`]: answers as JSON
//! - [`problem`]: what went wrong, as problem details (RFC 9457)
//!
//! `position` says up to where an answer is true: for the partition of the subject, the next offset that is not in it yet.

mod ask;
mod look;
mod problem;
mod shape;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use serde_json::json;

use crate::generations::Generation;
use crate::projector::Parts;
use ask::{Asked, Pairs};
use look::Look;
use problem::Problem;

/// All routes over the views of `parts`.
pub(crate) fn router(parts: Arc<Parts>) -> Router {
    Router::new()
        .route("/v1/subscriptions/{id}", get(subscription))
        .route("/v1/customers/{id}/access", get(access))
        .route("/v1/customers/{id}/subscriptions", get(subscriptions))
        .route("/healthz", get(async || Json(json!({"ok": true}))))
        .route("/readyz", get(ready))
        .fallback(async || {
            Problem::not_found("there is no such resource; see /v1/subscriptions/{id} and /v1/customers/{id}/access")
        })
        .method_not_allowed_fallback(async || Problem::method())
        .with_state(parts)
}

type Params = Result<Query<Pairs>, axum::extract::rejection::QueryRejection>;

async fn subscription(State(parts): State<Arc<Parts>>, Path(id): Path<String>, params: Params) -> Response {
    answer(parts, params, ask::ABOUT_ACCESS, move |look, asked| look.subscription(&id, asked)).await
}

async fn access(State(parts): State<Arc<Parts>>, Path(id): Path<String>, params: Params) -> Response {
    answer(parts, params, ask::ABOUT_ACCESS, move |look, asked| look.access(&id, asked)).await
}

async fn subscriptions(State(parts): State<Arc<Parts>>, Path(id): Path<String>, params: Params) -> Response {
    answer(parts, params, ask::ABOUT_PAGES, move |look, asked| look.subscriptions(&id, asked)).await
}

/// Reads from a store block, so they have threads of their own.
async fn answer<T: Serialize + Send + 'static>(
    parts: Arc<Parts>,
    params: Params,
    known: &'static [&'static str],
    question: impl FnOnce(&Look<'_>, &Asked) -> Result<T, Problem> + Send + 'static,
) -> Response {
    let asked = match params
        .map_err(|rejected| Problem::bad(rejected.body_text()))
        .and_then(|Query(pairs)| Asked::read(pairs, known, now()))
    {
        Ok(asked) => asked,
        Err(problem) => return problem.into_response(),
    };
    let look = move || {
        let live: Arc<Generation> = parts.keeper.live();
        question(&Look::now(&parts, &live), &asked)
    };
    match tokio::task::spawn_blocking(look).await {
        Ok(Ok(body)) => Json(body).into_response(),
        Ok(Err(problem)) => problem.into_response(),
        Err(_) => Problem::internal("the question could not be answered; see the log").into_response(),
    }
}

async fn ready(State(parts): State<Arc<Parts>>) -> Response {
    let status = tokio::task::spawn_blocking(move || parts.status()).await;
    match status {
        Ok(Ok(status)) => {
            let ready = status.partitions.iter().all(|partition| !partition.restoring);
            let code = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            (code, Json(json!({"ready": ready, "views": status}))).into_response()
        }
        Ok(Err(error)) => Problem::internal(&error.to_string()).into_response(),
        Err(_) => Problem::internal("the status could not be read; see the log").into_response(),
    }
}

/// Epoch seconds: the moment that is asked about when the question names none.
#[expect(clippy::disallowed_methods, reason = "this is the shell: a question that names no moment is about now")]
fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs().cast_signed())
}

#[cfg(test)]
mod tests;
