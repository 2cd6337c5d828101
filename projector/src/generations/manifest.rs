//! The plan in a file, with the text of the rules of each generation, so that one whose store is damaged can be built anew as it
//! was. The file is replaced as a whole, so a crash leaves the old one or the new one; its sum shows what a disk changed in it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::plan::GenerationSet;
use crate::error::Error;

const NAME: &str = "manifest.json";
/// What is written. The first release wrote the plan alone; that is still read.
const FORMAT: u32 = 2;

/// Which generations there are, and by which rules they answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Which ones there are.
    pub plan: GenerationSet,
    /// The text of the rules of each one; none of those that the first release made.
    pub rules: BTreeMap<u64, String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    format: u32,
    plan: GenerationSet,
    rules: BTreeMap<u64, String>,
    sum: String,
}

impl Manifest {
    /// Of a data directory that holds no views yet.
    pub fn first(rules: &str) -> Self {
        let plan = GenerationSet::first();
        Self { plan, rules: BTreeMap::from([(plan.live(), rules.to_owned())]) }
    }

    /// With another plan, and without the rules of what that does not need.
    #[must_use]
    pub fn with(&self, plan: GenerationSet) -> Self {
        let needed = self.rules.iter().filter(|(number, _)| plan.needs(**number));
        Self { plan, rules: needed.map(|(number, rules)| (*number, rules.clone())).collect() }
    }

    /// With the rules of one generation.
    #[must_use]
    pub fn ruled(mut self, number: u64, rules: &str) -> Self {
        self.rules.insert(number, rules.to_owned());
        self
    }

    /// The rules of the generation that answers.
    pub fn live_rules(&self) -> Option<&str> {
        self.rules.get(&self.plan.live()).map(String::as_str)
    }

    fn sum(&self) -> serde_json::Result<String> {
        Ok(hex::encode(Sha256::digest(serde_json::to_vec(&(self.plan, &self.rules))?)))
    }

    fn to_bytes(&self) -> serde_json::Result<Vec<u8>> {
        let (plan, rules, sum) = (self.plan, self.rules.clone(), self.sum()?);
        serde_json::to_vec(&Written { format: FORMAT, plan, rules, sum })
    }

    /// From the file, or what is wrong with it, in words.
    fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let manifest = match serde_json::from_slice::<GenerationSet>(bytes) {
            Ok(plan) => Self { plan, rules: BTreeMap::new() },
            Err(_) => Self::from_written(serde_json::from_slice(bytes).map_err(|error| error.to_string())?)?,
        };
        manifest.plan.flaw().map_or(Ok(manifest), Err)
    }

    fn from_written(Written { format, plan, rules, sum }: Written) -> Result<Self, String> {
        let manifest = Self { plan, rules };
        match () {
            () if format != FORMAT => Err(format!("format {format} is not known to this version")),
            () if manifest.sum().ok() != Some(sum) => Err("its sum does not fit what it says".to_owned()),
            () => Ok(manifest),
        }
    }
}

/// Reads the manifest of a directory; none where there are no views yet.
///
/// # Errors
/// [`Error::Io`], [`Error::Manifest`].
pub fn read(dir: &Path) -> Result<Option<Manifest>, Error> {
    let path = dir.join(NAME);
    let damaged = |what| Error::Manifest { path: path.clone(), dir: dir.to_owned(), what };
    match fs::read(&path) {
        Ok(bytes) => Manifest::from_bytes(&bytes).map(Some).map_err(damaged),
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::Io { path: path.clone(), source: error }),
        Err(_) if on_disk(dir)?.is_empty() => Ok(None),
        // Which of them answered, and by which rules, is not to be guessed.
        Err(_) => Err(damaged("it is gone, and there are generations".to_owned())),
    }
}

/// Replaces the manifest of a directory, durably.
///
/// # Errors
/// [`Error::Io`].
pub fn write(dir: &Path, manifest: &Manifest) -> Result<(), Error> {
    let path = dir.join(NAME);
    replace(dir, &path, manifest).map_err(|source| Error::Io { path, source })
}

