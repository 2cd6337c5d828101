//! Starts the broker and waits until it answers.

use super::broker_log::BrokerLog;
use super::java::{Java, log_to};
use super::layout::Layout;
use super::ready::{self, Readiness};
use super::record::Record;
use super::settings::{Ports, Session, server_properties};
use super::{Error, fencing, orphan, port};
use crate::process::Identity;
use std::fs;
use std::os::unix::process::CommandExt;
use std::process::Child;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Kafka reads back what an unclean stop left before it answers, and a large log takes its time.
const MAY_TAKE: Duration = Duration::from_secs(300);
const GRACE: Duration = Duration::from_secs(8);
/// Another program may take a port between our look at it and Kafka's.
const TRIES: usize = 3;

pub(super) struct Launched {
    pub(super) child: Child,
    pub(super) record: Record,
    pub(super) said: BrokerLog,
}

/// Starts a broker at this port, where 0 takes a free one.
pub(super) fn launch(
    java: &Java,
    layout: &Layout,
    wanted_port: u16,
    cluster_id: &str,
    cancel: &CancellationToken,
) -> Result<Launched, Error> {
    let mut tries = 0;
    loop {
        tries += 1;
        // For each try: the one before it may have been let in by the controller before it ended.
        let session = fencing::fence(java, layout, cancel)?;
        let ports = choose(wanted_port)?;
        write_settings(layout, ports, session)?;
        let mut launched = spawn(java, layout, ports, cluster_id)?;
        match ready::wait(&launched.record.process, ports.kafka, cluster_id, MAY_TAKE, cancel) {
            Readiness::Answers => return Ok(launched),
            Readiness::Ended if tries < TRIES && somebody_took(ports, wanted_port)? => {
                launched.reap();
            }
            readiness => return Err(launched.give_up(readiness, layout)?),
        }
    }
}

fn choose(wanted_port: u16) -> Result<Ports, Error> {
    let rng = &mut rand::rng();
    let kafka = match wanted_port {
        0 => port::free(rng)?,
        port if port::is_free(port) => port,
        port => return Err(Error::PortTaken { port }),
    };
    loop {
        let controller = port::free(rng)?;
        if controller != kafka {
            return Ok(Ports { kafka, controller });
        }
    }
}

/// Whether the broker ended for want of a port that we chose. The wanted one being taken is for the user to solve.
fn somebody_took(ports: Ports, wanted_port: u16) -> Result<bool, Error> {
    if wanted_port != 0 && !port::is_free(wanted_port) {
        return Err(Error::PortTaken { port: wanted_port });
    }
    Ok(!port::is_free(ports.kafka) || !port::is_free(ports.controller))
}

/// The record is written at once: a crash before that leaves a process that is known by its command line only.
fn spawn(java: &Java, layout: &Layout, ports: Ports, cluster_id: &str) -> Result<Launched, Error> {
    let said = BrokerLog::from_now_on(layout);
    let mut command = java.broker(layout);
    log_to(&mut command, &layout.console_log())?;
    // In its own process group, so that Ctrl-C at our terminal does not reach it before we have stopped.
    let mut child = command.process_group(0).spawn().map_err(|error| Error::NoJava(error.to_string()))?;
    let pid = i32::try_from(child.id()).expect("Linux has pids of 22 bits");
    let Some(process) = Identity::of(pid) else {
        let status = child.wait().map_err(Error::io("wait for the broker of", layout.directory()))?;
        return Err(Error::Died { reason: said.why(Some(status)), log: layout.server_log() });
    };
    let record = Record { process, port: ports.kafka, cluster_id: cluster_id.to_owned(), log_from: said.begin() };
    if let Err(error) = record.write(layout) {
        // It would run on, at a port that nobody knows.
        child.kill().and_then(|()| child.wait()).map_err(Error::io("end the broker of", layout.directory()))?;
        return Err(error);
    }
    Ok(Launched { child, record, said })
}

/// What an earlier broker unpacked goes as well: after a SIGKILL it would stay for ever.
fn write_settings(layout: &Layout, ports: Ports, session: Session) -> Result<(), Error> {
    let (tmp, properties) = (layout.tmp(), layout.properties());
    fs::remove_dir_all(&tmp).map_err(Error::io("remove", &tmp))?;
    layout.create()?;
    fs::write(&properties, server_properties(ports, session, "kafka")).map_err(Error::io("write", &properties))
}

impl Launched {
    fn reap(&mut self) -> Option<std::process::ExitStatus> {
        self.child.wait().ok()
    }

    fn give_up(mut self, readiness: Readiness, layout: &Layout) -> Result<Error, Error> {
        orphan::end(&self.record.process, GRACE)?;
        let status = self.reap();
        let log = layout.server_log();
        Ok(match readiness {
            Readiness::Cancelled => Error::Cancelled,
            Readiness::Silent => Error::Silent { seconds: MAY_TAKE.as_secs(), log },
            Readiness::Ended | Readiness::Answers => Error::Died { reason: self.said.why(status), log },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::registration::tests::active;
    use std::net::{Ipv4Addr, TcpListener};
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;
    use std::thread;
    use std::time::Instant;

    /// Writes down the session of each broker. The first one is let in by its controller and ends once its port is taken; the
    /// second one ends at once, as does a controller alone.
    const PROGRAM: &str = "#!/bin/sh\n\
        for last; do :; done\n\
        [ $last = server.properties ] || exit 1\n\
        grep ^broker.session.timeout.ms= $last >> sessions\n\
        [ -e first ] && exit 1\n\
        mkdir -p kafka/__cluster_metadata-0\n\
        cp active kafka/__cluster_metadata-0/00000000000000000000.log\n\
        touch first\n\
        while [ ! -e taken ]; do sleep 0.02; done\n\
        exit 1\n";

    fn java(directory: &Path) -> Java {
        let program = directory.join("java");
        fs::write(&program, PROGRAM).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        Java::of(program)
    }

    /// Another program takes the port of the first broker's controller.
    fn take_port(layout: &Layout) -> TcpListener {
        let until = Instant::now() + Duration::from_secs(20);
        while !layout.directory().join("first").exists() {
            assert!(Instant::now() < until, "the first broker is not started");
            thread::sleep(Duration::from_millis(10));
        }
        let text = fs::read_to_string(layout.properties()).unwrap();
        let (_, port) = text.split_once("CONTROLLER://127.0.0.1:").unwrap();
        let port = port.lines().next().unwrap().parse().unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        fs::write(layout.directory().join("taken"), "").unwrap();
        listener
    }

    #[test]
    fn each_try_looks_whether_the_broker_of_the_try_before_it_has_to_be_fenced() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        layout.create().unwrap();
        fs::write(layout.directory().join("active"), active()).unwrap();
        let java = java(layout.directory());
        let launched = thread::scope(|scope| {
            let taken = scope.spawn(|| take_port(&layout));
            let launched = launch(&java, &layout, 0, "id", &CancellationToken::new());
            taken.join().map(|_listener| launched)
        });
        assert!(matches!(launched, Ok(Err(Error::Died { .. }))));
        let sessions = fs::read_to_string(layout.directory().join("sessions")).unwrap();
        let sessions: Vec<_> = sessions.lines().map(|line| line.split_once('=').unwrap().1).collect();
        // The first one was let in, and this controller cannot fence it: so its session must be a short one.
        assert_eq!(sessions, ["3600000", "9000"]);
    }
}
