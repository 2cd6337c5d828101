//! Signed POSTs and GETs over kept connections, as a client of Hooklog makes them.

use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use hmac::{Hmac, KeyInit, Mac};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{Request, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use sha2::Sha256;

use crate::load::body::Event;

const ANSWER: Duration = Duration::from_secs(10);

/// Talks to one `up`.
#[derive(Clone)]
pub(crate) struct Caller {
    client: Client<HttpConnector, Full<Bytes>>,
    ingest: String,
    query: String,
    secret: String,
}

impl Caller {
    pub(crate) fn new(ingest: &str, query: &str, secret: &str) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Self {
            client: Client::builder(TokioExecutor::new()).build(connector),
            ingest: ingest.to_owned(),
            query: query.to_owned(),
            secret: secret.to_owned(),
        }
    }

    /// Posts an event to the source `stripe` and insists on 200.
    pub(crate) async fn post(&self, event: &Event) -> Result<()> {
        let request = Request::post(format!("{}/webhooks/stripe", self.ingest))
            .header("content-type", "application/json")
            .header("stripe-signature", signature(&self.secret, now()?, &event.body)?)
            .body(Full::from(event.body.clone()))?;
        let (status, body) = self.call(request).await?;
        ensure!(status == StatusCode::OK, "ingest answered {status}: {}", String::from_utf8_lossy(&body));
        Ok(())
    }

    /// True once the view answers with this subscription as active.
    pub(crate) async fn active(&self, subscription: &str) -> Result<bool> {
        let request = Request::get(format!("{}/v1/subscriptions/{subscription}", self.query)).body(Full::default())?;
        let (status, body) = self.call(request).await?;
        if status == StatusCode::NOT_FOUND {
            return Ok(false);
        }
        ensure!(status == StatusCode::OK, "the query API answered {status}: {}", String::from_utf8_lossy(&body));
        let answer: serde_json::Value = serde_json::from_slice(&body).context("the query API answers no JSON")?;
        ensure!(answer["status"] == "active", "{subscription} is {} in the view, not active", answer["status"]);
        Ok(true)
    }

    async fn call(&self, request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes)> {
        tokio::time::timeout(ANSWER, async {
            let answer = self.client.request(request).await?;
            let status = answer.status();
            Ok((status, answer.into_body().collect().await?.to_bytes()))
        })
        .await
        .context("no answer in time")?
    }
}

/// Stripe's scheme: HMAC-SHA256 with the whole secret over the time's text, a point, and the body.
fn signature(secret: &str, time: u64, body: &[u8]) -> Result<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes())?;
    mac.update(format!("{time}.").as_bytes());
    mac.update(body);
    Ok(format!("t={time},v1={}", hex::encode(mac.finalize().into_bytes())))
}

/// Ingest refuses old signatures, so this one time must come from the clock.
#[allow(clippy::disallowed_methods, reason = "the shell of the bench: a signature needs the present time")]
fn now() -> Result<u64> {
    Ok(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs())
}

#[cfg(test)]
mod tests {
    use super::signature;

    #[test]
    fn the_signature_is_hmac_sha256_over_the_time_a_point_and_the_body() {
        // By `printf '1533204620.{}' | openssl dgst -sha256 -hmac secret`.
        let expected = "t=1533204620,v1=005ea280f19fe5296094dbbee05cf905f55b65e9cdc9680b6b75844183873b1a";
        assert_eq!(signature("secret", 1_533_204_620, b"{}").expect("any key will do"), expected);
    }
}
