//! One local installation under test: a data directory, `hooklog up` with its own broker, the same ports over all restarts.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use hooklog_test_support::{Done, Port, Process, Program, Site, http};
use rustix::process::Signal;

use crate::disk::Disk;
use crate::failure::Failure;
use crate::load::Target;
use crate::reader;
use crate::tail::{last_lines, tail};

const PARTITIONS: &str = "4";
/// What is free on the stores' disk: more than the 64 MiB that `up` waits for after the disk was full, and so little that not
/// every store can reserve 39 MiB for its log. One that has room reserved does not notice for hours that the disk is full.
const STORE_FREE_MIB: u64 = 68;
const POLL: Duration = Duration::from_millis(50);

/// Its processes end with this value.
#[derive(Debug)]
pub(crate) struct Installation {
    site: Site,
    directory: PathBuf,
    ingest: Port,
    query: Port,
    kafka: Port,
    up: Option<Program>,
    disks: Option<Disks>,
}

/// Dropped in this order: the inner one first.
#[derive(Debug)]
pub(crate) struct Disks {
    pub(crate) store: Disk,
    pub(crate) broker: Disk,
}

impl Installation {
    /// In this directory, which may hold one that was used before.
    pub(crate) fn in_directory(hooklog: &Path, directory: &Path) -> Result<Self> {
        fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
        let hooklog = hooklog.to_str().context("the program's path is not UTF-8")?;
        let site = Site::alone_in(hooklog, directory);
        let [ingest, query, kafka] = [(); 3].map(|()| Port::reserve());
        let installation = Self { site, directory: directory.to_owned(), ingest, query, kafka, up: None, disks: None };
        installation.end_what_was_left();
        Ok(installation)
    }

    /// The data directory and the stores each get a small disk of their own.
    pub(crate) fn on_disks(mut self, mib: u64) -> Result<Self> {
        let broker = Disk::mount(&self.data_dir(), mib)?;
        let store = Disk::mount(&self.data_dir().join("processor"), STORE_FREE_MIB)?;
        self.disks = Some(Disks { store, broker });
        Ok(self)
    }

    /// The stores' disk has as much room again as it had at the start, whatever the stores have grown to.
    pub(crate) fn free_the_stores(&self) -> Result<()> {
        self.disks()?.store.leave_free(STORE_FREE_MIB)
    }

    pub(crate) fn disks(&self) -> Result<&Disks> {
        self.disks.as_ref().context("this installation has no disks of its own")
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.site.data_dir()
    }

    pub(crate) fn brokers(&self) -> String {
        self.kafka.address()
    }

    pub(crate) fn events(&self) -> String {
        self.site.topics().events()
    }

    /// Starts `up` and waits until it says that it is ready.
    pub(crate) fn start(&mut self, within: Duration) -> Result<Duration, Failure> {
        let began = Instant::now();
        match Program::spawn_within(within, self.up_command()) {
            Ok(program) => {
                self.up = Some(program);
                Ok(began.elapsed())
            }
            Err(refused) => {
                self.keep_log(&refused.stderr);
                // Behind what the program said stands why it was given up.
                let said = |from_end| refused.stderr.lines().rev().nth(from_end).unwrap_or_default();
                let what = match refused.code {
                    Some(code) => format!("`up` ended with {code}: {}", said(1)),
                    None => format!("`up` does not say that it is ready, but: {}", said(1)),
                };
                Err(Failure::NotReady { what, waited_ms: ms(began.elapsed()) })
            }
        }
    }

    fn up_command(&self) -> Command {
        let (ingest, query, kafka) = (self.ingest.address(), self.query.address(), self.kafka.number().to_string());
        let flags = ["up", "--ingest-addr", &ingest, "--query-addr", &query, "--kafka-port", &kafka];
        let mut command = self.command(&[&flags[..], &["--partitions", PARTITIONS]].concat());
        // Ctrl-C at our terminal is for us: we stop it in order.
        command.process_group(0);
        command
    }

