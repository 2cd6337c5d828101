//! What a projector says of itself.

use std::collections::BTreeMap;

use hooklog_schemas::{NextOffset, Partition};
use serde::Serialize;

use crate::beginning::Incomplete;
use crate::error::Error;
use crate::fold::tally::Tally;
use crate::generations::Generation;
use crate::generations::rules_file::OnDisk;
use crate::projector::Parts;
use crate::rebuild::Building;
use crate::views::family::TALLIES;

/// Positions, rules and generations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    /// The generation that answers.
    pub generation: u64,
    /// The one before, if it is kept.
    pub previous: Option<u64>,
    /// The version of the rules that are answered by.
    pub rules: String,
    /// The rules on disk beside them.
    pub rules_on_disk: OnDisk,
    /// Each partition of `events`.
    pub partitions: Vec<Reader>,
    /// Records that were skipped, by reason; `not needed` is the harmless one.
    pub skipped: BTreeMap<String, i64>,
    /// What the views lack of `events`, since its beginning was deleted before they read it; empty where they hold all.
    pub incomplete: Vec<Incomplete>,
    /// The build that is going on.
    pub building: Option<Building>,
}

/// How far one partition is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Reader {
    /// The partition.
    pub partition: Partition,
    /// Up to where the views hold it.
    pub next: NextOffset,
    /// Whether what was committed at the start is still being read.
    pub restoring: bool,
    /// Records folded since the process started.
    pub folded: u64,
}

impl Status {
    /// What keeps the views from being ready, a sentence each.
    pub fn not_ready(&self) -> impl Iterator<Item = String> + '_ {
        let restoring = self.partitions.iter().filter(|reader| reader.restoring);
        restoring.map(|reader| {
            format!("views: partition {} is still read from events, it is at {}", reader.partition, reader.next)
        })
    }
}

impl Parts {
    pub(crate) fn status(&self) -> Result<Status, Error> {
        let live = self.generations.live();
        self.status_of(&live).inspect_err(|error| self.suspect(&live, error))
    }

    fn status_of(&self, live: &Generation) -> Result<Status, Error> {
        let plan = self.generations.plan();
        let standing = live.progress.all();
        let mut partitions = Vec::new();
        for partition in self.partitions() {
            let (next, restoring) = (live.applied(partition)?.next, live.is_restoring(partition));
            let folded = standing.get(&partition).map_or(0, |standing| standing.folded);
            partitions.push(Reader { partition, next, restoring, folded });
        }
        Ok(Status {
            generation: live.number,
            previous: plan.previous(),
            rules: live.rules.hash(),
            rules_on_disk: self.generations.rules_on_disk(),
            partitions,
            skipped: self.skipped(live)?,
            incomplete: live.incomplete(self.partitions())?,
            building: self.building.borrow().clone(),
        })
    }

    pub(crate) fn skipped(&self, live: &Generation) -> Result<BTreeMap<String, i64>, Error> {
        let mut all = BTreeMap::new();
        for partition in self.partitions() {
            let Some(bytes) = live.store.get(TALLIES, &partition.0.to_be_bytes())? else { continue };
            for (reason, count) in Tally::from_bytes(&bytes)?.0 {
                *all.entry(reason).or_default() += count.records;
            }
        }
        Ok(all)
    }
}
