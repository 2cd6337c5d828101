//! [`Broker`]: start or adopt it, stop it.

use super::broker_log::BrokerLog;
use super::death::{Death, Seen};
use super::java::Java;
use super::launch::{Launched, launch};
use super::layout::Layout;
use super::power::Cause;
use super::record::{Record, lost_power};
use super::{Error, PowerLoss, archive, format, jars, orphan};
use crate::process::{self, Ended};
use crate::room::{self, Full};
use std::path::PathBuf;
use std::process::Child;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long a killed broker's port may stay taken.
const DYING: Duration = Duration::from_secs(2);

/// Which broker is wanted. The caller holds the data directory's lock.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    /// Absolute and without links.
    pub(crate) data_dir: PathBuf,
    /// Where the jars are kept, for all data directories.
    pub(crate) cache: PathBuf,
    /// On 127.0.0.1; 0 takes a free one.
    pub(crate) port: u16,
    /// Ends every wait of a start.
    pub(crate) cancel: CancellationToken,
}

/// How we came to have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Came {
    Started,
    /// It was left by an earlier run.
    Adopted,
}

/// The local broker, which answers. It does not end with this value, only by [`Broker::stop`].
#[derive(Debug)]
pub(crate) struct Broker {
    wanted: Wanted,
    layout: Layout,
    record: Record,
    came: Came,
    child: Option<Child>,
    said: BrokerLog,
}

impl Broker {
    /// Adopts what an earlier run left, or starts a new one. Blocks until it answers.
    pub(crate) fn start(wanted: Wanted) -> Result<Self, Error> {
        let layout = Layout::new(&wanted.data_dir);
        let record = Record::read(&layout)?;
        let boot_id = process::boot_id().map_err(Error::io("read", "/proc".as_ref()))?;
        if lost_power(record.as_ref(), &boot_id) {
            PowerLoss::note_once(&layout, Cause::MachineDown)?;
        }
        if record.as_ref().is_some_and(|record| lost_tails(&layout, record)) {
            PowerLoss::note_once(&layout, Cause::AppendFailed)?;
        }
        // Only now: a full disk is the last trace of why that one died.
        has_room(&wanted)?;
        layout.create()?;
        match orphan::adopt(&layout, record, &wanted)? {
            Some(record) => Ok(Self::adopted(wanted, layout, record)),
            None => Self::launched(wanted, layout),
        }
    }

    fn adopted(wanted: Wanted, layout: Layout, record: Record) -> Self {
        let said = BrokerLog::from_now_on(&layout);
        Self { wanted, layout, record, came: Came::Adopted, child: None, said }
    }

    fn launched(wanted: Wanted, layout: Layout) -> Result<Self, Error> {
        let Launched { child, record, said } = launch_new(&wanted, &layout, wanted.port)?;
        Ok(Self { wanted, layout, record, came: Came::Started, child: Some(child), said })
    }

    /// For `bootstrap.servers`.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.record.port)
    }

    pub(crate) fn pid(&self) -> i32 {
        self.record.process.pid
    }

    pub(crate) fn came(&self) -> Came {
        self.came
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.record.process.is_alive()
    }

    /// Where to look when it is in trouble.
    pub(crate) fn log(&self) -> PathBuf {
        self.layout.server_log()
    }

    /// Topics may have lost different tails, and nobody has looked after that since.
    pub(crate) fn power_loss(&self) -> Option<PowerLoss> {
        PowerLoss::of(&self.layout)
    }

    pub(super) fn cancel(&self) -> &CancellationToken {
        &self.wanted.cancel
    }

    /// How it died, once it is dead.
    pub(super) fn death(&mut self) -> Death {
        let status = self.child.as_mut().and_then(|child| child.wait().ok());
        let seen = Seen { status, said: &self.said.text(), is_full: room::is_full(&self.wanted.data_dir) };
        Death::of(seen, self.said.why(status))
    }

    /// A start in its place that failed.
    pub(super) fn failed(&self, error: &Error) -> Death {
        let is_full = room::is_full(&self.wanted.data_dir) || room::is_want_of_room(error);
        let reason = error.to_string();
        let death = Death::of(Seen { status: None, said: &reason, is_full }, reason.clone());
        // The reason is the last of what it said; an append may have failed before that.
        let record = Record::read(&self.layout).ok().flatten();
        let lost_tails = record.is_some_and(|record| lost_tails(&self.layout, &record));
        Death { append_failed: death.append_failed || lost_tails, ..death }
    }

    /// Marks it as one whose topics may have lost different tails.
    pub(super) fn note_failed_append(&self) -> Result<(), Error> {
        PowerLoss::note(&self.layout, Cause::AppendFailed)
    }

    /// What its disk lacks before another one can be started.
    pub(super) fn wants_room(&self) -> Option<Full> {
        room::wanting(&self.wanted.data_dir)
    }

    /// Starts a new one in place of one that died, at the same port, since clients know that one.
    pub(super) fn restart(&mut self) -> Result<(), Error> {
        let Launched { child, record, said } = launch_new(&self.wanted, &self.layout, self.record.port)?;
        (self.child, self.record, self.said, self.came) = (Some(child), record, said, Came::Started);
        Ok(())
    }

    /// Ends it: SIGTERM, after `grace` SIGKILL. What it holds is flushed by an orderly end only.
    pub(crate) fn stop(mut self, grace: Duration) -> Result<Ended, Error> {
        let ended = orphan::end(&self.record.process, grace)?;
        // It is dead now, so this does not wait. An append may have failed while it stopped, or just before.
        if self.death().append_failed {
            // In this order: the record is the last trace of that.
            self.note_failed_append()?;
        }
        if ended == Ended::Orderly {
            Record::remove(&self.layout)?;
        }
        Ok(ended)
    }
}

