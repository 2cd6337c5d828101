//! Secrets that hooklog keeps itself, each a file of mode 0600 in `secrets/`.

use super::{DataDir, Error, write_atomically};
use rand::RngExt;
use rand::distr::Alphanumeric;
use secrecy::{ExposeSecret, SecretString};
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Stripe's own secrets look like this.
const PREFIX: &str = "whsec_";
const RANDOM_CHARACTERS: usize = 32;

impl DataDir {
    /// The secret of this name; the first time one is made and kept.
    pub(crate) fn secret(&self, name: &str, rng: &mut impl rand::CryptoRng) -> Result<SecretString, Error> {
        let path = self.secret_file(name)?;
        match fs::read_to_string(&path) {
            Ok(text) => kept(&path, text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let random: String = (0..RANDOM_CHARACTERS).map(|_| char::from(rng.sample(Alphanumeric))).collect();
                self.keep_secret(name, SecretString::from(format!("{PREFIX}{random}")))
            }
            Err(error) => Err(Error::io("read", &path)(error)),
        }
    }

    /// Keeps this secret under this name, in place of any other. What is kept already is not written: that needs room.
    pub(crate) fn keep_secret(&self, name: &str, secret: SecretString) -> Result<SecretString, Error> {
        let path = self.secret_file(name)?;
        if fs::read_to_string(&path).is_ok_and(|kept| kept.trim_end() == secret.expose_secret()) {
            return kept(&path, format!("{}\n", secret.expose_secret()));
        }
        let directory = self.path().join("secrets");
        let created = DirBuilder::new().recursive(true).mode(0o700).create(&directory);
        created.map_err(Error::io("create the directory", &directory))?;
        write_atomically(&path, format!("{}\n", secret.expose_secret()).as_bytes(), 0o600)?;
        Ok(secret)
    }

    /// `<data-dir>/secrets/<name>`
    pub(crate) fn secret_file(&self, name: &str) -> Result<PathBuf, Error> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        match !name.is_empty() && name.bytes().all(plain) {
            true => Ok(self.path().join("secrets").join(name)),
            false => Err(Error::SecretName(name.to_owned())),
        }
    }
}

fn kept(path: &Path, text: String) -> Result<SecretString, Error> {
    fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(Error::io("close to others", path))?;
    match text.trim() {
        "" => Err(Error::EmptySecret(path.to_owned())),
        secret => Ok(SecretString::from(secret)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    fn opened() -> (tempfile::TempDir, DataDir) {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open(dir.path()).unwrap();
        (dir, data)
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_new_secret_looks_like_stripes_and_stays_the_same() {
        let (_dir, data) = opened();
        let first = data.secret("stripe", &mut rand::rng()).unwrap();
        let again = data.secret("stripe", &mut rand::rng()).unwrap();
        let other = data.secret("other", &mut rand::rng()).unwrap();
        let random = first.expose_secret().strip_prefix("whsec_").unwrap();
        assert!(random.len() == 32 && random.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        assert_eq!(first.expose_secret(), again.expose_secret());
        assert_ne!(first.expose_secret(), other.expose_secret());
    }

    #[test]
    fn nobody_else_may_read_it_even_after_somebody_opened_it() {
        let (_dir, data) = opened();
        data.secret("stripe", &mut rand::rng()).unwrap();
        let path = data.secret_file("stripe").unwrap();
        assert_eq!(mode(&path), 0o600);
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        data.secret("stripe", &mut rand::rng()).unwrap();
        assert_eq!(mode(&path), 0o600);
    }

    #[test]
    fn a_secret_that_the_user_wrote_is_taken_without_its_line_end() {
        let (_dir, data) = opened();
        data.keep_secret("stripe", SecretString::from("whsec_mine")).unwrap();
        fs::write(data.secret_file("stripe").unwrap(), "whsec_other\r\n").unwrap();
        assert_eq!(data.secret("stripe", &mut rand::rng()).unwrap().expose_secret(), "whsec_other");
    }

    #[test]
    fn a_secret_that_is_kept_already_is_not_written_again() {
        let (_dir, data) = opened();
        let keep = |secret| data.keep_secret("stripe", SecretString::from(secret)).unwrap();
        let file = || fs::metadata(data.secret_file("stripe").unwrap()).unwrap().ino();
        keep("whsec_mine");
        let before = file();
        keep("whsec_mine");
        assert_eq!(file(), before);
        keep("whsec_other");
        assert_ne!(file(), before);
    }

    #[test]
    fn an_empty_file_is_not_a_secret() {
        let (_dir, data) = opened();
        data.keep_secret("stripe", SecretString::from("")).unwrap();
        assert!(matches!(data.secret("stripe", &mut rand::rng()), Err(Error::EmptySecret(_))));
    }

    #[test]
    fn a_name_cannot_leave_the_directory() {
        let (_dir, data) = opened();
        for name in ["", "..", "../x", "a/b", "a.unfinished"] {
            assert!(matches!(data.secret(name, &mut rand::rng()), Err(Error::SecretName(_))), "{name}");
        }
    }
}
