//! The grammar of the `Stripe-Signature` header, on bytes.

use super::Refusal;

/// What counts of a header.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Parsed<'a> {
    /// The text of `t` as it stands, leading zeros and all: it is part of the signed message.
    pub time_text: &'a [u8],
    /// Epoch seconds.
    pub time: i64,
    /// Every well-formed `v1`, at least one.
    pub signatures: Vec<[u8; 32]>,
}

/// Reads `t=<unix>,v1=<hex>[,v1=<hex>...]`. Unknown schemes, bare tokens and malformed `v1`s are ignored, since Stripe
/// may add schemes; white space is not trimmed, since Stripe sends none.
pub(super) fn parse(header: &[u8]) -> Result<Parsed<'_>, Refusal> {
    let mut time_text = None;
    let mut signatures = Vec::new();
    for (scheme, value) in header.split(|byte| *byte == b',').filter_map(pair) {
        match scheme {
            b"t" if time_text.is_some() => return Err(Refusal::SeveralTimes),
            b"t" => time_text = Some(value),
            b"v1" => signatures.extend(signature(value)),
            _ => {}
        }
    }
    let time_text = time_text.ok_or(Refusal::NoTime)?;
    let time = seconds(time_text).ok_or(Refusal::MalformedTime)?;
    if signatures.is_empty() {
        return Err(Refusal::NoSignature);
    }
    Ok(Parsed { time_text, time, signatures })
}

fn pair(item: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = item.iter().position(|byte| *byte == b'=')?;
    Some((&item[..at], &item[at + 1..]))
}

fn seconds(text: &[u8]) -> Option<i64> {
    let well_formed = (1..=12).contains(&text.len()) && text.iter().all(u8::is_ascii_digit);
    // Twelve digits always fit, so the fold cannot overflow.
    well_formed.then(|| text.iter().fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0')))
}

fn signature(text: &[u8]) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(text, &mut bytes).ok().map(|()| bytes)
}
