//! One webhook, from request to answer.

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use hooklog_schemas::{Envelope, Millis};
use hyper::HeaderMap;
use hyper::header::EXPECT;

use super::answer::{Outcome, unknown_source};
use super::{App, body};
use crate::metric_names;
use crate::record::Record;
use crate::signature::{Refusal, Verified, verify};
use crate::source::Source;
use crate::traceparent;

const SIGNATURE: &str = "stripe-signature";
const TRACEPARENT: &str = "traceparent";

/// A name that is no text, e.g. `%ff`, is nobody's.
type Name = Result<Path<String>, PathRejection>;

pub(super) async fn receive(State(app): State<Arc<App>>, name: Name, request: Request) -> Response {
    let source = name.ok().and_then(|Path(name)| app.sources.get(&name));
    let Some(source) = source else { return unknown_source() };
    let outcome = take(&app, source, request).await;
    outcome.record(source.name(), &app.unavailable);
    outcome.into_response()
}

async fn take(app: &App, source: &Source, request: Request) -> Outcome {
    let (head, body) = request.into_parts();
    let asks_first = head.headers.contains_key(EXPECT);
    let whole = match body::read(body, asks_first, &app.limits, &app.room).await {
        Ok(whole) => whole,
        Err(unread) => return Outcome::Unread(unread),
    };
    metrics::histogram!(metric_names::BODY_BYTES, metric_names::SOURCE => source.name().to_owned())
        .record(whole.bytes.len() as f64);
    match accept(source, &head.headers, &whole.bytes, now(), rand::random()) {
        Ok(record) => store(app, source, record).await,
        Err(outcome) => outcome,
    }
}

/// The decision: a request that is genuine and an event becomes a record. No IO; time and randomness come from outside.
fn accept(
    source: &Source,
    headers: &HeaderMap,
    body: &Bytes,
    now: Millis,
    random: [u8; 24],
) -> Result<Record, Outcome> {
    let verified = judge(source, headers, body, now).map_err(Outcome::Refused)?;
    // Only what is signed is looked into.
    let envelope = Envelope::read(body).map_err(|why| Outcome::unusable(&why, body))?;
    Ok(Record {
        id: envelope.id.into_owned(),
        body: body.clone(),
        namespace: source.namespace().clone(),
        source: source.name().into(),
        received_at: now,
        signature_time: verified.time,
        traceparent: traceparent::of(headers.get_all(TRACEPARENT).iter().map(|value| value.as_bytes()), random),
    })
}

fn judge(source: &Source, headers: &HeaderMap, body: &[u8], now: Millis) -> Result<Verified, Refusal> {
    let mut signatures = headers.get_all(SIGNATURE).iter();
    match (signatures.next(), signatures.next()) {
        (None, _) => Err(Refusal::NoHeader),
        (Some(_), Some(_)) => Err(Refusal::SeveralHeaders),
        (Some(header), None) => verify(header.as_bytes(), body, source.secrets(), now.0.div_euclid(1000)),
    }
}

async fn store(app: &App, source: &Source, record: Record) -> Outcome {
    let (id, begun) = (record.id.clone(), Instant::now());
    match app.appender.append(record).await {
        Ok(position) => {
            let seconds = begun.elapsed().as_secs_f64();
            metrics::histogram!(metric_names::ACK_SECONDS, metric_names::SOURCE => source.name().to_owned())
                .record(seconds);
            Outcome::Acked { id, position }
        }
        Err(rejected) => Outcome::Unavailable(rejected),
    }
}

/// The one reading of the wall clock in this crate. A clock before 1970 makes every signature too far ahead: refused.
#[expect(clippy::disallowed_methods, reason = "a signature's age is judged by the wall clock, here and nowhere else")]
fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
