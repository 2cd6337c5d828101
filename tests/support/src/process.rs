//! Pids with their start times, so that a kill never hits a stranger.

use crate::wait::wait_until;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::fs;

/// One process for good, as long as the machine is up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: i32,
    start_time: u64,
}

impl Process {
    /// The process that has this pid now; `None` when there is none, or only a zombie.
    pub fn of(pid: i32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
        let is_zombie = fields.next()? == "Z";
        let start_time = fields.nth(18)?.parse().ok()?;
        (!is_zombie).then_some(Self { pid, start_time })
    }

    /// Whether it still runs.
    pub fn is_alive(&self) -> bool {
        Self::of(self.pid).as_ref() == Some(self)
    }

    /// Sends a signal, if it still runs.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.pid).expect("a pid is not 0");
        // Opened before the check, so that the pid cannot become another process's in between.
        if let Ok(process) = pidfd_open(pid, PidfdFlags::empty())
            && self.is_alive()
        {
            let _ = pidfd_send_signal(process, signal);
        }
    }

    /// SIGKILL, and waits until it is gone. Whoever started it still has to reap it.
    #[track_caller]
    pub fn kill(&self) {
        self.signal(Signal::KILL);
        wait_until("the killed process is gone", || (!self.is_alive()).then_some(()));
    }
}
