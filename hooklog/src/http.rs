//! One question over HTTP and its answer, over any stream: a connection to the query API, or the admin socket.

use anyhow::{Context, Result, anyhow};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};

const LONGEST_ANSWER: usize = 16 << 20;

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// 200, or why not.
    pub(crate) status: StatusCode,
    /// What it says.
    pub(crate) body: String,
}

impl Answer {
    /// The body as JSON; null where it is none.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }

    /// The body of a 200; of anything else the error that it carries.
    pub(crate) fn accepted(&self) -> Result<Value, Refused> {
        let (status, body) = (self.status, self.json());
        if status == StatusCode::OK {
            return Ok(body);
        }
        let told = body.get("error").and_then(Value::as_str).map(str::to_owned);
        Err(Refused { status, told: told.unwrap_or_else(|| format!("the running hooklog answered {status}")) })
    }
}

/// A running hooklog said no.
#[derive(Debug, thiserror::Error)]
#[error("{told}")]
pub(crate) struct Refused {
    /// 422 where what the user wrote cannot be used.
    pub(crate) status: StatusCode,
    told: String,
}

/// Asks for `path` over `stream`, which is used up by it.
pub(crate) async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    host: &str,
    method: Method,
    path: &str,
) -> Result<Answer> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let request = Request::builder().method(method).uri(path).header("host", host).header("accept", "application/json");
    let answer = sender.send_request(request.body(Empty::<Bytes>::new())?).await;
    let answer = answer.context("the running hooklog went away before it answered")?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), LONGEST_ANSWER).collect().await;
    let body = body.map_err(|error| anyhow!("the answer cannot be read: {error}"))?.to_bytes();
    connection.abort();
    Ok(Answer { status, body: String::from_utf8_lossy(&body).into_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        Answer { status: StatusCode::from_u16(status).unwrap(), body: body.to_owned() }
    }

    #[test]
    fn only_a_200_is_accepted_and_anything_else_tells_its_error() {
        assert_eq!(answer(200, r#"{"a":1}"#).accepted().unwrap()["a"], 1);
        assert_eq!(
            answer(409, r#"{"error":"a rebuild is running"}"#).accepted().unwrap_err().to_string(),
            "a rebuild is running"
        );
        assert!(answer(500, "oops").accepted().unwrap_err().to_string().contains("500"));
    }
}
