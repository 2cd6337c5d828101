//! One question over HTTP, to an address or to the admin socket.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

/// From the connection to the end of the answer.
const DEADLINE: Duration = Duration::from_secs(10);
const LONGEST_ANSWER: usize = 16 << 20;

/// Who is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Server {
    /// `host:port`
    Address(String),
    /// A Unix socket.
    Socket(PathBuf),
}

/// What came back.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: String,
}

impl Server {
    /// Of `http://host:port`. The query API speaks plain HTTP on loopback and nothing else.
    pub(super) fn of_url(url: &str) -> Result<Server> {
        let uri: Uri =
            url.parse().with_context(|| format!("`{url}` is no address; write it as http://127.0.0.1:8081"))?;
        match (uri.scheme_str(), uri.host(), uri.port_u16().unwrap_or(80)) {
            (Some("http"), Some(host), port) if uri.path().trim_matches('/').is_empty() => {
                Ok(Server::Address(format!("{host}:{port}")))
            }
            _ => bail!("`{url}` is not the address of a query API; write it as http://127.0.0.1:8081"),
        }
    }

    pub(super) fn admin(data_dir: &Path) -> Server {
        Server::Socket(data_dir.join("admin.sock"))
    }

    /// Asks for `path`. Blocks.
    pub(super) fn get(&self, path: &str) -> Result<Answer> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let answer = tokio::time::timeout(DEADLINE, self.exchange(path)).await;
            answer.with_context(|| format!("{self} gave no answer within {} s", DEADLINE.as_secs()))?
        })
    }

    async fn exchange(&self, path: &str) -> Result<Answer> {
        let nobody = || format!("nobody answers at {self}");
        match self {
            Server::Address(address) => {
                ask(TcpStream::connect(address).await.with_context(nobody)?, address, path).await
            }
            Server::Socket(socket) => {
                ask(UnixStream::connect(socket).await.with_context(nobody)?, "hooklog", path).await
            }
        }
    }
}

impl std::fmt::Display for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Server::Address(address) => write!(f, "http://{address}"),
            Server::Socket(path) => write!(f, "{}", path.display()),
        }
    }
}

async fn ask(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static, host: &str, path: &str) -> Result<Answer> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let request =
        Request::get(path).header("host", host).header("accept", "application/json").body(Empty::<Bytes>::new())?;
    let answer = sender.send_request(request).await?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), LONGEST_ANSWER).collect().await;
    let body = body.map_err(|error| anyhow::anyhow!("the answer cannot be read: {error}"))?.to_bytes();
    connection.abort();
    Ok(Answer { status, body: String::from_utf8_lossy(&body).into_owned() })
}

/// `text` as one part of a path or a query (RFC 3986).
pub(super) fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_with_its_port() {
        let address = |text: &str| Server::Address(text.into());
        assert_eq!(Server::of_url("http://127.0.0.1:8081").unwrap(), address("127.0.0.1:8081"));
        assert_eq!(Server::of_url("http://[::1]:8081/").unwrap(), address("[::1]:8081"));
        for url in ["https://h:1", "127.0.0.1:8081", "http://h/v1", ""] {
            assert!(Server::of_url(url).is_err(), "{url}");
        }
    }

    #[test]
    fn an_id_from_outside_stays_one_part_of_the_path() {
        assert_eq!(encoded("cus_9s6X-.~"), "cus_9s6X-.~");
        assert_eq!(encoded("a/../b?x=1&y#ü"), "a%2F..%2Fb%3Fx%3D1%26y%23%C3%BC");
    }
}
