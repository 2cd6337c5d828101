//! What went wrong, as problem details (RFC 9457).

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::error::Error;

/// A status code and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    status: StatusCode,
    title: &'static str,
    detail: String,
}

impl Problem {
    /// The question is wrong.
    pub(crate) fn bad(detail: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, title: "The question cannot be understood", detail: detail.into() }
    }

    /// There is no such thing, and all that could say otherwise was read.
    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self { status: StatusCode::NOT_FOUND, title: "Not known", detail: detail.into() }
    }

    /// Only GET is answered.
    pub(crate) fn method() -> Self {
        let detail = "views are read with GET".to_owned();
        Self { status: StatusCode::METHOD_NOT_ALLOWED, title: "Method not allowed", detail }
    }

    /// It is not known yet.
    pub(crate) fn restoring() -> Self {
        let detail = "the views are still being read from the log; ask again in a moment".to_owned();
        Self { status: StatusCode::SERVICE_UNAVAILABLE, title: "Not restored yet", detail }
    }

    /// It is our fault.
    pub(crate) fn internal(detail: &str) -> Self {
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, title: "The views failed", detail: detail.to_owned() }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        tracing::error!(%error, "a question could not be answered");
        Self::internal(&error.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Self { status, title, detail } = self;
        let body = json!({"type": "about:blank", "title": title, "status": status.as_u16(), "detail": detail});
        let mut response = (status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
