//! What can go wrong with the local broker, and what its reader can do.

use crate::{datadir, exit, room};
use std::io;
use std::path::{Path, PathBuf};

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(
        "Java is not there: `{0}` does not run. The local Apache Kafka needs Java 17 or newer: `make setup` installs it \
         (or `sudo apt-get install openjdk-17-jre-headless`), or set JAVA_HOME; or use a cluster with --brokers host:port"
    )]
    NoJava(String),
    #[error(
        "`{program}` is Java {found}, but the local Apache Kafka needs 17 or newer: `make setup` installs it \
         (or `sudo apt-get install openjdk-17-jre-headless`), or set JAVA_HOME; or use a cluster with --brokers host:port"
    )]
    OldJava { program: String, found: String },
    #[error(
        "Maven is not there: `mvn` does not run. It fetches Apache Kafka's jars, once: `make setup` installs it \
         (or `sudo apt-get install maven`); or use a cluster with --brokers host:port"
    )]
    NoMaven,
    #[error(
        "Maven could not fetch Apache Kafka's jars: {reason}. Check the network (behind a proxy or a mirror, Maven reads \
         ~/.m2/settings.xml) and start again; or use a cluster with --brokers host:port"
    )]
    Fetch { reason: String },
    #[error(
        "the jars that Maven fetched are not those of the lock file: {what}. Nothing of them is kept. Delete what \
         Maven has cached of it below ~/.m2/repository and start again; where it stays wrong, do not trust your mirror"
    )]
    WrongJars { what: String },
    #[error(
        "another hooklog has been fetching Apache Kafka's jars for {0} s: wait until it is done, or end it, and start again"
    )]
    FetchedElsewhere(u64),
    #[error(
        "port {port} on 127.0.0.1 is taken by another program: choose another one with --kafka-port (0 takes a free \
         one), or stop that program (`ss -ltnp 'sport = :{port}'` names it)"
    )]
    PortTaken { port: u16 },
    #[error("no free port was found on 127.0.0.1: name one with --kafka-port")]
    NoFreePort,
    #[error("Apache Kafka's log directory could not be formatted: {reason}. Its log is {}", log.display())]
    Format { reason: String, log: PathBuf },
    #[error("Apache Kafka ended while it started: {reason}. Its log is {}", log.display())]
    Died { reason: String, log: PathBuf },
    #[error("Apache Kafka did not answer within {seconds} s, so it was stopped: see its log {}, then start again", log.display())]
    Silent { seconds: u64, log: PathBuf },
    #[error("the controller has not fenced it within {seconds} s")]
    NotFenced { seconds: u64 },
    #[error(
        "Apache Kafka died {deaths} times within a minute and is not started again ({reason}): see its log {}, then \
         start again",
        log.display()
    )]
    GaveUp { deaths: usize, reason: String, log: PathBuf },
    #[error(
        "Apache Kafka died, perhaps while it wrote ({reason}), so its topics may have lost different tails: nothing may use its \
         log before that was checked. Start `hooklog up`, which does that first"
    )]
    Unsound { reason: String },
    #[error(
        "process {pid}, an Apache Kafka of this data directory, cannot be ended: {source}. End it yourself, then start again"
    )]
    CannotEnd { pid: i32, source: io::Error },
    #[error("the thread that watches Apache Kafka died: this is a defect of hooklog, please report it with its log")]
    WatchDied,
    #[error("stopped while Apache Kafka was starting")]
    Cancelled,
    #[error("cannot {doing} {}: {source}. Check that its owner and mode let you, and that the disk is not full", path.display())]
    Io { doing: &'static str, path: PathBuf, source: io::Error },
    #[error("{0}")]
    Full(#[source] room::Full),
    #[error(transparent)]
    DataDir(#[from] datadir::Error),
}

impl Error {
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::DataDir(error) => error.exit_code(),
            _ => exit::MISSING,
        }
    }

    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { doing, path, source }
    }
}
