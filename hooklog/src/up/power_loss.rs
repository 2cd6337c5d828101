//! After the machine went down under our own broker, or its disk refused an append: it has no second copy, so topics may have
//! lost different tails.
//!
//! `raw` is flushed with every batch, so it is the one to believe. Before anything reads or writes the log:
//! 1. Views begin anew: they may hold records of `events` that are gone. The end of `events` does not tell, since something
//!    may have been appended behind the loss already, and other records will stand at the offsets of those that are gone.
//! 2. Transactions that nobody would ever end are aborted.
//! 3. The processor's offsets go to where nothing is doubled and nothing lost, by its store and by `events`.
//! 4. `raw` is audited up to there; what has lost its event gets it again, as `hooklog repair` does it.
//!
//! Each step may be cut short by a crash and is then done again: the mark goes last. What cannot be mended so, records of
//! `raw` that are gone above all, stops the start, with the mark still there.

use std::path::PathBuf;

use anyhow::{Result, bail};
use hooklog_log::connection::Isolation;
use hooklog_log::provision::Provisioned;
use hooklog_log::{Connection, watermarks};
use hooklog_projector::Projector;
use hooklog_projector::status::Reader;
use hooklog_schemas::NextOffset;
use hooklog_store::Registry;

use crate::audit::{Counts, Scope, examine};
use crate::broker::{PowerLoss, Settled};
use crate::cluster::Cluster;
use crate::repair::{self, Group, LostRaw};
use crate::settings::Settings;

/// Memory for views that are asked for their positions.
const STORE_MEMORY: usize = 16 << 20;
/// How many places of damage are named.
const NAMED: usize = 10;

/// What there is to look after.
pub(super) struct Loss {
    pub(super) mark: PowerLoss,
    pub(super) settings: Settings,
    pub(super) connection: Connection,
    pub(super) topics: Provisioned,
    /// The directory of the views.
    pub(super) views: PathBuf,
    /// The processor's instance.
    pub(super) instance: String,
}

impl Loss {
    /// Blocks until all is there again, which takes as long as an audit.
    ///
    /// # Errors
    /// Where the log is not whole afterwards, or Kafka does not answer. The mark of a failure that came meanwhile stays.
    pub(super) fn look_after(self) -> Result<()> {
        self.announce()?;
        self.begin_views_anew()?;
        let tools =
            Cluster { settings: self.settings.clone(), connection: self.connection.clone(), run: None, is_ours: true };
        let group = Group::of(&tools, self.topics.clone()).with_instance(self.instance.clone());
        group.end_what_is_open()?;
        if let Err(lost) = group.repair_safe_offsets()? {
            bail!(self.raw_is_not_whole(&lost));
        }
        let subject = Scope::over(&tools, self.topics.clone())?;
        let (emitted, counts) = emit_what_is_missing(&subject, &group)?;
        if counts.missing + counts.open > 0 {
            bail!(self.log_is_not_whole(&counts));
        }
        if !counts.ok {
            // What is written stays: one that was there before would stop every start from now on.
            tracing::warn!("nothing is missing, but `hooklog audit` finds {}", counts.damage_in_words());
        }
        group.all_is_verified()?;
        tracing::info!(emitted, "every record has its event: {} events of {} records", counts.events, counts.raw);
        if self.mark.settle()? == Settled::FailedAgain {
            tracing::warn!("Apache Kafka failed again while its log was checked: that is checked again");
        }
        Ok(())
    }

    fn announce(&self) -> Result<()> {
        let raw = &self.topics.raw;
        let ends = watermarks::all(&self.connection, &raw.name, raw.partitions, Isolation::Uncommitted)?;
        let records: i64 = ends.iter().map(|ends| ends.end.0 - ends.earliest.0).sum();
        let cause = self.mark.cause();
        tracing::warn!(
            "{cause}, so its topics may have lost different tails: {records} records of raw are compared with events before anything is served"
        );
        Ok(())
    }

    fn begin_views_anew(&self) -> Result<()> {
        let views = Projector::open(hooklog_projector::Config {
            connection: self.connection.clone(),
            events: self.topics.events.clone(),
            dir: self.views.clone(),
            registry: Registry::with_memory(STORE_MEMORY),
            rules: self.settings.rules.clone(),
        })?;
        if hold_anything(&views.status()?.partitions) {
            tracing::warn!("events may have lost records that the views hold: they are built anew from the log");
            views.begin_anew()?;
        }
        Ok(())
    }

    fn raw_is_not_whole(&self, lost: &[LostRaw]) -> String {
        let places: Vec<String> = lost.iter().map(|lost| format!("raw/{} at {}", lost.partition, lost.end)).collect();
        format!(
            "{}, and raw has lost acknowledged webhooks: it ends at {}, but the committed offsets, the store or `events` refer to \
             later records. {}",
            self.mark.cause(),
            places.join(", "),
            self.ways_out()
        )
    }

    fn log_is_not_whole(&self, counts: &Counts) -> String {
        format!("{}, and its log is not whole: {}. {}", self.mark.cause(), counts.damage_in_words(), self.ways_out())
    }

    fn ways_out(&self) -> String {
        format!(
            "This cannot be repaired from `events`, so hooklog does not start. Restore {} from a backup; or continue with what is left: look with \
             `hooklog audit` and `hooklog offsets repair`, which start the broker for themselves, then delete {} and start \
             again (docs/guide/operations.md, The power went)",
            self.settings.data_dir.join("broker/kafka").display(),
            self.mark.mark().display(),
        )
    }
}

/// A check that is begun again finds the views of the one before it, which hold nothing yet.
fn hold_anything(views: &[Reader]) -> bool {
    views.iter().any(|view| view.next > NextOffset::ZERO)
}

/// How many events that were, and what audit says afterwards.
fn emit_what_is_missing(subject: &Scope, group: &Group) -> Result<(u64, Counts)> {
    let mut named = 0;
    let repaired = repair::mend(subject, &group.fold, true, &mut |finding| {
        named += 1;
        if named <= NAMED {
            tracing::error!("{finding}");
        }
    })?;
    if repaired.emitted == 0 {
        return Ok((0, repaired.counts));
    }
    tracing::warn!(emitted = repaired.emitted, "events that were lost are there again; looking once more");
    Ok((repaired.emitted, examine(subject, &mut |_| {})?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hooklog_schemas::Partition;

    /// Where `events` ends is not asked: a repair may have appended as much as was lost.
    #[test]
    fn views_that_hold_anything_begin_anew_and_only_once() {
        let at = |next| Reader { partition: Partition(0), next: NextOffset(next), restoring: false, folded: 0 };
        assert!(hold_anything(&[at(0), at(1)]));
        assert!(!hold_anything(&[at(0), at(0)]), "they begin anew already");
    }
}
