//! The user's own events: cuts a stream of JSON objects (NDJSON or simply one after the other) into bodies, byte for byte.

use std::io::{BufRead, Read};

use anyhow::{Context, Result, bail};
use hooklog_schemas::Envelope;

use super::generator::Event;

/// No body may be longer: ingest takes 1 MiB, and memory stays bounded.
const LONGEST: usize = 8 << 20;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The bodies of a stream. Where it holds exactly one, that body is the stream with every byte around it: a byte order
/// mark, line ends, spaces. Where it holds several, each is what stands from its first brace to its last.
pub(super) struct Bodies<R> {
    input: R,
    first: Option<Framed>,
    count: u64,
    done: bool,
}

/// One object and what stands before it.
struct Framed {
    before: Vec<u8>,
    object: Vec<u8>,
}

enum Cut {
    Object(Framed),
    /// No object any more, only this.
    End(Vec<u8>),
}

impl<R: BufRead> Bodies<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, first: None, count: 0, done: false }
    }

    fn advance(&mut self) -> Result<Option<Vec<u8>>> {
        if let Some(second) = self.first.take() {
            return Ok(Some(second.object));
        }
        let body = match self.cut()? {
            Cut::End(_) if self.count == 0 => bail!("there is no JSON object in it: nothing to send"),
            Cut::End(after) => return self.only_blank_after(&after).map(|()| None),
            Cut::Object(framed) => framed,
        };
        self.count += 1;
        if self.count > 1 {
            return Ok(Some(body.object));
        }
        match self.cut()? {
            Cut::End(after) => Ok(Some([body.before, body.object, after].concat())),
            Cut::Object(second) => {
                self.count += 1;
                self.first = Some(second);
                Ok(Some(body.object))
            }
        }
    }

    fn cut(&mut self) -> Result<Cut> {
        let mut bytes = Vec::new();
        let mut scan = Scan::default();
        loop {
            let buffer = self.input.fill_buf().context("the input cannot be read")?;
            if buffer.is_empty() {
                return if scan.depth == 0 {
                    Ok(Cut::End(bytes))
                } else {
                    bail!("event {} ends in the middle", self.count + 1)
                };
            }
            let length = buffer.iter().position(|byte| scan.ends_with(*byte)).map(|at| at + 1);
            bytes.extend_from_slice(&buffer[..length.unwrap_or(buffer.len())]);
            let used = length.unwrap_or(buffer.len());
            self.input.consume(used);
            if bytes.len() > LONGEST {
                bail!("event {} is longer than {} MiB: no webhook is", self.count + 1, LONGEST >> 20);
            }
            if length.is_some() {
                return self.frame(bytes);
            }
        }
    }

    /// What is no event is not left out in silence.
    fn only_blank_after(&self, after: &[u8]) -> Result<()> {
        match after.iter().find(|byte| !byte.is_ascii_whitespace()) {
            Some(stray) => {
                bail!("after event {} stands {:?}: every event must be a JSON object", self.count, char::from(*stray))
            }
            None => Ok(()),
        }
    }

    fn frame(&self, mut bytes: Vec<u8>) -> Result<Cut> {
        let start = bytes.iter().position(|byte| *byte == b'{').unwrap_or(bytes.len());
        let object = bytes.split_off(start);
        let blank = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&bytes);
        if let Some(stray) = blank.iter().find(|byte| !byte.is_ascii_whitespace()) {
            let number = self.count + 1;
            bail!("before event {number} stands {:?}: every event must be a JSON object", char::from(*stray));
        }
        Ok(Cut::Object(Framed { before: bytes, object }))
    }
}

/// Follows braces and strings; all else is for the server to judge.
#[derive(Default)]
struct Scan {
    depth: usize,
    in_text: bool,
    escaped: bool,
}

