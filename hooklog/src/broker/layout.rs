//! What lies where in `<data-dir>/broker`.

use super::Error;
use super::java::property;
use super::settings::LOG4J;
use std::ffi::OsString;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Java finds it in its working directory.
pub(super) const LOG4J_NAME: &str = "log4j2.properties";

#[derive(Debug, Clone)]
pub(super) struct Layout {
    data_dir: PathBuf,
    directory: PathBuf,
}

impl Layout {
    /// `data_dir` is absolute and without links.
    pub(super) fn new(data_dir: &Path) -> Self {
        Self { data_dir: data_dir.to_owned(), directory: data_dir.join("broker") }
    }

    /// The directories, and the one setting that is always the same.
    pub(super) fn create(&self) -> Result<(), Error> {
        for path in [&self.directory, &self.logs(), &self.tmp()] {
            let created = DirBuilder::new().recursive(true).mode(0o700).create(path);
            created.map_err(Error::io("create the directory", path))?;
        }
        let log4j = self.directory.join(LOG4J_NAME);
        // Emptied for nothing on a full disk, it would leave the next broker without a log.
        match fs::read_to_string(&log4j) {
            Ok(text) if text == LOG4J => Ok(()),
            _ => fs::write(&log4j, LOG4J).map_err(Error::io("write", &log4j)),
        }
    }

    /// What all of its processes have in their command line, and no others.
    pub(super) fn marker(&self) -> OsString {
        property("hooklog.data.dir", self.data_dir.as_os_str())
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(super) fn record(&self) -> PathBuf {
        self.directory.join("process.json")
    }

    /// There while a power loss has not been looked after.
    pub(super) fn power_loss(&self) -> PathBuf {
        self.directory.join("power-loss")
    }

    /// Becomes [`Layout::power_loss`] by its name alone, on a disk that has no room for a file.
    pub(super) fn spare_mark(&self) -> PathBuf {
        self.directory.join("power-loss.spare")
    }

    pub(super) fn properties(&self) -> PathBuf {
        self.directory.join(self.properties_name())
    }

    pub(super) fn properties_name(&self) -> &'static str {
        "server.properties"
    }

    /// For a controller alone.
    pub(super) fn controller_properties(&self) -> PathBuf {
        self.directory.join(self.controller_properties_name())
    }

    pub(super) fn controller_properties_name(&self) -> &'static str {
        "controller.properties"
    }

    /// Kafka's `log.dirs`: its data.
    pub(super) fn kafka(&self) -> PathBuf {
        self.directory.join("kafka")
    }

    pub(super) fn unfinished_kafka(&self) -> PathBuf {
        self.directory.join("kafka.unfinished")
    }

    pub(super) fn unfinished_properties(&self) -> PathBuf {
        self.directory.join("format.properties")
    }

    /// Native libraries of the compression codecs are unpacked here.
    pub(super) fn tmp(&self) -> PathBuf {
        self.directory.join("tmp")
    }

    fn logs(&self) -> PathBuf {
        self.directory.join("logs")
    }

    /// What Kafka itself says.
    pub(super) fn server_log(&self) -> PathBuf {
        self.logs().join("server.log")
    }

    /// What Java says outside of Kafka's log: a wrong option, a crash.
    pub(super) fn console_log(&self) -> PathBuf {
        self.logs().join("console.log")
    }
}
