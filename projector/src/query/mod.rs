//! The query API.
//!
//! - [`params`]: the parameters of a question, read strictly
//! - [`handlers`]: one question answered from one snapshot
//! - [`responses`]: answers as JSON
//! - [`problem`]: what went wrong, as problem details (RFC 9457)
//!
//! `position` says up to where an answer is true: for the partition of the subject, the next offset that is not in it yet.

mod handlers;
mod params;
mod problem;
mod responses;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use serde_json::json;

use crate::generations::Generation;
use crate::metric_names;
use crate::projector::Parts;
use handlers::Look;
use params::{Asked, Pairs};
use problem::Problem;

/// What else keeps the process from being ready, a sentence each.
pub type Others = Arc<dyn Fn() -> Vec<String> + Send + Sync>;

/// All routes over the views of `parts`.
pub(crate) fn router(parts: Arc<Parts>, others: Others) -> Router {
    let asked = parts.clone();
    Router::new()
        .route("/v1/subscriptions/{id}", get(subscription))
        .route("/v1/customers/{id}/access", get(access))
        .route("/v1/customers/{id}/subscriptions", get(subscriptions))
        .route("/healthz", get(async || Json(json!({"ok": true}))))
        .route("/readyz", get(move || ready(asked.clone(), others.clone())))
        .fallback(async || {
            Problem::not_found("there is no such resource; see /v1/subscriptions/{id} and /v1/customers/{id}/access")
        })
        .method_not_allowed_fallback(async || Problem::method())
        .layer(from_fn(metric_names::answered))
        .with_state(parts)
}

type Id = Result<Path<String>, PathRejection>;
type Params = Result<Query<Pairs>, axum::extract::rejection::QueryRejection>;

async fn subscription(State(parts): State<Arc<Parts>>, id: Id, params: Params) -> Response {
    answer(parts, id, params, params::ABOUT_ACCESS, |look, id, asked| look.subscription(id, asked)).await
}

async fn access(State(parts): State<Arc<Parts>>, id: Id, params: Params) -> Response {
    answer(parts, id, params, params::ABOUT_ACCESS, |look, id, asked| look.access(id, asked)).await
}

async fn subscriptions(State(parts): State<Arc<Parts>>, id: Id, params: Params) -> Response {
    answer(parts, id, params, params::ABOUT_PAGES, |look, id, asked| look.subscriptions(id, asked)).await
}

/// Reads from a store block, so they have threads of their own.
async fn answer<T: Serialize + Send + 'static>(
    parts: Arc<Parts>,
    id: Id,
    params: Params,
    known: &'static [&'static str],
    question: impl FnOnce(&Look<'_>, &str, &Asked) -> Result<T, Problem> + Send + 'static,
) -> Response {
    let (id, asked) = match understood(id, params, known) {
        Ok(understood) => understood,
        Err(problem) => return problem.into_response(),
    };
    let look = move || {
        let live: Arc<Generation> = parts.generations.live();
        let answer = question(&Look::now(&parts, &live), &id, &asked);
        answer.inspect_err(|problem| problem.cause.iter().for_each(|error| parts.suspect(&live, error)))
    };
    match tokio::task::spawn_blocking(look).await {
        Ok(Ok(body)) => Json(body).into_response(),
        Ok(Err(problem)) => problem.into_response(),
        Err(_) => Problem::internal("the question could not be answered; see the log").into_response(),
    }
}

fn understood(id: Id, params: Params, known: &[&str]) -> Result<(String, Asked), Problem> {
    let Path(id) = id.map_err(|rejected| Problem::bad(rejected.body_text()))?;
    let Query(pairs) = params.map_err(|rejected| Problem::bad(rejected.body_text()))?;
    Ok((id, Asked::read(pairs, known, now())?))
}

/// Ready is a process that holds all that was committed when it started, and whose other parts have no reason not to be.
async fn ready(parts: Arc<Parts>, others: Others) -> Response {
    let looked = tokio::task::spawn_blocking(move || (parts.status(), others())).await;
    match looked {
        Ok((Ok(status), others)) => {
            let reasons: Vec<String> = status.not_ready().chain(others).collect();
            let code = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            let body = json!({"ready": reasons.is_empty(), "reasons": reasons, "views": status});
            (code, Json(body)).into_response()
        }
        Ok((Err(error), _)) => Problem::from(error).into_response(),
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
