//! A program under observation: started here, and gone when its guard is.

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

const STOP_DEADLINE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(20);

/// A running child. Dropping it ends the child; should the bench itself be killed, the kernel sends the child a SIGTERM.
pub(crate) struct Program {
    child: Child,
    name: String,
    log: PathBuf,
}

impl Program {
    /// Starts `program` with all that it says in `<logs>/<name>.log`.
    pub(crate) fn start<S: AsRef<OsStr>>(name: &str, program: &Path, args: &[S], logs: &Path) -> Result<Self> {
        let (log, errors) = log(name, logs)?;
        let output = errors.try_clone()?;
        Self::spawn(name, command(program, args, logs).stdout(output).stderr(errors), log)
    }

    /// Starts `program` with more in its environment; only its errors go to the log, its output is for
    /// [`Program::output`] and must be read.
    pub(crate) fn start_to_be_read<S: AsRef<OsStr>>(
        name: &str,
        program: &Path,
        args: &[S],
        environment: &[(&str, &str)],
        logs: &Path,
    ) -> Result<Self> {
        let (log, errors) = log(name, logs)?;
        let mut command = command(program, args, logs);
        Self::spawn(name, command.envs(environment.iter().copied()).stdout(Stdio::piped()).stderr(errors), log)
    }

    fn spawn(name: &str, command: &mut Command, log: PathBuf) -> Result<Self> {
        let child = command.stdin(Stdio::null()).spawn().context("cannot run setpriv: it is in Debian's util-linux")?;
        Ok(Self { child, name: name.to_owned(), log })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Takes the standard output; the second call finds nothing.
    pub(crate) fn output(&mut self) -> Result<std::process::ChildStdout> {
        self.child.stdout.take().context("the program's output was taken before")
    }

    /// True once it has ended well; an error, with the end of its log, once it has ended badly.
    pub(crate) fn ended(&mut self) -> Result<bool> {
        match self.child.try_wait()? {
            None => Ok(false),
            Some(status) if status.success() => Ok(true),
            Some(status) => self.failed(status),
        }
    }

    /// Asks it to end and waits.
    pub(crate) fn stop(mut self) -> Result<()> {
        self.signal(Signal::TERM)?;
        self.wait(STOP_DEADLINE)
    }

    /// Waits for it to end by itself.
    pub(crate) fn wait(&mut self, within: Duration) -> Result<()> {
        let deadline = Instant::now() + within;
        while !self.ended()? {
            if Instant::now() >= deadline {
                bail!("{} is still there after {within:?}; its log: {}", self.name, self.log.display());
            }
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }

    fn signal(&mut self, signal: Signal) -> Result<()> {
        if self.child.try_wait()?.is_none() {
            let pid = Pid::from_raw(i32::try_from(self.child.id())?).context("a process id is never 0")?;
            kill_process(pid, signal)?;
        }
        Ok(())
    }

    fn failed<T>(&self, status: ExitStatus) -> Result<T> {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let tail: Vec<&str> = log.lines().rev().take(15).collect();
        let tail = tail.into_iter().rev().collect::<Vec<_>>().join("\n");
        bail!("{} ended with {status}. The end of {}:\n{tail}", self.name, self.log.display());
    }
}

fn log(name: &str, logs: &Path) -> Result<(PathBuf, File)> {
    let path = logs.join(format!("{name}.log"));
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    Ok((path, file))
}

/// Without the caller's `HOOKLOG_...` variables, and away from its `hooklog.toml`: either might name a cluster that is
/// in use, into which a bench must not write.
fn command<S: AsRef<OsStr>>(program: &Path, args: &[S], logs: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM", "--"]).arg(program).args(args).current_dir(logs);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("HOOKLOG_")) {
        command.env_remove(name);
    }
    command
}

impl Drop for Program {
    fn drop(&mut self) {
        // An error here means that it has ended already, which is what is wanted.
        let _ = self.signal(Signal::TERM);
        if self.wait(STOP_DEADLINE).is_err() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::Program;
    use crate::scratch;

    const SOON: Duration = Duration::from_secs(10);

    fn shell(name: &str, script: &str) -> (Program, std::path::PathBuf) {
        let dir = scratch::make(name).expect("a directory");
        let program = Program::start(name, Path::new("sh"), &["-c", script], &dir).expect("a shell");
        (program, dir)
    }

    #[test]
    fn a_program_that_fails_is_reported_with_the_end_of_its_log() {
        let (mut program, dir) = shell("fails", "echo what went wrong >&2; exit 3");
        let error = program.wait(SOON).expect_err("it failed").to_string();
        assert!(error.contains("what went wrong") && error.contains("exit status: 3"), "{error}");
        scratch::remove(&dir).expect("removed");
    }

    #[test]
    fn a_program_is_gone_when_its_guard_is() {
        let (program, dir) = shell("guarded", "exec sleep 600");
        let process = format!("/proc/{}", program.pid());
        assert!(Path::new(&process).exists());
        drop(program);
        assert!(!Path::new(&process).exists());
        scratch::remove(&dir).expect("removed");
    }

    #[test]
    fn a_program_that_ends_too_late_is_an_error() {
        let (mut program, dir) = shell("late", "exec sleep 600");
        assert!(program.wait(Duration::from_millis(50)).is_err());
        drop(program);
        scratch::remove(&dir).expect("removed");
    }
}
