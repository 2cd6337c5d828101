//! Brokers that an earlier run left: adopted or ended.

use super::layout::Layout;
use super::ready::{self, Readiness};
use super::record::{Plan, Record, plan};
use super::{Error, Wanted};
use crate::process::{self, Ended, Identity};
use std::path::Path;
use std::time::Duration;

/// It may just be starting.
const MAY_TAKE: Duration = Duration::from_secs(20);
const GRACE: Duration = Duration::from_secs(8);

/// The broker on record, if it runs at the wanted port and answers. Ends all others of this data directory.
pub(super) fn adopt(layout: &Layout, record: Option<Record>, wanted: &Wanted) -> Result<Option<Record>, Error> {
    let Plan { adopt, end: strays } = plan(record, running(layout)?, wanted.port);
    end_all(&strays)?;
    let Some(record) = adopt else { return Ok(None) };
    match ready::wait(&record.process, record.port, &record.cluster_id, MAY_TAKE, &wanted.cancel) {
        Readiness::Answers => Ok(Some(record)),
        Readiness::Cancelled => end_all(&[record.process]).and(Err(Error::Cancelled)),
        Readiness::Ended | Readiness::Silent => end_all(&[record.process]).map(|()| None),
    }
}

/// Ends all brokers of this directory, whoever started them.
pub(super) fn end_any(layout: &Layout) -> Result<(), Error> {
    end_all(&running(layout)?)
}

/// SIGTERM, after `grace` SIGKILL.
pub(super) fn end(process: &Identity, grace: Duration) -> Result<Ended, Error> {
    process.terminate(grace).map_err(|source| Error::CannotEnd { pid: process.pid, source })
}

fn end_all(strays: &[Identity]) -> Result<(), Error> {
    strays.iter().try_for_each(|stray| {
        tracing::warn!(pid = stray.pid, "ending a broker that an earlier run left and that cannot be adopted");
        end(stray, GRACE).map(drop)
    })
}

fn running(layout: &Layout) -> Result<Vec<Identity>, Error> {
    let marker = layout.marker();
    process::with_argument(marker.as_encoded_bytes()).map_err(Error::io("read", Path::new("/proc")))
}
