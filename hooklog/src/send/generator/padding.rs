//! Pads a body to a wanted size, through the metadata of its object.

use super::bodies::Written;
use super::ids::mix;

const BEFORE: &[u8] = br#""padding":""#;

/// Makes the body at least `size` bytes long where it is shorter; it ends up a few bytes over where less than the
/// shortest padding was missing. The text is noise, so that compression gains as little from it as from real bodies' ids.
pub(super) fn pad(written: &mut Written, size: usize, noise: u64) {
    let Some(at) = written.metadata_at.filter(|_| written.body.len() < size) else { return };
    let is_empty = written.body[at] == b'}';
    let frame = BEFORE.len() + 1 + usize::from(!is_empty);
    let text_length = (size - written.body.len()).saturating_sub(frame);
    let mut padding = BEFORE.to_vec();
    padding.extend(text(noise).take(text_length));
    padding.push(b'"');
    if !is_empty {
        padding.push(b',');
    }
    if let Some(digit_at) = written.pending_webhooks_at.as_mut().filter(|digit_at| **digit_at > at) {
        *digit_at += padding.len();
    }
    written.body.splice(at..at, padding);
}

/// 32 letters, eight of them from each draw: about as dense as the words and ids of a real body.
fn text(noise: u64) -> impl Iterator<Item = u8> {
    (0..)
        .flat_map(move |block: u64| mix(noise ^ block).to_le_bytes())
        .map(|byte| b"abcdefghijklmnopqrstuvwxyz0123-_"[usize::from(byte % 32)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn padded(body: &str, size: usize) -> (serde_json::Value, usize, u8) {
        let at = body.find(r#""metadata":{"#).expect("the test's body has metadata") + 12;
        let digit_at = body.find(r#"webhooks":1"#).expect("the test's body has a digit") + 10;
        let mut written = Written { body: body.into(), pending_webhooks_at: Some(digit_at), metadata_at: Some(at) };
        pad(&mut written, size, 1);
        let digit = written.body[written.pending_webhooks_at.expect("it was there")];
        (serde_json::from_slice(&written.body).expect("still JSON"), written.body.len(), digit)
    }

    #[test]
    fn a_short_body_reaches_its_size_and_stays_json() {
        let (value, length, digit) = padded(r#"{"metadata":{},"webhooks":1}"#, 200);
        assert_eq!((length, digit), (200, b'1'));
        assert_eq!(value["metadata"]["padding"].as_str().map(str::len), Some(200 - 28 - 12));
        let (_, length, _) = padded(r#"{"metadata":{"a":"b"},"webhooks":1}"#, 200);
        assert_eq!(length, 200);
    }

    #[test]
    fn a_long_body_stays_as_it_is() {
        assert_eq!(padded(r#"{"metadata":{},"webhooks":1}"#, 20).1, 28);
    }
}
