//! Processes known by more than a number: a pid alone may mean another process after a crash or a reboot.

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};
use std::{fs, io, thread};

const POLL: Duration = Duration::from_millis(20);

/// One process for good: its pid, when the kernel started it, and in which boot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) pid: i32,
    /// Clock ticks from the boot to the process's start, field 22 of `/proc/<pid>/stat`.
    pub(crate) start_time: u64,
    pub(crate) boot_id: String,
}

/// How a process that was asked to end did so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It was not there any more.
    Before,
    Orderly,
    /// It did not end in time, so it got SIGKILL.
    Killed,
}

impl Identity {
    /// The process that has this pid now; `None` when there is none, or only a zombie.
    pub(crate) fn of(pid: i32) -> Option<Self> {
        let stat = Stat::read(pid)?;
        let boot_id = boot_id().ok()?;
        (!stat.is_dead()).then_some(Self { pid, start_time: stat.start_time, boot_id })
    }

    pub(crate) fn own() -> io::Result<Self> {
        let pid = rustix::process::getpid().as_raw_nonzero().get();
        Self::of(pid).ok_or_else(|| io::Error::other("/proc does not show this process: is /proc mounted?"))
    }

    pub(crate) fn is_alive(&self) -> bool {
        Self::of(self.pid).as_ref() == Some(self)
    }

    /// Alive, and started with this very argument.
    pub(crate) fn has_argument(&self, argument: &[u8]) -> bool {
        self.is_alive() && command_line(self.pid).is_some_and(|line| contains(&line, argument))
    }

    /// SIGTERM, if it is still there.
    pub(crate) fn ask_to_end(&self) -> io::Result<()> {
        self.signal(Signal::TERM).map(drop)
    }

    /// SIGTERM, then SIGKILL where it is still there after `grace`.
    pub(crate) fn terminate(&self, grace: Duration) -> io::Result<Ended> {
        if !self.signal(Signal::TERM)? {
            return Ok(Ended::Before);
        }
        if self.is_gone_within(grace) {
            return Ok(Ended::Orderly);
        }
        self.signal(Signal::KILL)?;
        match self.is_gone_within(Duration::from_secs(5)) {
            true => Ok(Ended::Killed),
            false => Err(io::Error::new(io::ErrorKind::TimedOut, "it is still there 5 s after SIGKILL")),
        }
    }

    pub(crate) fn is_gone_within(&self, wait: Duration) -> bool {
        let deadline = Instant::now() + wait;
        while self.is_alive() {
            if Instant::now() >= deadline {
                return false;
            }
            thread::sleep(POLL);
        }
        true
    }

    /// False when the process is gone. The descriptor is opened before the check, so that the signal cannot reach a
    /// later process of the same pid.
    fn signal(&self, signal: Signal) -> io::Result<bool> {
        let pid = Pid::from_raw(self.pid).ok_or(io::ErrorKind::InvalidInput)?;
        let process = match pidfd_open(pid, PidfdFlags::empty()) {
            Err(rustix::io::Errno::SRCH) => return Ok(false),
            opened => opened?,
        };
        if !self.is_alive() {
            return Ok(false);
        }
        match pidfd_send_signal(&process, signal) {
            Err(rustix::io::Errno::SRCH) => Ok(false),
            sent => sent.map(|()| true).map_err(io::Error::from),
        }
    }
}

/// Every process of this machine that was started with this very argument.
pub(crate) fn with_argument(argument: &[u8]) -> io::Result<Vec<Identity>> {
    let names = fs::read_dir("/proc")?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let pids = names.filter_map(|name| name.parse::<i32>().ok());
    Ok(pids.filter_map(Identity::of).filter(|process| process.has_argument(argument)).collect())
}

/// Names the time from one start of the machine to the next.
pub(crate) fn boot_id() -> io::Result<String> {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned())
}

fn command_line(pid: i32) -> Option<Vec<u8>> {
    fs::read(format!("/proc/{pid}/cmdline")).ok()
}

