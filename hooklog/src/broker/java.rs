//! Which Java runs the broker, and how it is called.

use super::Error;
use super::layout::{LOG4J_NAME, Layout};
use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const OLDEST: u32 = 17;
/// The program, as a broker and as a controller.
const MAIN: &str = "kafka.Kafka";
const HEAP: [&str; 2] = ["-Xms256m", "-Xmx512m"];

/// A Java that is new enough, with the jars that it is to run.
#[derive(Debug, Clone)]
pub(super) struct Java {
    program: PathBuf,
    version: String,
    jars: PathBuf,
    archive: Archive,
}

/// Java's archive of the broker's parsed classes (class data sharing), which halves the time of its start.
#[derive(Debug, Clone)]
pub(super) enum Archive {
    Unused,
    /// Java itself checks that it fits, and goes on without it where it does not.
    Use(PathBuf),
    /// Written at the orderly end.
    Make(PathBuf),
}

impl Java {
    /// `$JAVA_HOME/bin/java`, else `java` on the PATH; `jars` may come later.
    pub(super) fn find() -> Result<Self, Error> {
        let home = env::var_os("JAVA_HOME").filter(|home| !home.is_empty());
        let program = home.map_or_else(|| "java".into(), |home| PathBuf::from(home).join("bin/java"));
        let shown = program.display().to_string();
        let output = Command::new(&program).arg("-version").stdin(Stdio::null()).output();
        let output = output.map_err(|_| Error::NoJava(shown.clone()))?;
        let text = String::from_utf8_lossy(&output.stderr);
        match version(&text) {
            Some((version, major)) if major >= OLDEST => {
                Ok(Self { program, version, jars: PathBuf::new(), archive: Archive::Unused })
            }
            Some((found, _)) => Err(Error::OldJava { program: shown, found }),
            None => Err(Error::NoJava(shown)),
        }
    }

    /// A program in its place.
    #[cfg(test)]
    pub(super) fn of(program: PathBuf) -> Self {
        Self { program, version: String::new(), jars: PathBuf::new(), archive: Archive::Unused }
    }

    pub(super) fn with_jars(self, jars: &Path) -> Self {
        Self { jars: jars.to_owned(), ..self }
    }

    pub(super) fn with_archive(self, archive: Archive) -> Self {
        Self { archive, ..self }
    }

    /// As `java -version` names it.
    pub(super) fn version(&self) -> &str {
        &self.version
    }

    /// The broker itself, for a long life with a small heap.
    pub(super) fn broker(&self, layout: &Layout) -> Command {
        self.server(layout, &[MAIN, layout.properties_name()])
    }

    /// The same program as a controller alone.
    pub(super) fn controller(&self, layout: &Layout) -> Command {
        // It lives for seconds, in which the better code that the second compiler makes does not pay.
        self.server(layout, &["-XX:TieredStopAtLevel=1", MAIN, layout.controller_properties_name()])
    }

    fn server(&self, layout: &Layout, rest: &[&str]) -> Command {
        let mut command = self.command(layout);
        command.args(HEAP).args(["-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-XX:+ExitOnOutOfMemoryError"]);
        command.arg("-XX:ErrorFile=logs/hs_err_%p.log");
        match &self.archive {
            Archive::Unused => {}
            Archive::Use(path) => drop(command.arg(option("-XX:SharedArchiveFile=", path.as_os_str()))),
            Archive::Make(path) => drop(command.arg(option("-XX:ArchiveClassesAtExit=", path.as_os_str()))),
        }
        command.args(rest);
        command
    }

    /// Apache Kafka's storage tool: short-lived, so the slower and smaller of everything.
    pub(super) fn storage_tool(&self, layout: &Layout) -> Command {
        let mut command = self.command(layout);
        command.args(["-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "kafka.tools.StorageTool"]);
        command
    }

    /// Works in the broker's directory, so that no path has to be written into a properties file.
    fn command(&self, layout: &Layout) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("-cp").arg(self.jars.join("*")).arg(layout.marker());
        command.arg(property("java.io.tmpdir", layout.tmp().as_os_str()));
        command.arg(format!("-Dlog4j2.configurationFile={LOG4J_NAME}"));
        command.args(["-Djava.awt.headless=true", "-XX:-UsePerfData"]);
        command.current_dir(layout.directory()).stdin(Stdio::null());
        // In the POSIX locale Java cannot open a path that is not ASCII.
        command.env("LC_ALL", "C.UTF-8");
        without_our_variables(&mut command);
        command
    }
}

/// Secrets may be among them, and whoever reads the environment of what we start need not read ours.
pub(super) fn without_our_variables(command: &mut Command) {
    for (name, _) in env::vars_os().filter(|(name, _)| is_ours(name)) {
        command.env_remove(name);
    }
}

/// Appends what the command says, on both streams, to this file.
pub(super) fn log_to(command: &mut Command, path: &Path) -> Result<(), Error> {
    let file = File::options().create(true).append(true).open(path).map_err(Error::io("open", path))?;
    let errors = file.try_clone().map_err(Error::io("open", path))?;
    command.stdout(file).stderr(errors);
    Ok(())
}

pub(super) fn property(name: &str, value: &OsStr) -> OsString {
    option(&format!("-D{name}="), value)
}

fn option(begin: &str, value: &OsStr) -> OsString {
    let mut option = OsString::from(begin);
    option.push(value);
    option
}

fn is_ours(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b"HOOKLOG_")
}

/// The quoted version that `java -version` prints, and its major number: 8 was still called 1.8.
fn version(output: &str) -> Option<(String, u32)> {
    let line = output.lines().find(|line| line.contains(" version \""))?;
    let quoted = line.split('"').nth(1)?;
    let mut numbers = quoted.split(|character: char| !character.is_ascii_digit());
    let first: u32 = numbers.next()?.parse().ok()?;
    let major = if first == 1 { numbers.next()?.parse().ok()? } else { first };
    Some((quoted.to_owned(), major))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_number_is_read_from_every_vendors_words() {
        let major = |line: &str| version(line).map(|(_, major)| major);
        assert_eq!(major("openjdk version \"17.0.21.1\" 2026-11-17\nOpenJDK Runtime Environment"), Some(17));
        assert_eq!(major("Picked up JAVA_TOOL_OPTIONS: -Dx=1\njava version \"25\" 2025-09-16 LTS"), Some(25));
        assert_eq!(major("openjdk version \"26-ea\" 2026-03-17"), Some(26));
        assert_eq!(major("java version \"1.8.0_392\""), Some(8));
        assert_eq!(major("sh: java: not found"), None);
        assert_eq!(major(""), None);
    }

    #[test]
    fn the_broker_inherits_none_of_our_variables() {
        assert!(is_ours(OsStr::new("HOOKLOG_STRIPE_SECRET")));
        assert!(!is_ours(OsStr::new("PATH")));
    }
}