impl Scan {
    /// Whether `byte` is the last of an object.
    fn ends_with(&mut self, byte: u8) -> bool {
        if self.in_text {
            let closes = byte == b'"' && !self.escaped;
            self.escaped = byte == b'\\' && !self.escaped;
            self.in_text = !closes;
            return false;
        }
        match byte {
            b'"' if self.depth > 0 => self.in_text = true,
            b'{' => self.depth += 1,
            b'}' if self.depth > 0 => {
                self.depth -= 1;
                return self.depth == 0;
            }
            _ => {}
        }
        false
    }
}

impl<R: BufRead> Iterator for Bodies<R> {
    type Item = Result<Event>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let body = self.advance();
        self.done = !matches!(body, Ok(Some(_)));
        let event = |body: Vec<u8>| Event { id: id_of(&body), body, pending_webhooks_at: None };
        body.map(|body| body.map(event)).transpose()
    }
}

/// The event's id as ingest reads it, or nothing where the body has none; ingest will say what it thinks of that.
fn id_of(body: &[u8]) -> String {
    Envelope::read(body).map(|event| event.id.into_owned()).unwrap_or_default()
}

/// Opens a file, or standard input for `-`.
pub(super) fn open(path: &std::path::Path) -> Result<Box<dyn BufRead + Send>> {
    let input: Box<dyn Read + Send> = if path.as_os_str() == "-" {
        Box::new(std::io::stdin())
    } else {
        Box::new(std::fs::File::open(path).with_context(|| format!("{} cannot be opened", path.display()))?)
    };
    Ok(Box::new(std::io::BufReader::with_capacity(1 << 16, input)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bodies(input: &[u8]) -> Vec<String> {
        // A buffer of three bytes: no cut may depend on where a read ended.
        let input = std::io::BufReader::with_capacity(3, input);
        let events =
            Bodies::new(input).map(|event| event.map(|event| String::from_utf8_lossy(&event.body).into_owned()));
        events.collect::<Result<_>>().expect("the input is well formed")
    }

    fn complaint(input: &[u8]) -> String {
        let events: Result<Vec<_>> = Bodies::new(input).collect();
        format!("{:#}", events.expect_err("the input is not well formed"))
    }

    #[test]
    fn a_single_body_keeps_every_byte_around_it() {
        let input = "\u{feff}\r\n { \"id\" : \"evt_1\",\r\n\"name\":\"Zoë }{\" }\r\n\n";
        assert_eq!(bodies(input.as_bytes()), [input]);
    }

    #[test]
    fn several_bodies_are_cut_at_their_braces() {
        let input = "\u{feff}{\"id\":\"a\",\"x\":{\"y\":\"}\\\"{\"}}\r\n{\"id\":\"b\"}{\"id\":\"c\"}\n\n";
        assert_eq!(bodies(input.as_bytes()), [r#"{"id":"a","x":{"y":"}\"{"}}"#, r#"{"id":"b"}"#, r#"{"id":"c"}"#]);
    }

    #[test]
    fn what_is_no_event_is_named() {
        assert!(complaint(b"").contains("no JSON object"));
        assert!(complaint(b"{\"id\":1}\n[2]\n{}").contains("before event 2 stands '['"));
        assert!(complaint(b"{\"id\":1}{\"id\":").contains("event 2 ends in the middle"));
        assert!(complaint(b"{\"id\":1}{\"id\":2}\n ] \n").contains("after event 2 stands ']'"));
    }

    #[test]
    fn the_first_of_two_ids_counts_and_a_body_without_one_has_none() {
        assert_eq!(id_of(b"\xef\xbb\xbf{\"x\":{\"id\":\"no\"},\"id\":\"evt_1\",\"id\":\"evt_2\"}"), "evt_1");
        assert_eq!(id_of(b"{\"id\":5}"), "");
        assert_eq!(id_of(b"{"), "");
        assert_eq!(id_of(b"{\"name\":\"Zo\xeb\",\"id\":\"evt_1\"}"), "evt_1");
    }
}
