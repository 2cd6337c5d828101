//! One connection to ingest that is kept: a plain client of HTTP/1.1, since a connection for each post would use up the ports.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hooklog_test_support::http::signature;

/// Longer than ingest may take for an answer (5 s).
const PATIENCE: Duration = Duration::from_secs(15);
const CONNECT: Duration = Duration::from_secs(5);
/// Of one answer.
const LONGEST_BODY: usize = 1 << 20;

/// How one attempt went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Status(u16),
    /// Nobody accepted the connection.
    Refused,
    /// The connection ended before the answer was there: the webhook may have been stored.
    Broken,
    TimedOut,
}

impl Answer {
    /// As the report names it.
    pub(crate) fn name(self) -> String {
        match self {
            Self::Status(code) => code.to_string(),
            Self::Refused => "refused".to_owned(),
            Self::Broken => "broken".to_owned(),
            Self::TimedOut => "timeout".to_owned(),
        }
    }

    fn of(error: &io::Error) -> Self {
        match error.kind() {
            ErrorKind::ConnectionRefused => Self::Refused,
            ErrorKind::WouldBlock | ErrorKind::TimedOut => Self::TimedOut,
            _ => Self::Broken,
        }
    }
}

/// Where and with which secret to post.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    pub(crate) secret: String,
}

/// Posts, one after the other.
#[derive(Debug)]
pub(crate) struct Client {
    target: Target,
    kept: Option<BufReader<TcpStream>>,
    /// The last answer's.
    body: Vec<u8>,
}

impl Client {
    pub(crate) fn new(target: Target) -> Self {
        Self { target, kept: None, body: Vec::new() }
    }

    /// Posts this body to the source `stripe`, signed now.
    pub(crate) fn post(&mut self, body: &[u8]) -> Answer {
        // A server may end a connection that is idle; that says nothing of this post, which then takes a new one.
        let was_kept = self.kept.is_some();
        match self.exchange(body) {
            Err(error) if was_kept && Answer::of(&error) == Answer::Broken => self.exchange(body),
            answer => answer,
        }
        .unwrap_or_else(|error| Answer::of(&error))
    }

    /// Where the last webhook that got its 200 stands: partition and offset of `raw`, as the answer names them.
    pub(crate) fn position(&self) -> Option<(i32, i64)> {
        let answer: serde_json::Value = serde_json::from_slice(&self.body).ok()?;
        let (partition, offset) = answer["position"].as_str()?.strip_prefix("raw/")?.split_once('/')?;
        Some((partition.parse().ok()?, offset.parse().ok()?))
    }

    fn exchange(&mut self, body: &[u8]) -> io::Result<Answer> {
        let mut connection = match self.kept.take() {
            Some(connection) => connection,
            None => connect(self.target.address)?,
        };
        let (signature, length) = (signature(&self.target.secret, now(), body), body.len());
        let head = format!(
            "POST /webhooks/stripe HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nstripe-signature: {signature}\r\ncontent-length: {length}\r\n\r\n"
        );
        connection.get_mut().write_all(&[head.as_bytes(), body].concat())?;
        let (status, stays) = read_answer(&mut connection, &mut self.body)?;
        if stays {
            self.kept = Some(connection);
        }
        Ok(Answer::Status(status))
    }
}

fn connect(address: SocketAddr) -> io::Result<BufReader<TcpStream>> {
    let connection = TcpStream::connect_timeout(&address, CONNECT)?;
    connection.set_read_timeout(Some(PATIENCE))?;
    connection.set_write_timeout(Some(PATIENCE))?;
    connection.set_nodelay(true)?;
    Ok(BufReader::new(connection))
}

/// The status, and whether the connection may be used again.
fn read_answer(from: &mut impl BufRead, body: &mut Vec<u8>) -> io::Result<(u16, bool)> {
    let status = line(from)?.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or(ErrorKind::InvalidData)?;
    let (mut length, mut stays) = (None, true);
    loop {
        let line = line(from)?.to_lowercase();
        match line.split_once(':') {
            None if line.is_empty() => break,
            Some(("content-length", value)) => length = value.trim().parse::<usize>().ok(),
            Some(("connection", value)) => stays = value.trim() != "close",
            _ => {}
        }
    }
    // Without a length the end of the body is the end of the connection.
    body.clear();
    let Some(length) = length.filter(|length| *length <= LONGEST_BODY) else { return Ok((status, false)) };
    body.resize(length, 0);
    from.read_exact(body)?;
    Ok((status, stays))
}

fn line(from: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    if from.take(1 << 16).read_line(&mut line)? == 0 {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end().to_owned())
}

#[expect(clippy::disallowed_methods, reason = "a webhook is signed with the time of its sending")]
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::thread;

    fn target(listener: &TcpListener) -> Target {
        Target { address: listener.local_addr().unwrap(), secret: "whsec_a".to_owned() }
    }

    #[test]
    fn answers_are_read_to_their_ends_one_behind_the_other() {
        let mut two = &b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\n{}HTTP/1.1 200 OK\r\ncontent-length: 0\r\nConnection: close\r\n\r\n"[..];
        let mut body = Vec::new();
        assert_eq!((read_answer(&mut two, &mut body).unwrap(), &body[..]), ((503, true), &b"{}"[..]));
        assert_eq!((read_answer(&mut two, &mut body).unwrap(), &body[..]), ((200, false), &b""[..]));
        assert!(read_answer(&mut two, &mut body).is_err());
    }

    #[test]
    fn an_answer_that_breaks_off_is_none() {
        for part in ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}", "nonsense\r\n\r\n"] {
            assert!(read_answer(&mut part.as_bytes(), &mut Vec::new()).is_err(), "{part:?}");
        }
    }

    #[test]
    fn a_connection_that_nobody_accepts_is_refused_and_one_that_ends_is_broken() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = Client::new(target(&listener));
        let server = thread::spawn(move || drop(listener.accept().unwrap()));
        assert_eq!(client.post(b"{}"), Answer::Broken);
        server.join().unwrap();
        assert_eq!(client.post(b"{}"), Answer::Refused);
    }

    #[test]
    fn a_kept_connection_that_the_server_ended_costs_no_post() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = Client::new(target(&listener));
        let server = thread::spawn(move || {
            for _ in 0..2 {
                let (mut connection, _) = listener.accept().unwrap();
                let _ = connection.read(&mut [0; 4_096]).unwrap();
                let body = r#"{"id":"evt_1","position":"raw/3/1234"}"#;
                let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                connection.write_all(answer.as_bytes()).unwrap();
            }
        });
        assert_eq!(client.post(b"{}"), Answer::Status(200));
        assert_eq!(client.post(b"{}"), Answer::Status(200));
        assert_eq!(client.position(), Some((3, 1_234)));
        server.join().unwrap();
    }
}
