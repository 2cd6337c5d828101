//! What the broker said since it was started, for the reason of its death.

use super::layout::Layout;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

const ENOUGH: u64 = 256 * 1024;

/// Where its two logs stood when it was started.
#[derive(Debug)]
pub(super) struct BrokerLog {
    server: (PathBuf, u64),
    console: (PathBuf, u64),
}

impl BrokerLog {
    pub(super) fn from_now_on(layout: &Layout) -> Self {
        let here = |path: PathBuf| {
            let length = fs::metadata(&path).map_or(0, |metadata| metadata.len());
            (path, length)
        };
        Self { server: here(layout.server_log()), console: here(layout.console_log()) }
    }

    /// What one said whose server's log began at `offset`.
    pub(super) fn from(layout: &Layout, offset: u64) -> Self {
        let Self { server, console } = Self::from_now_on(layout);
        Self { server: (server.0, offset), console }
    }

    /// Where its server's log begins.
    pub(super) fn begin(&self) -> u64 {
        self.server.1
    }

    /// The latest of what its server said.
    pub(super) fn text(&self) -> String {
        since(&self.server.0, self.server.1).unwrap_or_default()
    }

    /// Why it ended: its own last error, else how the kernel saw it end.
    pub(super) fn why(&self, status: Option<ExitStatus>) -> String {
        let read = |(path, offset): &(PathBuf, u64)| since(path, *offset).unwrap_or_default();
        let own = last_error(&read(&self.server)).or_else(|| last_line(&read(&self.console)));
        let seen = status.map(|status| status.to_string());
        own.or(seen).unwrap_or_else(|| "it was killed, or ended without a word".into())
    }
}

/// A log that is shorter than before has been rolled over.
fn since(path: &Path, offset: u64) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let from = if offset <= length { offset } else { 0 };
    file.seek(SeekFrom::Start(from.max(length.saturating_sub(ENOUGH))))?;
    let mut bytes = Vec::new();
    file.take(ENOUGH).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The line of the last error, and the exception that follows it, where there is one.
fn last_error(log: &str) -> Option<String> {
    let lines: Vec<&str> = log.lines().collect();
    let error = lines.iter().rposition(|line| line.contains(" ERROR ") || line.contains(" FATAL "))?;
    let exception = lines.get(error + 1).filter(|line| line.contains("Exception") || line.contains("Error:"));
    Some(shortened(&exception.map_or(lines[error].to_owned(), |exception| format!("{} {exception}", lines[error]))))
}

fn last_line(text: &str) -> Option<String> {
    text.lines().rfind(|line| !line.trim().is_empty()).map(shortened)
}

fn shortened(line: &str) -> String {
    line.trim().chars().take(400).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_logs(server: &str, console: &str) -> (tempfile::TempDir, Layout) {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        layout.create().unwrap();
        fs::write(layout.server_log(), server).unwrap();
        fs::write(layout.console_log(), console).unwrap();
        (dir, layout)
    }

    fn append(path: &Path, text: &str) {
        fs::write(path, fs::read_to_string(path).unwrap() + text).unwrap();
    }

    #[test]
    fn the_last_error_since_the_start_is_the_reason() {
        let (_dir, layout) = with_logs("12:00 ERROR of yesterday\n", "");
        let said = BrokerLog::from_now_on(&layout);
        append(&layout.server_log(), "12:01 INFO a\n12:02 ERROR disk is gone\n12:03 INFO bye\n");
        assert_eq!(said.why(None), "12:02 ERROR disk is gone");
    }

    #[test]
    fn the_exception_behind_the_last_error_is_part_of_the_reason() {
        let log = "1 ERROR Exiting (kafka.Kafka$)\njava.io.IOException: no space\n\tat a.b\n2 INFO bye\n";
        assert_eq!(last_error(log).unwrap(), "1 ERROR Exiting (kafka.Kafka$) java.io.IOException: no space");
    }

    #[test]
    fn java_itself_is_heard_where_kafka_said_nothing() {
        let (_dir, layout) = with_logs("12:00 ERROR of yesterday\n", "old\n");
        let said = BrokerLog::from_now_on(&layout);
        append(&layout.console_log(), "Unrecognized VM option\n\n");
        assert_eq!(said.why(None), "Unrecognized VM option");
    }

    #[test]
    fn a_kill_leaves_only_what_the_kernel_says() {
        let (_dir, layout) = with_logs("12:00 ERROR of yesterday\n", "old\n");
        let status = std::process::Command::new("sh").args(["-c", "kill -9 $$"]).status().unwrap();
        assert!(BrokerLog::from_now_on(&layout).why(Some(status)).contains("signal: 9"));
        assert!(BrokerLog::from_now_on(&layout).why(None).contains("killed"));
    }

    #[test]
    fn a_log_that_was_rolled_over_is_read_from_its_beginning() {
        let (_dir, layout) = with_logs("a long line of before\n", "");
        let said = BrokerLog::from_now_on(&layout);
        fs::write(layout.server_log(), "1 ERROR new\n").unwrap();
        assert_eq!(said.why(None), "1 ERROR new");
    }
}
