//! Hooklog's own long-running commands as children: started, waited for until they say that they are ready.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::ChildStdout;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::child::Program;

/// The first start may fetch the broker's jars.
const READY_DEADLINE: Duration = Duration::from_secs(300);
const LOOK: Duration = Duration::from_millis(200);

/// A command that printed its line of readiness.
pub(crate) struct Service {
    program: Program,
    ready: Value,
}

impl Service {
    /// Apache Kafka by `hooklog broker run`.
    pub(crate) fn broker(hooklog: &Path, dir: &Path) -> Result<Self> {
        let data = dir.join("broker").display().to_string();
        Self::start("broker", hooklog, &["broker", "run", "--data-dir", &data, "--kafka-port", "0", "--json"], &[], dir)
    }

    /// Everything by `hooklog up`, with its own broker and one source `stripe` that has `secret`.
    pub(crate) fn up(hooklog: &Path, dir: &Path, secret: &str) -> Result<Self> {
        let data = dir.join("up").display().to_string();
        let args = ["up", "--json", "--data-dir", &data, "--kafka-port", "0"];
        let addresses = ["--ingest-addr", "127.0.0.1:0", "--query-addr", "127.0.0.1:0"];
        Self::start("up", hooklog, &[&args[..], &addresses[..]].concat(), &[("HOOKLOG_STRIPE_SECRET", secret)], dir)
    }

    /// A text of the ready line, such as `brokers`.
    pub(crate) fn says(&self, name: &str) -> Result<&str> {
        self.ready[name].as_str().with_context(|| format!("the ready line names no {name}: {}", self.ready))
    }

    pub(crate) fn stop(self) -> Result<()> {
        self.program.stop()
    }

    fn start(name: &str, hooklog: &Path, args: &[&str], environment: &[(&str, &str)], dir: &Path) -> Result<Self> {
        let mut program = Program::start_to_be_read(name, &program(hooklog)?, args, environment, dir)?;
        let lines = read(program.output()?);
        let ready = wait(&mut program, &lines, name)?;
        Ok(Self { program, ready })
    }
}

/// The program's own path: a child is started in another directory than ours.
pub(crate) fn program(hooklog: &Path) -> Result<PathBuf> {
    let missing = || format!("{} is not there: run `make build`, or name it with --hooklog", hooklog.display());
    hooklog.canonicalize().with_context(missing)
}

/// Reads on after the first line too: a child whose pipe is full would stand still.
fn read(output: ChildStdout) -> Receiver<String> {
    let (sender, lines) = sync_channel(1);
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            // Nobody listens after the ready line, and nobody needs to.
            let _ = sender.try_send(line);
        }
    });
    lines
}

fn wait(program: &mut Program, lines: &Receiver<String>, name: &str) -> Result<Value> {
    let deadline = Instant::now() + READY_DEADLINE;
    while Instant::now() < deadline {
        match lines.recv_timeout(LOOK) {
            Ok(line) => return parse(&line, name),
            Err(RecvTimeoutError::Disconnected) if program.ended()? => bail!("{name} ended before it was ready"),
            Err(_) => drop(program.ended()?),
        }
    }
    bail!("{name} was not ready within {READY_DEADLINE:?}")
}

fn parse(line: &str, name: &str) -> Result<Value> {
    let ready: Value = serde_json::from_str(line).with_context(|| format!("{name} said {line:?} instead of JSON"))?;
    ensure!(ready["ready"] == true, "{name} said {line:?} instead of being ready");
    Ok(ready)
}
