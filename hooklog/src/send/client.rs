//! One attempt: sign, post over a kept connection, read the answer.

use std::time::Duration;

use bytes::Bytes;
use hooklog_ingest::{Secret, signature};
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use hyper::{Request, Response, Uri};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::retry::Answer;
use super::target::Target;

/// From the connection to the end of the answer.
const DEADLINE: Duration = Duration::from_secs(10);
/// Of an answer nothing further is read.
const LONGEST_ANSWER: usize = 64 << 10;

/// Posts to one endpoint.
pub(super) struct Poster {
    client: Client<HttpConnector, Full<Bytes>>,
    uri: Uri,
    secret: Secret,
}

/// An answer and the first words of its body.
pub(super) struct Reply {
    pub(super) answer: Answer,
    pub(super) text: String,
}

impl Poster {
    pub(super) fn new(target: Target, connections: usize) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(DEADLINE));
        let client = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(connections)
            .pool_timer(TokioTimer::new())
            .build(connector);
        Self { client, uri: target.uri, secret: target.secret }
    }

    /// Posts `body`, signed as of `now` (epoch s).
    pub(super) async fn post(&self, body: Bytes, now: i64) -> Reply {
        match tokio::time::timeout(DEADLINE, self.exchange(body, now)).await {
            Ok(Ok(reply)) => reply,
            Ok(Err(error)) => failed(&error),
            Err(_) => Reply { answer: Answer::TimedOut, text: format!("no answer within {} s", DEADLINE.as_secs()) },
        }
    }

    async fn exchange(&self, body: Bytes, now: i64) -> Result<Reply, Error> {
        let signature = signature::sign(&self.secret, now, &body);
        let request = Request::post(self.uri.clone())
            .header(CONTENT_TYPE, "application/json; charset=utf-8")
            .header("stripe-signature", signature)
            .body(Full::new(body))
            .expect("the URL was parsed, and a signature is ASCII");
        let response = self.client.request(request).await?;
        Ok(read(response).await)
    }
}

/// The body is read to its end, or the connection could not be used again.
async fn read(response: Response<hyper::body::Incoming>) -> Reply {
    let answer = Answer::Status { code: response.status().as_u16(), retry_after: retry_after(response.headers()) };
    let body = Limited::new(response.into_body(), LONGEST_ANSWER).collect().await;
    match body {
        Ok(body) => Reply { answer, text: String::from_utf8_lossy(&body.to_bytes()).chars().take(300).collect() },
        Err(_) => Reply { answer, text: String::new() },
    }
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

fn failed(error: &Error) -> Reply {
    let answer = if error.is_connect() { Answer::Refused } else { Answer::Broken };
    let cause = std::error::Error::source(error).map(ToString::to_string);
    Reply { answer, text: cause.unwrap_or_else(|| error.to_string()) }
}
