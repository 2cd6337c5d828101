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
    /// [`Error::EmptySecret`], and [`Error::SecretWithWhiteSpace`] where any stands in it or around it, or a character
    /// that nobody sees: they are what a failed `$(command)`, a careless paste or an editor's byte order mark leaves
    /// behind, and would refuse every webhook or, worse, let anybody sign.
    pub fn new(text: impl Into<Zeroizing<String>>) -> Result<Self, Error> {
        let text = text.into();
        if text.is_empty() {
            return Err(Error::EmptySecret);
        }
        if text.contains(is_unseen) {
            return Err(Error::SecretWithWhiteSpace);
        }
        Ok(Self(text))
    }

    pub(super) fn expose(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// White space, control characters, and those of no width.
fn is_unseen(letter: char) -> bool {
    letter.is_whitespace() || letter.is_control() || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}')
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}
