//! What went wrong, as problem details (RFC 9457).

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::error::Error;

/// A status code and what to do about it.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    title: &'static str,
    detail: String,
    /// What went wrong in the views, where that is the reason.
    pub(crate) cause: Option<Error>,
}

impl Problem {
    fn new(status: StatusCode, title: &'static str, detail: impl Into<String>) -> Self {
        Self { status, title, detail: detail.into(), cause: None }
    }

    /// The question is wrong.
    pub(crate) fn bad(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "The question cannot be understood", detail)
    }

    /// There is no such thing, and all that could say otherwise was read.
    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "Not known", detail)
    }

    /// Only GET is answered.
    pub(crate) fn method() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed", "views are read with GET")
    }

    /// It is not known yet.
    pub(crate) fn restoring() -> Self {
        let detail = "the views are still being read from the log; ask again in a moment";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "Not restored yet", detail)
    }

    /// It is our fault.
    pub(crate) fn internal(detail: &str) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "The views failed", detail)
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let problem = match error.is_damage() {
            true => Self::restoring(),
            false => {
                tracing::error!(%error, "a question could not be answered");
                Self::internal(&error.to_string())
            }
        };
        Self { cause: Some(error), ..problem }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Self { status, title, detail, cause: _ } = self;
        let body = json!({"type": "about:blank", "title": title, "status": status.as_u16(), "detail": detail});
        let mut response = (status, Json(body)).into_response();
        let headers = response.headers_mut();
        if status == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        }
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
