//! A running `hooklog`.

use crate::process::Process;
use crate::wait::{DEADLINE, wait_until, wait_until_within};
use anyhow::{Context, bail};
use rustix::process::Signal;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

const ORDERLY: Duration = Duration::from_secs(20);
/// Lines of a program's log that a failed test shows.
const SHOWN: usize = 60;

/// A command that goes on until it is stopped, such as `up --json` or `broker run --json`. Stopped when dropped.
#[derive(Debug)]
pub struct Program {
    child: Child,
    process: Process,
    stdin: Option<ChildStdin>,
    stderr: Stderr,
    ready: Value,
}

/// How a command ended that was to go on.
#[derive(Debug)]
pub struct Refused {
    /// Its exit code; `None` after a signal.
    pub code: Option<i32>,
    /// What it wrote to stderr.
    pub stderr: String,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "it ended with {:?}: {}", self.code, self.stderr)
    }
}

impl Program {
    /// Starts it with `--json` and waits for its first line.
    ///
    /// # Errors
    /// It ended before: how.
    ///
    /// # Panics
    /// It cannot be started at all, or says nothing until [`DEADLINE`].
    pub fn start(binary: &str, arguments: &[&str]) -> Result<Self, Refused> {
        let mut command = Command::new(binary);
        command.args(arguments);
        Self::spawn(command)
    }

    /// As [`Program::start`], with a command that has its environment too.
    ///
    /// # Errors
    /// As there.
    ///
    /// # Panics
    /// As there.
    pub fn spawn(command: Command) -> Result<Self, Refused> {
        Self::spawn_within(DEADLINE, command)
    }

    /// As [`Program::spawn`], with a deadline of the caller's for its first line.
    ///
    /// # Errors
    /// It ended before, or was killed at the deadline.
    ///
    /// # Panics
    /// It cannot be started at all.
    pub fn spawn_within(deadline: Duration, mut command: Command) -> Result<Self, Refused> {
        command.arg("--json").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let process = Process::of(i32::try_from(child.id()).expect("Linux has pids of 22 bits"));
        let mut stderr = Stderr::collect(child.stderr.take().expect("it was asked for"));
        let stdin = child.stdin.take();
        match (first_line(child.stdout.take().expect("it was asked for"), deadline), process) {
            (Ok(ready), Some(process)) => Ok(Self { child, process, stdin, stderr, ready }),
            (line, _) => {
                let _ = child.kill();
                let code = child.wait().ok().and_then(|status| status.code());
                let reason = line.err().map(|error| format!("{error:#}")).unwrap_or_default();
                Err(Refused { code, stderr: stderr.all() + &reason })
            }
        }
    }

    /// The line that said it was ready.
    pub fn ready(&self) -> &Value {
        &self.ready
    }

    /// Its own process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// What it has written to stderr by now.
    pub fn stderr(&self) -> String {
        self.stderr.so_far()
    }

    /// SIGKILL: what it started lives on.
    pub fn kill(mut self) {
        self.process.signal(Signal::KILL);
        self.wait();
    }

    /// Closes its stdin and leaves it alone: what happens to it when the test is gone.
    pub fn abandon(mut self) -> Refused {
        self.stdin = None;
        self.ended()
    }

    /// SIGTERM, and waits for the end.
    pub fn stop(mut self) -> ExitStatus {
        self.process.signal(Signal::TERM);
        self.wait()
    }

    /// Waits until it ends by itself.
    pub fn ended(mut self) -> Refused {
        let status = self.wait();
        Refused { code: status.code(), stderr: self.stderr.all() }
    }

    /// For whoever has to find out why a test failed.
    #[expect(clippy::print_stderr, reason = "a failed test's output")]
    fn show(&self) {
        let stderr = self.stderr.so_far();
        let lines: Vec<&str> = stderr.lines().collect();
        let last = &lines[lines.len().saturating_sub(SHOWN)..];
        eprintln!("the last that pid {} said:\n{}", self.process.pid, last.join("\n"));
    }

    fn wait(&mut self) -> ExitStatus {
        wait_until("the program has ended", || self.child.try_wait().expect("it is our child"))
    }
}

/// Orderly where it can be: a command that is killed leaves its broker behind.
impl Drop for Program {
    fn drop(&mut self) {
        if thread::panicking() {
            self.show();
        }
        self.process.signal(Signal::TERM);
        if wait_until_within(ORDERLY, || self.child.try_wait().ok().flatten()).is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Read in a thread of its own: a pipe has no deadline. The thread then drains what follows, until the program ends.
fn first_line(stdout: ChildStdout, deadline: Duration) -> anyhow::Result<Value> {
    let (send, receive) = mpsc::channel();
    thread::spawn(move || {
        let mut lines = BufReader::new(stdout).lines();
        let _ = send.send(lines.next());
        lines.for_each(drop);
    });
    match receive.recv_timeout(deadline).context("it said nothing in time")? {
        Some(line) => serde_json::from_str(&line?).context("its first line is not JSON"),
        None => bail!("it closed its stdout"),
    }
}

/// Read by a thread of its own, so that a program that says much does not wait for us.
#[derive(Debug)]
struct Stderr {
    text: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Stderr {
    fn collect(stderr: ChildStderr) -> Self {
        let text = Arc::new(Mutex::new(String::new()));
        let sink = Arc::clone(&text);
        let reader = thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                sink.lock().unwrap_or_else(PoisonError::into_inner).push_str(&format!("{line}\n"));
            }
        });
        Self { text, reader: Some(reader) }
    }

    fn so_far(&self) -> String {
        self.text.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// After the program has ended: what is still in the pipe is part of it.
    fn all(&mut self) -> String {
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
        self.so_far()
    }
}