/// Whether the broker on record is dead and may have failed to append.
fn lost_tails(layout: &Layout, record: &Record) -> bool {
    if record.process.is_alive() {
        return false;
    }
    let (said, is_full) = (BrokerLog::from(layout, record.log_from).text(), room::is_full(layout.directory()));
    Death::of(Seen { status: None, said: &said, is_full }, String::new()).append_failed
}

fn has_room(wanted: &Wanted) -> Result<(), Error> {
    room::full(&wanted.data_dir).map_or(Ok(()), |full| Err(Error::Full(full)))
}

fn launch_new(wanted: &Wanted, layout: &Layout, port: u16) -> Result<Launched, Error> {
    let cancel = &wanted.cancel;
    if port != 0 && !super::port::is_free_within(port, DYING) {
        return Err(Error::PortTaken { port });
    }
    let java = Java::find()?;
    let java = java.with_jars(&jars::ensure(&wanted.cache, cancel)?);
    let java = archive::with_archive(java, &wanted.cache, cancel)?;
    let cluster_id = match format::cluster_id(layout) {
        Some(id) => id,
        None => {
            let id = format::id_text(rand::random());
            format::format(&java, layout, &id, cancel)?;
            id
        }
    };
    PowerLoss::prepare(layout)?;
    launch(&java, layout, port, &cluster_id, cancel)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::process::Identity;
    use std::fs;
    use std::process::{Command, Stdio};

    /// A broker that ends with `code` by itself, and has written `said` into its log.
    pub(in crate::broker) fn broker(data_dir: &std::path::Path, code: u8, said: &str) -> Broker {
        let layout = Layout::new(data_dir);
        layout.create().unwrap();
        let wait = format!("read line; exit {code}");
        let mut child = Command::new("sh").args(["-c", &wait]).stdin(Stdio::piped()).spawn().unwrap();
        let process = Identity::of(child.id().cast_signed()).unwrap();
        drop(child.stdin.take());
        let record = Record { process, port: 9092, cluster_id: "id".into(), log_from: 0 };
        record.write(&layout).unwrap();
        let text = BrokerLog::from_now_on(&layout);
        fs::write(layout.server_log(), said).unwrap();
        let wanted = Wanted {
            data_dir: data_dir.to_owned(),
            cache: data_dir.to_owned(),
            port: 0,
            cancel: CancellationToken::new(),
        };
        Broker { wanted, layout, record, came: Came::Started, child: Some(child), said: text }
    }

    #[test]
    fn an_append_that_failed_while_the_broker_stopped_is_marked() {
        for (code, said, is_marked) in [
            (143, "INFO all is well", false),
            (0, "INFO all is well", false),
            (1, "", true),
            (143, "ERROR Error while appending records to hooklog.events-0 in dir kafka", true),
            (143, "java.io.IOException: No space left on device", true),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let broker = broker(dir.path(), code, said);
            let record = broker.layout.record();
            while broker.is_alive() {
                std::thread::yield_now();
            }
            broker.stop(Duration::from_secs(8)).unwrap();
            assert_eq!(PowerLoss::in_data_dir(dir.path()).is_some(), is_marked, "{code}: {said}");
            assert!(record.exists(), "it ended by itself, not in order: its record tells the next start");
        }
    }
}
