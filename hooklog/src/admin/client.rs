//! The asking side, for commands that work through a running `hooklog`.

use std::fs::File;
use std::path::Path;

use anyhow::{Context, bail};
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::UnixStream;

/// An answer: JSON, or a refusal in its `error`.
pub(crate) struct Reply {
    /// 200, or why not.
    pub(crate) status: StatusCode,
    /// What it says.
    pub(crate) body: Value,
}

impl Reply {
    /// The body of a 200; of anything else the error that it carries.
    pub(crate) fn accepted(self) -> anyhow::Result<Value> {
        match (self.status, self.body.get("error").and_then(Value::as_str)) {
            (StatusCode::OK, _) => Ok(self.body),
            (_, Some(error)) => bail!("{error}"),
            (status, None) => bail!("the running hooklog answered {status}"),
        }
    }
}

/// One request over the admin socket of `data_dir`.
///
/// # Errors
/// Where nobody listens there, or the connection breaks.
pub(crate) async fn ask(data_dir: &Path, method: Method, path: &str) -> anyhow::Result<Reply> {
    let socket = super::socket(data_dir);
    let nobody =
        || format!("no running hooklog is found at {}: start `hooklog up`, or give its --data-dir", socket.display());
    let directory = File::open(data_dir).with_context(nobody)?;
    let stream = UnixStream::connect(super::short(&directory)).await.with_context(nobody)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let served = tokio::spawn(connection);
    let request = Request::builder().method(method).uri(path).header("host", "hooklog").body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await.context("the running hooklog went away")?;
    let status = response.status();
    let body = response.into_body().collect().await.context("the running hooklog went away")?.to_bytes();
    drop(sender);
    served.abort();
    Ok(Reply { status, body: serde_json::from_slice(&body).unwrap_or(Value::Null) })
}
