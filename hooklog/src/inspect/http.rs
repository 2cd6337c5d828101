//! The query API as these commands ask it.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use hyper::{Method, Uri};
use tokio::net::TcpStream;

use crate::http::{Answer, exchange};

/// From the connection to the end of the answer.
const DEADLINE: Duration = Duration::from_secs(10);

/// Who is asked: `host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Server(String);

impl Server {
    /// Of `http://host:port`. The query API speaks plain HTTP on loopback and nothing else.
    pub(super) fn of_url(url: &str) -> Result<Server> {
        let uri: Uri =
            url.parse().with_context(|| format!("`{url}` is no address; write it as http://127.0.0.1:8081"))?;
        match (uri.scheme_str(), uri.host(), uri.port_u16().unwrap_or(80)) {
            (Some("http"), Some(host), port) if uri.path().trim_matches('/').is_empty() => {
                Ok(Server(format!("{host}:{port}")))
            }
            _ => bail!("`{url}` is not the address of a query API; write it as http://127.0.0.1:8081"),
        }
    }

    /// Asks for `path`. Blocks.
    pub(super) fn get(&self, path: &str) -> Result<Answer> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let answer = tokio::time::timeout(DEADLINE, self.answer(path)).await;
            answer.with_context(|| format!("http://{} gave no answer within {} s", self.0, DEADLINE.as_secs()))?
        })
    }

    async fn answer(&self, path: &str) -> Result<Answer> {
        let stream = TcpStream::connect(&self.0).await;
        let stream = stream.with_context(|| format!("nobody answers at http://{}; does `hooklog up` run?", self.0))?;
        exchange(stream, &self.0, Method::GET, path).await
    }
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
        let address = |text: &str| Server(text.into());
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