    /// Without the caller's variables and away from its `hooklog.toml`: either might name a cluster that is in use.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.site.command(arguments);
        command.current_dir(&self.directory);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("HOOKLOG_")) {
            command.env_remove(name);
        }
        command
    }

    /// SIGKILL of the one or both; `up` is gone then, where it is one of them.
    pub(crate) fn kill(&mut self, hooklog: bool, broker: bool) {
        let (up, its_broker) = (self.up.as_ref().filter(|_| hooklog), self.broker().filter(|_| broker));
        // At once: the one of them that lives longer must not see that the other is dead.
        up.inspect(|up| up.process().signal(Signal::KILL));
        its_broker.as_ref().inspect(|broker| broker.signal(Signal::KILL));
        if hooklog && let Some(up) = self.up.take() {
            self.keep_log(&up.stderr());
            up.kill();
        }
        its_broker.inspect(Process::kill);
    }

    /// An orderly stop of both.
    pub(crate) fn stop(&mut self) -> Result<(), Failure> {
        let Some(up) = self.up.take() else { return Ok(()) };
        self.keep_log(&up.stderr());
        let status = up.stop();
        let what = "it was asked to end".to_owned();
        if status.success() { Ok(()) } else { Err(Failure::Ended { code: status.code(), what }) }
    }

    /// `up` still runs.
    pub(crate) fn lives(&mut self) -> Result<(), Failure> {
        if self.up.as_ref().is_some_and(|up| up.process().is_alive()) {
            return Ok(());
        }
        let Some(ended) = self.up.take().map(Program::ended) else {
            return Err(Failure::Ended { code: None, what: "it was not started".to_owned() });
        };
        self.keep_log(&ended.stderr);
        let what = ended.stderr.lines().last().unwrap_or_default().to_owned();
        Err(Failure::Ended { code: ended.code, what })
    }

    /// The broker on record, if it lives.
    pub(crate) fn broker(&self) -> Option<Process> {
        self.site.recorded_broker()
    }

    /// The processor has taken this record of `raw` in, so that its event is in `events`, unless it repeats another.
    pub(crate) fn has_taken_in(&self, (partition, offset): (i32, i64)) -> bool {
        let raw = self.site.topics().raw();
        reader::committed(&self.brokers(), &self.site.group(), &raw, partition).is_some_and(|next| next > offset)
    }

    /// Waits until the broker is another one than `old`, `/readyz` says so, and a webhook that `probe` posts gets its 200 and is
    /// taken in.
    pub(crate) fn is_ready_again(
        &mut self,
        old: Option<&Process>,
        within: Duration,
        mut probe: impl FnMut() -> Option<(i32, i64)>,
    ) -> Result<Duration, Failure> {
        let (began, mut posted) = (Instant::now(), None);
        loop {
            self.lives()?;
            let what = match () {
                () if old.is_some() && self.broker().as_ref().is_none_or(|broker| Some(broker) == old) => {
                    "no new broker"
                }
                () if !self.says_ready() => "/readyz",
                () if posted.is_none() => {
                    posted = probe();
                    "a webhook is not acknowledged"
                }
                () if !posted.is_some_and(|position| self.has_taken_in(position)) => "a webhook is not taken in",
                () => return Ok(began.elapsed()),
            };
            if began.elapsed() >= within {
                return Err(Failure::NotReady { what: what.to_owned(), waited_ms: ms(began.elapsed()) });
            }
            thread::sleep(POLL);
        }
    }

    fn says_ready(&self) -> bool {
        http::get(&self.query.address(), "/readyz").is_ok_and(|answer| answer.status == 200)
    }

    /// Where the load goes.
    pub(crate) fn target(&self) -> Result<Target> {
        let path = self.data_dir().join("secrets/stripe");
        let secret = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let address = SocketAddr::from(([127, 0, 0, 1], self.ingest.number()));
        Ok(Target { address, secret: secret.trim().to_owned() })
    }

    /// `hooklog audit --wait`.
    pub(crate) fn audit(&self) -> Result<(), Failure> {
        let output = self.command(&["audit", "--wait", "--json"]).output();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        let done = match output {
            Ok(output) => {
                Done { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
            }
            Err(error) => Done { code: None, stdout: String::new(), stderr: error.to_string() },
        };
        let says: serde_json::Value = serde_json::from_str(&done.stdout).unwrap_or_default();
        if (done.code, &says["ok"]) == (Some(0), &serde_json::Value::Bool(true)) {
            return Ok(());
        }
        let stderr = last_lines(&done.stderr).join("\n");
        Err(Failure::Audit { code: done.code, line: done.stdout, stderr })
    }

    /// The last lines of what hooklog said, over all its lives that have ended.
    pub(crate) fn hooklog_said(&self) -> Vec<String> {
        tail(&self.log())
    }

    /// The last lines of Kafka's log.
    pub(crate) fn kafka_said(&self) -> Vec<String> {
        tail(&self.data_dir().join("broker/logs/server.log"))
    }

    fn log(&self) -> PathBuf {
        self.directory.join("hooklog.log")
    }

    /// What a program said, behind what those before it did.
    fn keep_log(&self, text: &str) {
        let file = OpenOptions::new().create(true).append(true).open(self.log());
        // It is for whoever looks for a cause; that it cannot be kept is no finding.
        let _ = file.and_then(|mut file| file.write_all(format!("--- a life of hooklog ---\n{text}").as_bytes()));
    }

    /// What is on disks in memory is copied before they go; returns where all is then.
    pub(crate) fn keep(&mut self) -> PathBuf {
        if self.disks.is_some() {
            let kept = self.directory.join("data.kept");
            let _ = Command::new("cp").arg("-a").arg(self.data_dir()).arg(&kept).output();
            let _ = fs::remove_file(kept.join("filler"));
            self.disks = None;
        }
        self.directory.clone()
    }

    /// Processes of a run whose harness was killed: known by pid files in our own directory, and by their command lines.
    fn end_what_was_left(&self) {
        let run = fs::read(self.data_dir().join("run.json")).unwrap_or_default();
        let run: serde_json::Value = serde_json::from_slice(&run).unwrap_or_default();
        let left = run["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok()).and_then(Process::of);
        let is_ours = |process: &Process| {
            let command = fs::read(format!("/proc/{}/cmdline", process.pid)).unwrap_or_default();
            let ours = self.data_dir().to_string_lossy().into_owned();
            String::from_utf8_lossy(&command).contains(&ours)
        };
        left.filter(is_ours).inspect(Process::kill);
        self.broker().inspect(Process::kill);
    }
}

impl Drop for Installation {
    fn drop(&mut self) {
        // In order, before the disks go; the broker that a killed `up` has left is the site's to end.
        if self.stop().is_err() || self.broker().is_some() {
            self.kill(true, true);
        }
    }
}

pub(crate) fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
