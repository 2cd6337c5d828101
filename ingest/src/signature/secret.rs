//! A signing secret, kept from logs and wiped from memory.

use std::fmt;

use zeroize::Zeroizing;

use crate::Error;

/// One signing secret of an endpoint. All of the text is the key, with its `whsec_`; nothing is decoded.
/// `Debug` shows nothing of it and it is wiped when dropped.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes a secret over.
    ///
    /// # Errors
    /// [`Error::EmptySecret`], and [`Error::SecretWithWhiteSpace`] where any stands in it or around it: both are
    /// what a failed `$(command)` or a careless paste leaves behind, and would refuse every webhook or, worse, let
    /// anybody sign.
    pub fn new(text: impl Into<Zeroizing<String>>) -> Result<Self, Error> {
        let text = text.into();
        if text.is_empty() {
            return Err(Error::EmptySecret);
        }
        if text.contains(char::is_whitespace) {
            return Err(Error::SecretWithWhiteSpace);
        }
        Ok(Self(text))
    }

    pub(super) fn expose(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}
