//! The lock file: what every jar has to be.

use sha2::{Digest, Sha512};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::Path;

#[derive(Debug, PartialEq, Eq)]
struct Jar {
    sha512: String,
    size: u64,
}

/// Jars by their file names.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Lock(BTreeMap<String, Jar>);

impl Lock {
    pub(super) fn embedded() -> Self {
        Self::parse(include_str!("../../../../docker/kafka/jars.lock")).expect("a test reads the embedded lock file")
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.0.values().map(|jar| jar.size).sum()
    }

    /// Exactly these jars are in the directory; else says what is different.
    pub(super) fn check(&self, directory: &Path) -> Result<(), String> {
        let present = sizes(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
        let wanted = self.0.iter().map(|(name, jar)| (name.clone(), jar.size)).collect();
        compare(&present, &wanted)?;
        self.0.iter().try_for_each(|(name, jar)| jar.check_sum(name, directory))
    }

    /// Lines of `<sha512> <size> <name>`; `#` begins a comment.
    fn parse(text: &str) -> Option<Self> {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines.map(entry).collect::<Option<_>>().map(Self)
    }
}

impl Jar {
    fn check_sum(&self, name: &str, directory: &Path) -> Result<(), String> {
        match sha512(&directory.join(name)) {
            Ok(found) if found == self.sha512 => Ok(()),
            Ok(found) => Err(format!("{name} has the SHA-512 sum {found}, but {} is expected", self.sha512)),
            Err(error) => Err(format!("{name}: {error}")),
        }
    }
}

fn entry(line: &str) -> Option<(String, Jar)> {
    let fields: Vec<&str> = line.split(' ').collect();
    let [sha512, size, name] = fields[..] else { return None };
    let is_sum = sha512.len() == 128 && sha512.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_file_name = name.ends_with(".jar") && !name.contains('/');
    let jar = Jar { sha512: sha512.to_owned(), size: size.parse().ok()? };
    (is_sum && is_file_name).then(|| (name.to_owned(), jar))
}

fn compare(present: &BTreeMap<String, u64>, wanted: &BTreeMap<String, u64>) -> Result<(), String> {
    if let Some((name, size)) = wanted.iter().find(|(name, size)| present.get(*name) != Some(*size)) {
        return Err(match present.get(name) {
            Some(found) => format!("{name} has {found} bytes, but {size} are expected"),
            None => format!("{name} is missing"),
        });
    }
    match present.keys().find(|name| !wanted.contains_key(*name)) {
        Some(name) => Err(format!("{name} is not in the lock file")),
        None => Ok(()),
    }
}

fn sizes(directory: &Path) -> io::Result<BTreeMap<String, u64>> {
    let size = |entry: io::Result<fs::DirEntry>| {
        let entry = entry?;
        Ok((entry.file_name().to_string_lossy().into_owned(), entry.metadata()?.len()))
    };
    fs::read_dir(directory)?.map(size).collect()
}

fn sha512(path: &Path) -> io::Result<String> {
    let mut hasher = Sha512::new();
    io::copy(&mut File::open(path)?, &mut Writer(&mut hasher))?;
    Ok(hex::encode(hasher.finalize()))
}

struct Writer<'a>(&'a mut Sha512);

impl io::Write for Writer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SHA-512 of "abc", from FIPS 180-2's example.
    const ABC: &str = "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
                       2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f";

    fn one_jar() -> (tempfile::TempDir, Lock) {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a-1.jar"), "abc").unwrap();
        (dir, Lock::parse(&format!("# comment\n{ABC} 3 a-1.jar\n")).unwrap())
    }

    #[test]
    fn the_embedded_lock_file_names_kafka_and_a_log_backend() {
        let lock = Lock::embedded();
        assert!(lock.0.contains_key("kafka_2.13-4.3.1.jar"));
        assert!(lock.0.keys().any(|name| name.starts_with("log4j-slf4j-impl-")));
        assert_eq!(lock.len(), 46);
    }

    #[test]
    fn the_right_bytes_pass() {
        let (dir, lock) = one_jar();
        assert_eq!(lock.check(dir.path()), Ok(()));
    }

    #[test]
    fn a_flipped_byte_is_seen() {
        let (dir, lock) = one_jar();
        fs::write(dir.path().join("a-1.jar"), "abd").unwrap();
        assert!(lock.check(dir.path()).unwrap_err().contains("a-1.jar has the SHA-512 sum"));
    }

    #[test]
    fn a_short_a_missing_and_a_foreign_jar_are_seen_by_name_and_size() {
        let (dir, lock) = one_jar();
        let check = || lock.check(dir.path()).unwrap_err();
        fs::write(dir.path().join("a-1.jar"), "ab").unwrap();
        assert_eq!(check(), "a-1.jar has 2 bytes, but 3 are expected");
        fs::remove_file(dir.path().join("a-1.jar")).unwrap();
        assert_eq!(check(), "a-1.jar is missing");
        fs::write(dir.path().join("a-1.jar"), "abc").unwrap();
        fs::write(dir.path().join("evil.jar"), "x").unwrap();
        assert_eq!(check(), "evil.jar is not in the lock file");
        fs::remove_dir_all(dir.path()).unwrap();
        assert!(check().contains("No such file"));
    }

    #[test]
    fn a_line_that_is_not_sum_size_name_spoils_the_lock_file() {
        for line in ["", "x 3 a.jar", &format!("{ABC} three a.jar"), &format!("{ABC} 3 ../a.jar"), &format!("{ABC} 3")]
        {
            assert_eq!(Lock::parse(&format!("{line}\n")), None, "{line}");
        }
    }
}
