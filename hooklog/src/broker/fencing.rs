//! Before a broker is started in place of one that was killed: the dead one is fenced, by a controller alone.
//!
//! A controller takes a killed broker for alive until its session is over. If the new one waits for that in the same process, its
//! partitions change their leader under a transaction coordinator that is at work already, and Kafka 4.3.1's skips the end
//! markers of partitions without a leader (KAFKA-20734). So the session ends first, while no coordinator runs: a process with
//! the controller's role alone, on the same directory, with a session of a second. It is stopped once its log says that
//! the dead broker is fenced; the broker that is started then leads everything from one moment on.

use super::broker_log::BrokerLog;
use super::java::{Java, log_to};
use super::layout::Layout;
use super::registration::{MetadataLog, Registration};
use super::settings::{NODE, Session, controller_properties};
use super::{Error, orphan, port};
use crate::process::Identity;
use std::fs;
use std::os::unix::process::CommandExt;
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// The controller's start, and the session of a second; more only on a machine that is very busy.
const MAY_TAKE: Duration = Duration::from_secs(60);
/// Where its log cannot be read: its start and the session, with room to spare, since nothing says when it is done.
const UNTOLD: Duration = Duration::from_secs(10);
const GRACE: Duration = Duration::from_secs(8);
const POLL: Duration = Duration::from_millis(20);

/// Whether a dead broker has to be fenced before another one may start: where its registration cannot be told, too.
fn is_needed(registration: Option<Registration>) -> bool {
    !matches!(registration, Some(Registration::Absent | Registration::Fenced))
}

/// Fences the broker of `layout`, which is dead, if the controller still takes it for alive; gives the session of the next
/// one. Where it cannot be fenced the broker is started all the same: Kafka then lets it in when the session of the dead one is
/// over, so that must be short.
pub(super) fn fence(java: &Java, layout: &Layout, cancel: &CancellationToken) -> Result<Session, Error> {
    let mut log = MetadataLog::of(&layout.kafka());
    if !is_needed(log.look(NODE)) {
        return Ok(Session::Long);
    }
    let began = Instant::now();
    match fenced(java, layout, &mut log, cancel) {
        Ok(()) => {
            tracing::info!("the broker that was killed is fenced, after {} ms", began.elapsed().as_millis());
            Ok(Session::Long)
        }
        Err(Error::Cancelled) => Err(Error::Cancelled),
        Err(error) => {
            tracing::warn!(
                %error,
                "the broker that was killed could not be fenced before the next one starts, which takes longer now"
            );
            Ok(Session::Default)
        }
    }
}

fn fenced(java: &Java, layout: &Layout, log: &mut MetadataLog, cancel: &CancellationToken) -> Result<(), Error> {
    let properties = layout.controller_properties();
    let text = controller_properties(port::free(&mut rand::rng())?, "kafka");
    layout.create()?;
    fs::write(&properties, text).map_err(Error::io("write", &properties))?;
    let said = BrokerLog::from_now_on(layout);
    let mut command = java.controller(layout);
    log_to(&mut command, &layout.console_log())?;
    // In its own process group, as the broker: Ctrl-C at our terminal is ours to heed.
    let mut child = command.process_group(0).spawn().map_err(|error| Error::NoJava(error.to_string()))?;
    let waited = wait(&mut child, log, cancel, |child| {
        let status = child.wait().ok();
        Error::Died { reason: said.why(status), log: layout.server_log() }
    });
    let ended = end(&mut child, layout);
    waited.and(ended)
}

fn wait(
    child: &mut Child,
    log: &mut MetadataLog,
    cancel: &CancellationToken,
    died: impl FnOnce(&mut Child) -> Error,
) -> Result<(), Error> {
    let began = Instant::now();
    loop {
        let registration = log.look(NODE);
        let may_take = if registration.is_some() { MAY_TAKE } else { UNTOLD };
        if !is_needed(registration) {
            return Ok(());
        }
        match child.try_wait() {
            Ok(None) => {}
            Ok(Some(_)) | Err(_) => return Err(died(child)),
        }
        if cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        if began.elapsed() >= may_take {
            return Err(Error::NotFenced { seconds: may_take.as_secs() });
        }
        thread::sleep(POLL);
    }
}

/// Orderly, whatever came of it: two processes on one directory would spoil it.
fn end(child: &mut Child, layout: &Layout) -> Result<(), Error> {
    let pid = i32::try_from(child.id()).expect("Linux has pids of 22 bits");
    if let Some(process) = Identity::of(pid) {
        orphan::end(&process, GRACE)?;
    }
    child.wait().map(drop).map_err(Error::io("reap the controller of", layout.directory()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_broker_that_the_controller_takes_for_alive_or_knows_nothing_of_for_sure_has_to_be_fenced() {
        assert!(is_needed(Some(Registration::Active)));
        assert!(is_needed(None));
        assert!(!is_needed(Some(Registration::Fenced)), "it was stopped in order, or is fenced already");
        assert!(!is_needed(Some(Registration::Absent)), "the very first start");
    }
}
