//! Stripe's webhook signature: pure, from bytes and a clock reading to a verdict. No HTTP, no Kafka, no wall clock.
//!
//! The rules are those of <https://docs.stripe.com/webhooks#verify-manually>, narrowed where Stripe's own libraries
//! differ from each other: exactly one `t`, and a time ahead of ours is refused as well as one behind.

mod header;
mod secret;
#[cfg(test)]
pub(crate) mod tests;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};

use header::Parsed;
pub use secret::Secret;

/// How many seconds a signature's time may lie before or after ours. Stripe's libraries use the same figure.
pub const TOLERANCE: i64 = 300;

/// What a signature that holds tells us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The signature's own time, epoch seconds. It is the time of this attempt, not of the event.
    pub time: i64,
}

/// Why a request is refused. For the log and the metric only: outside all of them are one generic 400, so that
/// nobody learns from the answer how near a forgery came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// The request has no `Stripe-Signature` header.
    #[error("no Stripe-Signature header: something other than Stripe posts here, or a proxy removes the header")]
    NoHeader,
    /// The request has several `Stripe-Signature` headers, and nothing says which one counts.
    #[error("several Stripe-Signature headers: a proxy doubles it, or somebody tries what passes")]
    SeveralHeaders,
    /// The header has no `t`.
    #[error("the Stripe-Signature header has no t")]
    NoTime,
    /// The header has more than one `t`.
    #[error("the Stripe-Signature header has several t")]
    SeveralTimes,
    /// `t` is not one to twelve digits.
    #[error("the t of the Stripe-Signature header is not 1 to 12 digits")]
    MalformedTime,
    /// No well-formed `v1` is left after ignoring what is unknown or malformed.
    #[error("the Stripe-Signature header has no well-formed v1")]
    NoSignature,
    /// No `v1` fits any secret.
    #[error("no v1 fits: the secret is another endpoint's, or something on the way altered the body")]
    NoMatch,
    /// The signature holds, but is older than [`TOLERANCE`].
    #[error("the signature is more than 300 s old: this machine's clock is ahead, or the request is a replay")]
    TooOld,
    /// The signature holds, but is further ahead than [`TOLERANCE`].
    #[error("the signature is more than 300 s ahead: this machine's clock is behind")]
    TooFarAhead,
}

impl Refusal {
    /// The label of this reason on the refusals metric.
    pub const fn label(self) -> &'static str {
        match self {
            Self::NoHeader => "no_header",
            Self::SeveralHeaders => "several_headers",
            Self::NoTime => "no_time",
            Self::SeveralTimes => "several_times",
            Self::MalformedTime => "malformed_time",
            Self::NoSignature => "no_signature",
            Self::NoMatch => "no_match",
            Self::TooOld => "too_old",
            Self::TooFarAhead => "too_far_ahead",
        }
    }
}

/// Judges one request: `header` is the value of its only `Stripe-Signature`, `body` the bytes as they came, `now`
/// epoch seconds. Any `v1` that fits any of `secrets` passes, which is how Stripe rolls a secret.
///
/// # Errors
/// The [`Refusal`] that names the reason. The time is judged last, so that [`Refusal::TooOld`] and
/// [`Refusal::TooFarAhead`] are only ever said of genuine signatures and so point at a clock.
pub fn verify(header: &[u8], body: &[u8], secrets: &[Secret], now: i64) -> Result<Verified, Refusal> {
    let parsed = header::parse(header)?;
    if !fits(&parsed, body, secrets) {
        return Err(Refusal::NoMatch);
    }
    match now - parsed.time {
        age if age > TOLERANCE => Err(Refusal::TooOld),
        age if age < -TOLERANCE => Err(Refusal::TooFarAhead),
        _ => Ok(Verified { time: parsed.time }),
    }
}

/// The header that makes `body` genuine: what Stripe would send at `time`, epoch seconds. For senders that stand in for it.
pub fn sign(secret: &Secret, time: i64, body: &[u8]) -> String {
    let time = time.to_string();
    format!("t={time},v1={}", hex::encode(mac(secret, time.as_bytes(), body)))
}

/// Looks at every pair of secret and signature without leaving early, so that the time taken tells nothing.
fn fits(parsed: &Parsed<'_>, body: &[u8], secrets: &[Secret]) -> bool {
    let mut found = Choice::from(0);
    for secret in secrets {
        let expected = mac(secret, parsed.time_text, body);
        for signature in &parsed.signatures {
            found |= expected.ct_eq(signature);
        }
    }
    found.into()
}

fn mac(secret: &Secret, time_text: &[u8], body: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose()).expect("HMAC takes a key of any length");
    mac.update(time_text);
    mac.update(b".");
    mac.update(body);
    mac.finalize().into_bytes().into()
}
