//! A client of HTTP/1.1 of the plainest kind: what goes out is what a test wrote, byte for byte.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;

const PATIENCE: Duration = Duration::from_secs(30);

/// What came back.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Of the first line.
    pub status: u16,
    /// First line and headers, in small letters.
    pub head: String,
    /// The rest.
    pub body: String,
}

impl Answer {
    /// The body.
    ///
    /// # Panics
    /// It is no JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The value of a header, whose name is in small letters.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

/// Asks `http://host:port` for a path.
///
/// # Errors
/// Nobody answers there, or only half.
pub fn get(base: &str, path: &str) -> io::Result<Answer> {
    exchange(base, &format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"), b"")
}

/// Posts a body to the source `stripe` of `http://host:port`, signed at `time` (epoch s) with `secret`.
///
/// # Errors
/// As [`get`].
pub fn post_signed(base: &str, secret: &str, time: u64, body: &[u8]) -> io::Result<Answer> {
    let (signature, length) = (signature(secret, time, body), body.len());
    let head = format!(
        "POST /webhooks/stripe HTTP/1.1\r\nhost: x\r\nconnection: close\r\nstripe-signature: {signature}\r\ncontent-length: {length}\r\n\r\n"
    );
    exchange(base, &head, body)
}

/// The header `Stripe-Signature`: HMAC-SHA256 over the time (epoch s), a dot and the body.
///
/// # Panics
/// Never: HMAC takes a key of any length.
pub fn signature(secret: &str, time: u64, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes a key of any length");
    mac.update(format!("{time}.").as_bytes());
    mac.update(body);
    format!("t={time},v1={}", hex::encode(mac.finalize().into_bytes()))
}

fn exchange(base: &str, head: &str, body: &[u8]) -> io::Result<Answer> {
    let mut client = TcpStream::connect(base.trim_start_matches("http://"))?;
    client.set_read_timeout(Some(PATIENCE))?;
    client.write_all(&[head.as_bytes(), body].concat())?;
    let mut got = Vec::new();
    client.read_to_end(&mut got)?;
    parse(&String::from_utf8_lossy(&got)).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

fn parse(got: &str) -> Option<Answer> {
    let (head, body) = got.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(Answer { status, head: head.to_lowercase(), body: body.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_stripes() {
        let body = b"{\"id\":\"evt_1\"}";
        let expected = "t=1,v1=";
        assert!(signature("whsec_a", 1, body).starts_with(expected));
        assert_ne!(signature("whsec_a", 1, body), signature("whsec_b", 1, body));
    }

    #[test]
    fn an_answer_is_taken_apart() {
        let answer = parse("HTTP/1.1 404 Not Found\r\nContent-Type: a/b\r\n\r\n{}").expect("it is whole");
        assert_eq!((answer.status, answer.header("content-type"), answer.body.as_str()), (404, Some("a/b"), "{}"));
        assert!(parse("HTTP/1.1 200").is_none());
    }
}