fn replace(dir: &Path, path: &Path, manifest: &Manifest) -> std::io::Result<()> {
    let new = path.with_extension("json.new");
    let mut file = File::create(&new)?;
    file.write_all(&manifest.to_bytes()?)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    File::open(dir)?.sync_all()
}

/// The directory of a generation.
pub fn directory(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("generation-{number}"))
}

/// The generations that have a directory.
///
/// # Errors
/// [`Error::Io`].
pub fn on_disk(dir: &Path) -> Result<Vec<u64>, Error> {
    let io = |source| Error::Io { path: dir.to_owned(), source };
    let mut numbers = Vec::new();
    for entry in fs::read_dir(dir).map_err(io)? {
        let name = entry.map_err(io)?.file_name();
        numbers.extend(name.to_str().and_then(|name| name.strip_prefix("generation-")?.parse::<u64>().ok()));
    }
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two() -> Manifest {
        let plan = GenerationSet::first().build().unwrap().0.switch();
        Manifest::first("one").with(plan).ruled(2, "two\n")
    }

    #[test]
    fn a_manifest_is_read_back_and_a_crash_while_writing_leaves_the_old_one() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read(dir.path()).unwrap(), None);
        write(dir.path(), &two()).unwrap();
        fs::write(dir.path().join("manifest.json.new"), "{\"format\":1,\"li").unwrap();
        assert_eq!(read(dir.path()).unwrap(), Some(two()));
    }

    #[test]
    fn a_manifest_is_written_as_in_this_release_and_read_as_in_the_first() {
        let text = r#"{"format":2,"plan":{"format":1,"live":2,"previous":1,"building":null,"next":3},"rules":{"1":"one","2":"two\n"},"sum":"SUM"}"#;
        let text = text.replace("SUM", include_str!("../../fixtures/manifest-v2.sum").trim());
        assert_eq!(String::from_utf8(two().to_bytes().unwrap()).unwrap(), text);
        assert_eq!(Manifest::from_bytes(text.as_bytes()), Ok(two()));
        let first = serde_json::to_vec(&two().plan).unwrap();
        assert_eq!(Manifest::from_bytes(&first), Ok(Manifest { plan: two().plan, rules: BTreeMap::new() }));
    }

    /// One bit of the manifest could change who has access.
    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let bytes = two().to_bytes().unwrap();
        for (at, bit) in (0..bytes.len()).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << bit;
            assert!(Manifest::from_bytes(&flipped).is_err(), "bit {bit} of byte {at}");
        }
        for end in 0..bytes.len() {
            assert!(Manifest::from_bytes(&bytes[..end]).is_err(), "cut at {end}");
        }
    }

    #[test]
    fn a_damaged_manifest_is_an_error_that_says_what_to_delete_and_what_is_lost_with_it() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("generation-4")).unwrap();
        for text in [None, Some(&b"{"[..]), Some(b""), Some(b"\xff\xfe")] {
            text.map(|text| fs::write(dir.path().join(NAME), text)).transpose().unwrap();
            let said = read(dir.path()).unwrap_err().to_string();
            for part in [&format!("delete the directory {}", dir.path().display()), "rules", "--rules", "from the log"]
            {
                assert!(said.contains(part), "{part:?} is not in {said:?}");
            }
        }
    }

    #[test]
    fn the_rules_of_what_is_not_needed_any_more_are_forgotten() {
        let plan = two().plan.build().unwrap().0.switch();
        let manifest = two().with(plan).ruled(3, "three");
        assert_eq!(manifest.rules.keys().copied().collect::<Vec<_>>(), [2, 3]);
        assert_eq!(manifest.live_rules(), Some("three"));
    }

    #[test]
    fn only_directories_of_generations_are_listed() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["generation-7", "generation-x", "other"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        assert_eq!(on_disk(dir.path()).unwrap(), [7]);
    }
}
