//! What makes two records the same event: the namespace of their source and Stripe's event id.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

/// Sets the keys of the duplicates' store apart from every other use of SHA-256 over the same texts.
const DOMAIN: &[u8] = b"hooklog/dedup/1";

/// Sources of one Stripe account share a namespace; sources without mutual trust do not. Default: `stripe`.
///
/// It is the first part of the key of `events`, hence no `/`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Namespace(String);

/// The text cannot be a namespace.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{0}` cannot be a namespace: use 1 to 64 of a-z, 0-9, `-`, `_` and `.`, not beginning with `acct_`")]
pub struct NotANamespace(String);

impl Namespace {
    /// Checks `text`: 1 to 64 characters of `a-z0-9-_.`. `acct_` is Stripe's own prefix of the other kind of scope.
    pub fn new(text: impl Into<String>) -> Result<Namespace, NotANamespace> {
        let text = text.into();
        let letters = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b);
        let fits = (1..=64).contains(&text.len()) && text.bytes().all(letters) && !text.starts_with("acct_");
        if fits { Ok(Namespace(text)) } else { Err(NotANamespace(text.chars().take(80).collect())) }
    }

    /// What counts where no namespace is named.
    pub const DEFAULT: &str = "stripe";

    /// The namespace as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Namespace {
    fn default() -> Self {
        Namespace(Self::DEFAULT.to_owned())
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Namespace {
    type Error = NotANamespace;

    fn try_from(text: String) -> Result<Self, NotANamespace> {
        Namespace::new(text)
    }
}

impl From<Namespace> for String {
    fn from(namespace: Namespace) -> String {
        namespace.0
    }
}

/// An event's identity in the duplicates' store: the first 16 bytes of a SHA-256, the same on every machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DedupKey(pub [u8; 16]);

impl DedupKey {
    /// The identity of event `id` within `namespace`. Lengths go in with the texts, so that no two pairs share their bytes.
    pub fn of(namespace: &[u8], id: &[u8]) -> DedupKey {
        let mut sha = Sha256::new();
        for part in [DOMAIN, namespace, id] {
            sha.update((part.len() as u64).to_be_bytes());
            sha.update(part);
        }
        let mut key = [0; 16];
        key.copy_from_slice(&sha.finalize()[..16]);
        DedupKey(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_an_event_is_what_it_was_in_the_first_release() {
        // printf of the length-prefixed parts through sha256sum gives the same 16 bytes.
        assert_eq!(hex::encode(DedupKey::of(b"stripe", b"evt_1").0), "695213fcd058e6f307a030e564b6c517");
    }

    #[test]
    fn the_border_between_namespace_and_id_counts() {
        assert_ne!(DedupKey::of(b"ab", b"c"), DedupKey::of(b"a", b"bc"));
        assert_ne!(DedupKey::of(b"stripe", b"evt_1"), DedupKey::of(b"other", b"evt_1"));
    }

    #[test]
    fn a_namespace_that_could_be_mistaken_for_part_of_a_key_is_refused() {
        for text in ["", "a/b", "Stripe", "acct_1", "ä", &"x".repeat(65)] {
            assert!(Namespace::new(text).is_err(), "{text}");
        }
        assert_eq!(Namespace::new("eu-2.shop_a").map(String::from), Ok("eu-2.shop_a".to_owned()));
    }
}
