//! A small server that is not always well.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use bytes::Bytes;
use hooklog_ingest::Secret;
use hooklog_ingest::signature::verify;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;

use super::SECRET;
use crate::send::run::epoch_seconds;

/// How the server behaves; counted per body, so that a repeat of an attempt can go better.
#[derive(Clone, Copy, Default)]
pub(super) struct Manners {
    /// Answer 503 to the first attempt of every so many bodies.
    pub(super) unready_every: usize,
    /// Answer 422 to bodies of this type.
    pub(super) unusable: &'static str,
    /// Close so many connections before reading anything.
    pub(super) closes_first: usize,
    /// Answer on so many connections, once on each, and close every further one; 0 is never.
    pub(super) closes_after: usize,
    /// `Retry-After` of every answer; none is 0.
    pub(super) asks_for: &'static str,
}

#[derive(Default)]
pub(super) struct Seen {
    pub(super) attempts: HashMap<Bytes, usize>,
    pub(super) bodies: usize,
    pub(super) acked: Vec<Bytes>,
    pub(super) connections: usize,
    pub(super) wrong_signatures: usize,
}

pub(super) struct Server {
    pub(super) address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    /// Dropped with the server: its thread ends.
    _runtime: tokio::runtime::Runtime,
}

impl Server {
    pub(super) fn start(manners: Manners) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let address = listener.local_addr().expect("bound");
        let seen = Arc::new(Mutex::new(Seen::default()));
        let app = Router::new().route("/webhooks/stripe", post(answer)).with_state((seen.clone(), manners));
        runtime.spawn(accept(listener, app, seen.clone(), manners));
        Self { address, seen, _runtime: runtime }
    }

    pub(super) fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().expect("no handler panicked")
    }
}

async fn accept(listener: tokio::net::TcpListener, app: Router, seen: Arc<Mutex<Seen>>, manners: Manners) {
    while let Ok((stream, _)) = listener.accept().await {
        let number = {
            let mut seen = seen.lock().expect("no handler panicked");
            seen.connections += 1;
            seen.connections
        };
        if number > manners.closes_first && (manners.closes_after == 0 || number <= manners.closes_after) {
            let service = TowerToHyperService::new(app.clone());
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    }
}

async fn answer(
    State((seen, manners)): State<(Arc<Mutex<Seen>>, Manners)>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, [(&'static str, &'static str); 2], &'static str) {
    let mut seen = seen.lock().expect("no handler panicked");
    seen.wrong_signatures += usize::from(!is_signed(&headers, &body));
    if !seen.attempts.contains_key(&body) {
        seen.bodies += 1;
    }
    let number = seen.bodies;
    let attempts = seen.attempts.entry(body.clone()).or_default();
    *attempts += 1;
    let is_first = *attempts == 1;
    let code = if is_first && manners.unready_every > 0 && number.is_multiple_of(manners.unready_every) {
        StatusCode::SERVICE_UNAVAILABLE
    } else if !manners.unusable.is_empty() && String::from_utf8_lossy(&body).contains(manners.unusable) {
        StatusCode::UNPROCESSABLE_ENTITY
    } else {
        seen.acked.push(body);
        StatusCode::OK
    };
    let asks_for = if manners.asks_for.is_empty() { "0" } else { manners.asks_for };
    let connection = if manners.closes_after > 0 { "close" } else { "keep-alive" };
    (code, [("retry-after", asks_for), ("connection", connection)], "said the server")
}

fn is_signed(headers: &HeaderMap, body: &[u8]) -> bool {
    let header = headers.get("stripe-signature").map(|value| value.as_bytes()).unwrap_or_default();
    let secret = Secret::new(SECRET.to_owned()).expect("a secret");
    verify(header, body, &[secret], epoch_seconds()).is_ok()
}
