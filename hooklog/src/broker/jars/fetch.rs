//! Fetches the jars through Maven: into a directory beside the final one, checked, then renamed in one step.

use super::super::java::{log_to, without_our_variables};
use super::super::{Error, VERSION, child};
use super::lock::Lock;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use std::fs::{self, File, OpenOptions};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{io, thread};
use tokio_util::sync::CancellationToken;

const MAVEN_MAY_TAKE: Duration = Duration::from_secs(15 * 60);
const POLL: Duration = Duration::from_millis(50);
/// Its version is in the pom; by its short name Maven would ask a server first, and say less where there is none.
const GOAL: &str = "org.apache.maven.plugins:maven-dependency-plugin:copy-dependencies";
const POM: &str = include_str!("../../../../docker/kafka/pom.xml");

pub(super) struct Fetch<'a> {
    pub(super) cache: &'a Path,
    /// Where they are to be, in `cache`.
    pub(super) jars: &'a Path,
    pub(super) lock: &'a Lock,
    pub(super) cancel: &'a CancellationToken,
}

impl Fetch<'_> {
    /// One process fetches at a time; the others wait, and then find the jars there.
    pub(super) fn run(&self, mismatch: &str) -> Result<(), Error> {
        let _turn = wait_for_turn(self.cache, self.cancel)?;
        if self.lock.check(self.jars).is_ok() {
            return Ok(());
        }
        self.announce(mismatch);
        let unfinished = self.cache.join(format!("kafka-{VERSION}.unfinished"));
        remove(&unfinished)?;
        let outcome = self.fetch_into(&unfinished);
        remove(&unfinished)?;
        outcome
    }

    fn announce(&self, mismatch: &str) {
        let (count, megabytes, place) = (self.lock.len(), self.lock.bytes() / 1_000_000, self.jars.display());
        if self.jars.exists() {
            tracing::warn!("the jars in {place} are not those of the lock file ({mismatch}): fetching them again");
        }
        tracing::info!("fetching Apache Kafka {VERSION} once: {count} jars, {megabytes} MB, into {place}");
    }

    fn fetch_into(&self, unfinished: &Path) -> Result<(), Error> {
        self.run_maven(unfinished)?;
        let fetched = unfinished.join("jars");
        self.lock.check(&fetched).map_err(|what| Error::WrongJars { what })?;
        // A directory cannot be renamed over a full one. A broker that runs from the old one has its jars open.
        remove(self.jars)?;
        fs::rename(&fetched, self.jars).map_err(Error::io("rename to", self.jars))?;
        self.forget_archives()
    }

    /// Archives of the classes of jars that are gone: Java would start without them, and slowly, for ever.
    fn forget_archives(&self) -> Result<(), Error> {
        let prefix = format!("kafka-{VERSION}.java-");
        let entries = fs::read_dir(self.cache).map_err(Error::io("read", self.cache))?;
        let archives = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&prefix)));
        archives.into_iter().try_for_each(|archive| fs::remove_file(&archive).map_err(Error::io("remove", &archive)))
    }

    fn run_maven(&self, directory: &Path) -> Result<(), Error> {
        fs::create_dir_all(directory).map_err(Error::io("create the directory", directory))?;
        let (pom, output) = (directory.join("pom.xml"), directory.join("maven.log"));
        fs::write(&pom, POM).map_err(Error::io("write", &pom))?;
        let mut maven = Command::new("mvn");
        maven.args(["-B", "-ntp", "-Dstyle.color=never", GOAL, "-DincludeScope=runtime"]);
        maven.arg("-f").arg(&pom).arg("-DoutputDirectory=jars").current_dir(directory).stdin(Stdio::null());
        without_our_variables(&mut maven);
        log_to(&mut maven, &output)?;
        // Ctrl-C at our terminal is ours to heed: it would look like a failure of Maven's.
        let mut child = maven.process_group(0).spawn().map_err(|_| Error::NoMaven)?;
        match child::outcome(&mut child, MAVEN_MAY_TAKE, self.cancel)? {
            Some(status) if status.success() => Ok(()),
            Some(_) => Err(Error::Fetch { reason: reason(&fs::read_to_string(&output).unwrap_or_default()) }),
            None => Err(Error::Fetch { reason: format!("it did not end within {} s", MAVEN_MAY_TAKE.as_secs()) }),
        }
    }
}

/// Who may write to the cache directory. The lock goes with its holder's life, so a crash leaves nothing to clean.
pub(in super::super) fn wait_for_turn(cache: &Path, cancel: &CancellationToken) -> Result<File, Error> {
    fs::create_dir_all(cache).map_err(Error::io("create the directory", cache))?;
    let path = cache.join(format!("kafka-{VERSION}.lock"));
    let opened = OpenOptions::new().create(true).write(true).truncate(false).open(&path);
    let file = opened.map_err(Error::io("open the lock file", &path))?;
    let deadline = Instant::now() + MAVEN_MAY_TAKE;
    while let Err(errno) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
        match errno {
            _ if cancel.is_cancelled() => return Err(Error::Cancelled),
            Errno::WOULDBLOCK | Errno::INTR if Instant::now() < deadline => thread::sleep(POLL),
            Errno::WOULDBLOCK | Errno::INTR => return Err(Error::FetchedElsewhere(MAVEN_MAY_TAKE.as_secs())),
            _ => return Err(Error::io("lock", &path)(errno.into())),
        }
    }
    Ok(file)
}

/// The first line of Maven's errors says what happened, the others how to ask Maven for more.
fn reason(output: &str) -> String {
    let error = output.lines().find_map(|line| line.strip_prefix("[ERROR] "));
    let line = error.or_else(|| output.lines().rfind(|line| !line.trim().is_empty()));
    line.unwrap_or("it said nothing").trim().trim_end_matches('.').chars().take(600).collect()
}

fn remove(directory: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", directory)(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pom_is_of_the_version_that_we_name() {
        let named = format!("<artifactId>kafka_2.13</artifactId>\n      <version>{VERSION}</version>");
        assert!(POM.contains(&named));
    }

    #[test]
    fn mavens_first_error_is_the_reason() {
        let output =
            "[INFO] Scanning\n[ERROR] Failed to execute goal: Unknown host repo.example.\n[ERROR] Re-run with -X\n";
        assert_eq!(reason(output), "Failed to execute goal: Unknown host repo.example");
        assert_eq!(reason("The JAVA_HOME is wrong\n\n"), "The JAVA_HOME is wrong");
        assert_eq!(reason(""), "it said nothing");
    }
}
