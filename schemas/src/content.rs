//! Whether two bodies with one event id say the same. Pure and exact: nothing is hashed.
//!
//! Stripe renders one event more than once: each attempt has its own count of `pending_webhooks`, each endpoint its own
//! `api_version` and, by that, other fields in the object. Neither is another event. A body that says something else under a
//! known id is a *conflict*: the first one stays, and somebody should look.

mod canonical;

use std::borrow::Cow;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::envelope::Envelope;
use canonical::Object;

/// Members of an event that differ from one delivery or endpoint to the next. <https://docs.stripe.com/api/events/object>
const OF_A_DELIVERY: [&[u8]; 3] = [b"api_version", b"pending_webhooks", b"request"];

/// What counts of a body beside another one of the same id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// The `api_version` that it was rendered for, in canonical form; empty where it names none.
    pub version: Vec<u8>,
    /// All but [`OF_A_DELIVERY`], in canonical form; the bytes themselves where they are no JSON object.
    pub whole: Vec<u8>,
    /// What no version of the API renders differently: type, time, mode, account, and which object it is about.
    pub core: Vec<u8>,
}

impl Content {
    /// Of a body as it came over the wire. Total.
    pub fn of(body: &[u8]) -> Content {
        Content::with(body, Envelope::read(body).ok().as_ref())
    }

    /// As [`Content::of`], where the body was read already: nothing where it could not be.
    pub fn with(body: &[u8], event: Option<&Envelope<'_>>) -> Content {
        let json = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
        let (version, whole) = match Object::read(json) {
            Some(object) => (object.get(b"api_version").unwrap_or_default().to_vec(), object.without(&OF_A_DELIVERY)),
            // Marked, since an object that is empty comes out empty, too.
            None => (Vec::new(), [&b"!"[..], json].concat()),
        };
        let core = event.map_or_else(|| whole.clone(), core);
        Content { version, whole, core }
    }

    /// Whether the two cannot be renderings of one event. Two that were rendered for different versions are compared only
    /// in what does not depend on it.
    pub fn contradicts(&self, other: &Content) -> bool {
        if self.version == other.version { self.whole != other.whole } else { self.core != other.core }
    }
}

/// A [`Content`] shrunk to three numbers, for whoever compares millions: two that differ have the same ones once in 2^64
/// times. It never leaves the process, so it need not be the same in the next release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest {
    version: u64,
    whole: u64,
    core: u64,
}

impl Digest {
    /// Of a body as it came over the wire.
    pub fn of(body: &[u8]) -> Digest {
        Digest::with(body, Envelope::read(body).ok().as_ref())
    }

    /// As [`Content::with`].
    pub fn with(body: &[u8], event: Option<&Envelope<'_>>) -> Digest {
        let content = Content::with(body, event);
        Digest { version: hashed(&content.version), whole: hashed(&content.whole), core: hashed(&content.core) }
    }

    /// As [`Content::contradicts`].
    pub fn contradicts(&self, other: &Digest) -> bool {
        if self.version == other.version { self.whole != other.whole } else { self.core != other.core }
    }

    /// For a row of a file.
    pub fn to_bytes(self) -> [u8; 24] {
        let mut bytes = [0; 24];
        for (place, word) in bytes.chunks_exact_mut(8).zip([self.version, self.whole, self.core]) {
            place.copy_from_slice(&word.to_be_bytes());
        }
        bytes
    }

    /// What [`Digest::to_bytes`] made.
    pub fn of_bytes(bytes: [u8; 24]) -> Digest {
        let [version, whole, core] =
            [0, 8, 16].map(|at| u64::from_be_bytes(*bytes[at..].first_chunk().expect("three numbers of 8 bytes")));
        Digest { version, whole, core }
    }
}

fn hashed(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

/// Written so that no two different ones share their bytes: each part behind its length, an absent one as no length at all.
fn core(event: &Envelope<'_>) -> Vec<u8> {
    let created = event.created.map(|moment| Cow::Owned(moment.0.to_string()));
    let (livemode, thin) = (event.livemode.to_string(), event.thin.to_string());
    let object = &event.object;
    let named = [&event.kind, &created, &event.account, &event.related, &object.kind, &object.id];
    let mut out = [livemode, thin].join(" ").into_bytes();
    for part in named {
        match part {
            Some(text) => out.extend_from_slice(format!(" {}:{text}", text.len()).as_bytes()),
            None => out.extend_from_slice(b" -"),
        }
    }
    out
}

#[cfg(test)]
mod tests;
