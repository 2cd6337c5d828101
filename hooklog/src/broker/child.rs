//! Waiting for a program that is to end by itself.

use super::Error;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};
use std::{io, thread};
use tokio_util::sync::CancellationToken;

const POLL: Duration = Duration::from_millis(20);

/// How it ended; `None` where it had to be killed at the deadline. It is killed too when we are to stop.
pub(super) fn outcome(
    child: &mut Child,
    wait: Duration,
    cancel: &CancellationToken,
) -> Result<Option<ExitStatus>, Error> {
    let deadline = Instant::now() + wait;
    while Instant::now() < deadline && !cancel.is_cancelled() {
        if let Some(status) = child.try_wait().map_err(lost)? {
            return Ok(Some(status));
        }
        thread::sleep(POLL);
    }
    child.kill().and_then(|()| child.wait()).map_err(lost)?;
    if cancel.is_cancelled() { Err(Error::Cancelled) } else { Ok(None) }
}

fn lost(source: io::Error) -> Error {
    Error::io("wait for the program started for", std::path::Path::new("the local broker"))(source)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    const LONG: Duration = Duration::from_secs(20);

    fn sleeper() -> Child {
        Command::new("sleep").arg("62").spawn().unwrap()
    }

    #[test]
    fn a_program_that_ends_tells_how() {
        let mut child = Command::new("false").spawn().unwrap();
        let status = outcome(&mut child, LONG, &CancellationToken::new()).unwrap();
        assert_eq!(status.unwrap().code(), Some(1));
    }

    #[test]
    fn a_program_that_does_not_end_is_killed_at_the_deadline() {
        let mut child = sleeper();
        assert_eq!(outcome(&mut child, Duration::ZERO, &CancellationToken::new()).unwrap(), None);
        assert!(child.try_wait().unwrap().is_some(), "it still runs");
    }

    #[test]
    fn whoever_stops_does_not_wait_for_it() {
        let mut child = sleeper();
        let cancel = CancellationToken::new();
        cancel.cancel();
        assert!(matches!(outcome(&mut child, LONG, &cancel), Err(Error::Cancelled)));
    }
}
