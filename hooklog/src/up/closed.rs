//! What is answered while no service runs: before the first start, while Kafka is away, while a log is checked.
//!
//! A webhook gets 503 at once, so that its sender keeps it; questions get 503, too; `/readyz` says why on both addresses.

use std::sync::Arc;

use anyhow::anyhow;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use hooklog_ingest::{Source, Status};
use serde_json::{Value, json};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::services::Listeners;
use crate::{admin, listen};

/// Serves that until it is opened.
pub(super) struct Closed {
    why: Why,
    stop: CancellationToken,
    serving: JoinSet<anyhow::Result<()>>,
}

/// Why it is closed; whoever finds out says it here.
#[derive(Clone)]
pub(super) struct Why(Status);

impl Why {
    #[cfg(test)]
    pub(super) fn of(why: &str) -> Why {
        Why(Status::closed(why))
    }

    /// From now on, for this reason.
    pub(super) fn is(&self, why: impl Into<String>) {
        self.0.close(why);
    }

    pub(super) fn text(&self) -> String {
        self.0.why_not().unwrap_or_default()
    }
}

impl Closed {
    /// Closed for `why` until told otherwise.
    pub(super) fn serve(listeners: &Listeners, sources: &[Source], why: &str) -> anyhow::Result<Closed> {
        let (why, stop, mut serving) = (Why(Status::closed(why)), CancellationToken::new(), JoinSet::new());
        if let Some(listener) = listeners.ingest()? {
            let (sources, standing, stop) = (sources.to_vec(), why.0.clone(), stop.clone());
            serving.spawn(async move { Ok(hooklog_ingest::refuse(listener, &sources, standing, stop).await?) });
        }
        if let Some(listener) = listeners.query()? {
            let (router, stop) = (router(why.clone()).merge(admin::metrics()?), stop.clone());
            serving.spawn(async move {
                listen::serve(listener, router, stop).await;
                Ok(())
            });
        }
        Ok(Closed { why, stop, serving })
    }

    pub(super) fn why(&self) -> Why {
        self.why.clone()
    }

    /// Does `work` for as long as it answers. Where that ends by itself, so does the process, by `cancel`, after which `work` comes
    /// to its own end as at a signal: a sender that is refused a connection learns nothing, and nobody would know.
    pub(super) async fn during<T>(
        &mut self,
        cancel: &CancellationToken,
        work: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        let mut work = std::pin::pin!(work);
        let died = tokio::select! {
            done = &mut work => return done,
            Some(ended) = self.serving.join_next() => ended,
        };
        cancel.cancel();
        if let Err(also) = work.await {
            tracing::error!("{}", crate::exit::told(&also));
        }
        Err(early(died))
    }

    /// Ends, once what was asked is answered.
    pub(super) async fn open(mut self) -> anyhow::Result<()> {
        self.stop.cancel();
        while let Some(ended) = self.serving.join_next().await {
            ended.map_err(|died| anyhow!("what answers while nothing runs panicked: {died}"))??;
        }
        Ok(())
    }
}

/// What ended before it was told to.
fn early(ended: Result<anyhow::Result<()>, JoinError>) -> anyhow::Error {
    let cause = match ended {
        Ok(Ok(())) => anyhow!("no reason was given"),
        Ok(Err(error)) => error,
        Err(died) => anyhow!("{died}"),
    };
    cause.context("the server that answers 503 while the services are stopped ended unexpectedly, so hooklog ends. Start it again; if it happens again, please report it")
}

/// The query address. The fields are those that `/readyz` has when the views are there.
fn router(why: Why) -> Router {
    Router::new()
        .route("/healthz", get(async || Json(json!({"ok": true}))))
        .route("/readyz", get(not_ready))
        .fallback(closed)
        .with_state(Arc::new(why))
}

async fn not_ready(State(why): State<Arc<Why>>) -> Response {
    let body = json!({"ready": false, "reasons": [why.text()], "views": Value::Null});
    (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response()
}

async fn closed(State(why): State<Arc<Why>>) -> Response {
    let status = StatusCode::SERVICE_UNAVAILABLE;
    let body = json!({"type": "about:blank", "title": "Not open yet", "status": status.as_u16(), "detail": why.text()});
    let headers = [(header::CONTENT_TYPE, "application/problem+json"), (header::RETRY_AFTER, "1")];
    (status, headers, body.to_string()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::{Body, to_bytes};
    use axum::http::Request;
    use std::time::Duration;
    use tower::ServiceExt;

    async fn ask(why: &Why, path: &str) -> (u16, Value) {
        let response = router(why.clone()).oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
        let status = response.status().as_u16();
        (status, serde_json::from_slice(&to_bytes(response.into_body(), 1 << 16).await.unwrap()).unwrap())
    }

    fn answering(task: impl Future<Output = anyhow::Result<()>> + Send + 'static) -> Closed {
        let mut serving = JoinSet::new();
        serving.spawn(task);
        // The other address.
        serving.spawn(std::future::pending());
        Closed { why: Why::of("it is starting"), stop: CancellationToken::new(), serving }
    }

    #[tokio::test]
    async fn the_end_of_whoever_answers_ends_the_process_and_what_it_does_in_order() {
        let ends: [fn() -> anyhow::Result<()>; 3] = [|| Ok(()), || Err(anyhow!("no listener")), || panic!("a defect")];
        for end in ends {
            let (mut closed, cancel) = (answering(async move { end() }), CancellationToken::new());
            let mut was_ended = false;
            let work = async {
                cancel.cancelled().await;
                was_ended = true;
                anyhow::Ok(())
            };
            let done = tokio::time::timeout(Duration::from_secs(20), closed.during(&cancel, work)).await;
            assert!(done.expect("its end was not noticed").is_err() && was_ended);
        }
    }

    #[tokio::test]
    async fn what_is_done_while_it_answers_has_its_own_outcome() {
        let cancel = CancellationToken::new();
        let mut closed = answering(std::future::pending());
        assert_eq!(closed.during(&cancel, async { Ok(7) }).await.unwrap(), 7);
        assert!(closed.during(&cancel, async { Err::<(), _>(anyhow!("no")) }).await.is_err());
        let mut nobody = Closed { serving: JoinSet::new(), ..closed };
        assert_eq!(nobody.during(&cancel, async { Ok(8) }).await.unwrap(), 8, "`process` has no address");
        assert!(!cancel.is_cancelled());
    }

    #[tokio::test]
    async fn it_is_alive_and_not_ready_and_says_why_as_it_is_now() {
        let why = Why(Status::closed("Kafka is away"));
        assert_eq!(ask(&why, "/healthz").await.0, 200);
        let (status, body) = ask(&why, "/readyz").await;
        assert_eq!((status, &body["ready"], &body["reasons"]), (503, &json!(false), &json!(["Kafka is away"])));
        why.is("the disk is full");
        let (status, body) = ask(&why, "/v1/customers/cus_1/access").await;
        assert_eq!((status, &body["detail"]), (503, &json!("the disk is full")));
    }
}