fn contains(command_line: &[u8], argument: &[u8]) -> bool {
    command_line.split(|byte| *byte == 0).any(|part| part == argument)
}

#[derive(Debug, PartialEq)]
struct Stat {
    state: char,
    start_time: u64,
}

impl Stat {
    fn read(pid: i32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// The second field is the program's name in brackets, and may hold blanks and brackets itself.
    fn parse(line: &str) -> Option<Self> {
        let (_, after_name) = line.rsplit_once(')')?;
        let mut fields = after_name.split_ascii_whitespace();
        let state = fields.next()?.chars().next()?;
        Some(Self { state, start_time: fields.nth(18)?.parse().ok()? })
    }

    /// A zombie runs no more; where nobody reaps (a container without an init) it stays for ever.
    fn is_dead(&self) -> bool {
        matches!(self.state, 'Z' | 'X' | 'x')
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Child, Command};

    const LONG: Duration = Duration::from_secs(20);

    /// The kernel lets us go on a moment before the child's command line can be read.
    fn sleeper() -> (Child, Identity) {
        let child = Command::new("sleep").arg("61.25").spawn().unwrap();
        let process = Identity::of(i32::try_from(child.id()).unwrap()).unwrap();
        let deadline = Instant::now() + LONG;
        while !process.has_argument(b"61.25") && Instant::now() < deadline {
            thread::sleep(POLL);
        }
        (child, process)
    }

    #[test]
    fn a_name_with_blanks_and_brackets_does_not_shift_the_fields() {
        let line = "42 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 777 20 21";
        assert_eq!(Stat::parse(line), Some(Stat { state: 'S', start_time: 777 }));
    }

    #[test]
    fn half_a_stat_line_is_no_process() {
        assert_eq!(Stat::parse("42 (sleep) S 1 2"), None);
        assert_eq!(Stat::parse(""), None);
    }

    #[test]
    fn a_running_child_is_alive_and_known_by_its_argument() {
        let (mut child, process) = sleeper();
        assert!(process.is_alive());
        assert!(process.has_argument(b"61.25"));
        assert!(!process.has_argument(b"61.2"), "a part of an argument is not the argument");
        assert!(with_argument(b"61.25").unwrap().contains(&process));
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn a_pid_that_belongs_to_a_later_process_or_another_boot_is_not_ours() {
        let (mut child, process) = sleeper();
        let earlier = Identity { start_time: process.start_time - 1, ..process.clone() };
        let other_boot = Identity { boot_id: "another".into(), ..process.clone() };
        assert!(!earlier.is_alive() && !other_boot.is_alive());
        assert_eq!(earlier.terminate(LONG).unwrap(), Ended::Before);
        assert!(process.is_alive(), "the signal went to a process that is not ours");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn a_zombie_counts_as_dead() {
        let (mut child, process) = sleeper();
        child.kill().unwrap();
        assert!(process.is_gone_within(LONG), "nobody has waited for the child, so it is a zombie now");
        child.wait().unwrap();
    }

    #[test]
    fn a_child_that_heeds_sigterm_ends_orderly() {
        let (mut child, process) = sleeper();
        assert_eq!(process.terminate(LONG).unwrap(), Ended::Orderly);
        assert_eq!(process.terminate(LONG).unwrap(), Ended::Before);
        child.wait().unwrap();
    }

    #[test]
    fn a_child_that_ignores_sigterm_is_killed_after_the_grace() {
        let script = "trap '' TERM; echo deaf; while :; do sleep 0.05; done";
        let mut child = Command::new("sh").args(["-c", script]).stdout(std::process::Stdio::piped()).spawn().unwrap();
        io::Read::read_exact(&mut child.stdout.take().unwrap(), &mut [0; 5]).unwrap();
        let process = Identity::of(i32::try_from(child.id()).unwrap()).unwrap();
        assert_eq!(process.terminate(Duration::from_millis(100)).unwrap(), Ended::Killed);
        child.wait().unwrap();
    }
}
