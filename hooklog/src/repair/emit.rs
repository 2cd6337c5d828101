//! The transactions in which repaired events go out.

use std::cell::Cell;
use std::time::Duration;

use anyhow::{Context, Result};
use hooklog_log::Error;
use hooklog_log::native::Failure;
use hooklog_log::producer::{Outgoing, Transactional, headers};
use hooklog_task::Record;
use rdkafka::message::Header;

use crate::audit::Scope;
use hooklog_schemas::header::REPAIRED;

/// How long a transaction may stay open, and a full queue full.
const TRANSACTION: Duration = Duration::from_secs(30);
/// Each transaction is whole by itself: a repair that ends half way is taken up by the next one.
const AT_ONCE: usize = 2_000;

/// Writes to `events`, as one of a kind: starting a second one ends the first.
pub(super) struct Emitter {
    producer: Transactional,
    topic: String,
    open: Cell<usize>,
}

impl Emitter {
    pub(super) fn start(subject: &Scope) -> Result<Emitter> {
        let id = subject.topics.topics.group("repair");
        let producer = Transactional::start(&subject.connection, &id, TRANSACTION, || true)?;
        let producer = producer.context("the repair was told to stop before it began")?;
        Ok(Emitter { producer, topic: subject.topics.events.name.clone(), open: Cell::new(0) })
    }

    /// Queues `record`, marked.
    pub(super) fn emit(&self, record: &Record<'_>) -> Result<()> {
        if self.open.get() == 0 {
            self.producer.begin().map_err(refused("a transaction of the repair"))?;
        }
        let sent = self.producer.send(marked(record, &self.topic)).map_err(refused("an event"));
        sent.context("an event was not taken; nothing of this transaction counts")?;
        self.open.set(self.open.get() + 1);
        if self.open.get() >= AT_ONCE { self.finish() } else { Ok(()) }
    }

    /// Commits what is open.
    pub(super) fn finish(&self) -> Result<()> {
        if self.open.take() > 0 {
            let committed = self.producer.commit().map_err(refused("to commit the repair"));
            committed.context("the repair was not committed; run `hooklog audit`, then repair again")?;
        }
        Ok(())
    }
}

/// As one that tells whether waiting can mend it.
fn refused(what: &'static str) -> impl Fn(Failure) -> Error {
    move |failure| Error::Native { what, failure }
}

fn marked<'r>(record: &'r Record<'_>, topic: &'r str) -> Outgoing<'r> {
    let headers = headers(record.headers.iter().map(|(key, value)| (*key, value.as_ref())));
    Outgoing {
        topic,
        partition: record.partition,
        key: record.key.as_bytes(),
        value: record.value,
        time: record.time,
        headers: headers.insert(Header { key: REPAIRED, value: Some("true") }),
    }
}
