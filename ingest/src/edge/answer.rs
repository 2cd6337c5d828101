//! What became of a request, and how it is told: to the sender, to the log, to the metrics.

use axum::response::{IntoResponse, Response};
use hooklog_schemas::{RawPosition, Unusable};
use hyper::StatusCode;
use hyper::header::{CONNECTION, CONTENT_TYPE, RETRY_AFTER};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::body::Unread;
use super::unavailable::Unavailable;
use crate::metric_names;
use crate::signature::Refusal;
use crate::writer::Rejected;

/// What a sender is asked to wait before the next attempt, in seconds.
const RETRY_SECONDS: &str = "5";

/// What became of a request to a known source.
pub(super) enum Outcome {
    Acked { id: String, position: RawPosition },
    Refused(Refusal),
    Unread(Unread),
    Unusable { reason: String, size: usize, sha256: String },
    Unavailable(Rejected),
}

impl Outcome {
    /// A verified body that is no event. What it says stays out of the log: the digest is enough to find it again in
    /// Stripe's own record of deliveries.
    pub(super) fn unusable(why: &Unusable, body: &[u8]) -> Outcome {
        let reason = match why {
            // The parser's own words can quote the body.
            Unusable::NotJson(error) => {
                format!("the body is not one JSON object (line {}, column {})", error.line(), error.column())
            }
            other => other.to_string(),
        };
        Outcome::Unusable { reason, size: body.len(), sha256: hex::encode(Sha256::digest(body)) }
    }

    fn label(&self) -> &'static str {
        match self {
            Outcome::Acked { .. } => "acked",
            Outcome::Refused(_) => "refused",
            Outcome::Unusable { .. } => "unusable",
            Outcome::Unavailable(_) => "unavailable",
            Outcome::Unread(Unread::TooLarge) => "too_large",
            Outcome::Unread(Unread::TimedOut) => "body_timeout",
            Outcome::Unread(Unread::Broken) => "body_broken",
            Outcome::Unread(Unread::NoRoom) => "overloaded",
        }
    }

    fn reason(&self) -> Option<&'static str> {
        match self {
            Outcome::Acked { .. } => None,
            Outcome::Refused(refusal) => Some(refusal.label()),
            Outcome::Unavailable(rejected) => Some(rejected.label()),
            Outcome::Unread(_) | Outcome::Unusable { .. } => Some(self.label()),
        }
    }

    /// Counts and logs this outcome. Never the body, never the header, never a secret.
    pub(super) fn record(&self, source: &str, unavailable: &Unavailable) {
        let name = source.to_owned();
        metrics::counter!(metric_names::REQUESTS, metric_names::SOURCE => name.clone(), metric_names::OUTCOME => self.label())
            .increment(1);
        if let Some(reason) = self.reason() {
            metrics::counter!(metric_names::REFUSALS, metric_names::SOURCE => name, metric_names::REASON => reason)
                .increment(1);
        }
        match self {
            Outcome::Acked { id, position } => {
                tracing::debug!(source, id, %position, "taken in");
                unavailable.acknowledged();
            }
            Outcome::Refused(refusal) => tracing::warn!(source, reason = refusal.label(), "refused: {refusal}"),
            Outcome::Unusable { reason, size, sha256 } => {
                tracing::error!(
                    source,
                    size,
                    reason,
                    sha256,
                    "verified but unusable, not written: Stripe sent what is no event"
                );
            }
            Outcome::Unread(Unread::TooLarge) => {
                tracing::error!(
                    source,
                    "a body above the cap was refused; if it was Stripe's, it is lost after three days"
                );
            }
            Outcome::Unread(Unread::NoRoom) => unavailable.refused(source, self.label(), "too much is under way"),
            Outcome::Unread(unread) => tracing::warn!(source, "the body was not read: {unread:?}"),
            Outcome::Unavailable(rejected) => unavailable.refused(source, rejected.label(), rejected),
        }
    }
}

impl IntoResponse for Outcome {
    fn into_response(self) -> Response {
        match self {
            Outcome::Acked { id, position } => {
                let body = json!({ "id": id, "position": position.to_string() }).to_string();
                ([(CONTENT_TYPE, "application/json")], body).into_response()
            }
            // One text for every reason: a forger learns nothing from it.
            Outcome::Refused(_) => problem(StatusCode::BAD_REQUEST, "the request's signature does not verify"),
            Outcome::Unusable { .. } => problem(
                StatusCode::UNPROCESSABLE_ENTITY,
                "the body is not a JSON object with a string id of 1 to 255 bytes",
            ),
            Outcome::Unread(unread) => unread.into_response(),
            Outcome::Unavailable(_) => retry_later("the event could not be stored now"),
        }
    }
}

impl IntoResponse for Unread {
    fn into_response(self) -> Response {
        let response = match self {
            Unread::TooLarge => problem(StatusCode::PAYLOAD_TOO_LARGE, "the body is larger than this service takes"),
            Unread::TimedOut => problem(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time"),
            Unread::Broken => problem(StatusCode::BAD_REQUEST, "the body could not be read"),
            Unread::NoRoom => retry_later("too much is under way"),
        };
        // What is left of the body must not be taken for the next request.
        ([(CONNECTION, "close")], response).into_response()
    }
}

fn retry_later(detail: &str) -> Response {
    ([(RETRY_AFTER, RETRY_SECONDS)], problem(StatusCode::SERVICE_UNAVAILABLE, detail)).into_response()
}

/// Problem details, RFC 9457.
pub(super) fn problem(status: StatusCode, detail: &str) -> Response {
    let title = status.canonical_reason().unwrap_or_default();
    let body =
        json!({ "type": "about:blank", "title": title, "status": status.as_u16(), "detail": detail }).to_string();
    (status, [(CONTENT_TYPE, "application/problem+json")], body).into_response()
}

pub(super) async fn no_such_path() -> Response {
    problem(StatusCode::NOT_FOUND, "there is nothing here: webhooks go to /webhooks/{source}")
}

/// A path whose source is not configured.
pub(super) fn unknown_source() -> Response {
    let labels = [(metric_names::SOURCE, metric_names::UNKNOWN_SOURCE), (metric_names::OUTCOME, "unknown_source")];
    metrics::counter!(metric_names::REQUESTS, &labels).increment(1);
    problem(StatusCode::NOT_FOUND, "no source of this name is configured")
}
