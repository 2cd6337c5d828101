//! Which outputs are committed, as a reader of committed records finds them.

use std::collections::{BTreeMap, BTreeSet};

use hooklog_log::connection::Connection;
use hooklog_log::provision::Pinned;
use hooklog_log::reader::OffsetRange;
use hooklog_log::watermarks::Watermarks;
use hooklog_schemas::{NextOffset, Partition};
use hooklog_store::Verified;
use tokio_util::sync::CancellationToken;

use super::outputs::{Named, each_output};
use crate::error::Error;
use crate::owed::Present;
use crate::rewritten::Origin;

/// How much of an output partition is read at first, from its end backwards; twice as much each time that was not enough.
const FIRST_CHUNK: i64 = 4096;
/// Farther back than this the outputs since the last verification are not read one by one.
const FAR: i64 = 2_000_000;

/// What was found of one input partition.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) present: Present,
    /// The output of the latest record that has one.
    pub(super) latest: Option<Origin>,
    /// From here on outputs may be missing; before it all are there.
    pub(super) complete_before: NextOffset,
    /// Another log that outputs name, where none names ours.
    pub(super) other_log: Option<String>,
}

impl Default for Found {
    fn default() -> Found {
        Found { present: Present::default(), latest: None, complete_before: NextOffset::ZERO, other_log: None }
    }
}

/// What is asked about one input partition.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    /// Up to where it is verified, if it ever was.
    pub(super) verified: Option<Verified>,
    /// The first record that is left of it.
    pub(super) earliest: NextOffset,
}

/// The output topic, whose part up to `ends` is decided.
pub(super) struct Outputs<'o> {
    pub(super) connection: &'o Connection,
    pub(super) topic: &'o Pinned,
    pub(super) ends: &'o [Watermarks],
    /// The log that the outputs must name.
    pub(super) log: &'o str,
    pub(super) stop: &'o CancellationToken,
}

impl Outputs<'_> {
    /// Finds the outputs of each of `wanted`: those since it was last verified, one by one; where it never was, or too long
    /// ago, the highest in each output partition, which by I9 tells of all before. `wanted` also says where each input begins.
    pub(super) fn find(&self, wanted: &BTreeMap<Partition, Wanted>) -> Result<BTreeMap<Partition, Found>, Error> {
        let usable = |(partition, wanted): (&Partition, &Wanted)| {
            Some((*partition, wanted.verified.clone().filter(|verified| self.tells_where_to_begin(verified))?))
        };
        let since: BTreeMap<Partition, Verified> = wanted.iter().filter_map(usable).collect();
        let whole: BTreeSet<Partition> = wanted.keys().filter(|p| !since.contains_key(p)).copied().collect();
        let mut found: BTreeMap<_, _> = wanted.keys().map(|partition| (*partition, Found::default())).collect();
        let mut other_log = None;
        for (output, ends) in (0..).map(Partition).zip(self.ends) {
            self.forwards(output, *ends, &since, &mut found)?;
            self.backwards(output, *ends, &whole, &mut found, &mut other_log)?;
        }
        for (partition, found) in &mut found {
            let is_whole = whole.contains(partition);
            found.complete_before = match since.get(partition) {
                Some(verified) => verified.next,
                None => found.present.complete_before(self.topic.partitions, wanted[partition].earliest),
            };
            found.other_log = other_log.clone().filter(|_| is_whole && found.present.highest().is_none());
        }
        Ok(found)
    }

    /// Not where the topic has lost its tail, nor where so much came since.
    fn tells_where_to_begin(&self, verified: &Verified) -> bool {
        let pairs = || verified.outputs.iter().zip(self.ends);
        let records: i64 = pairs().map(|(from, ends)| ends.end.0 - from.0).sum();
        let is_there = verified.outputs.len() == self.ends.len() && pairs().all(|(from, ends)| *from <= ends.end);
        is_there && records <= FAR
    }

    fn forwards(
        &self,
        output: Partition,
        ends: Watermarks,
        since: &BTreeMap<Partition, Verified>,
        found: &mut BTreeMap<Partition, Found>,
    ) -> Result<(), Error> {
        let begin = |verified: &Verified| verified.outputs[usize::try_from(output.0).expect("partitions count from 0")];
        let Some(from) = since.values().map(begin).min() else { return Ok(()) };
        self.read(output, from.max(ends.earliest), ends.end, |named| {
            if let Named::Ours { position, time, .. } = named
                && since.contains_key(&position.partition)
            {
                let found = found.entry(position.partition).or_default();
                found.present.note(output, position.offset);
                found.latest = found.latest.max(Some(Origin { offset: position.offset, time }));
            }
        })?;
        let is_cut = |verified: &Verified| begin(verified) < ends.earliest;
        let cut = since.iter().filter(|(_, verified)| is_cut(verified)).map(|(partition, _)| *partition);
        cut.for_each(|partition| found.entry(partition).or_default().present.is_cut_off(output));
        Ok(())
    }

    fn backwards(
        &self,
        output: Partition,
        ends: Watermarks,
        whole: &BTreeSet<Partition>,
        found: &mut BTreeMap<Partition, Found>,
        other_log: &mut Option<String>,
    ) -> Result<(), Error> {
        let (mut to, mut size, mut met) = (ends.end, FIRST_CHUNK, BTreeSet::new());
        while to > ends.earliest && !whole.is_subset(&met) {
            let from = NextOffset((to.0 - size).max(ends.earliest.0));
            self.read(output, from, to, |named| match named {
                Named::Ours { position, time, is_repaired, .. } if whole.contains(&position.partition) => {
                    let found = found.entry(position.partition).or_default();
                    found.present.note_all_up_to(output, position.offset);
                    found.latest = found.latest.max(Some(Origin { offset: position.offset, time }));
                    // What `hooklog repair` emitted stands behind outputs of later records: it counts, and ends no search.
                    if !is_repaired {
                        met.insert(position.partition);
                    }
                }
                Named::OfAnotherLog(log) => *other_log = Some(log.to_owned()),
                Named::Ours { .. } | Named::Nothing => {}
            })?;
            (to, size) = (from, size * 2);
        }
        if ends.earliest > NextOffset::ZERO {
            let unmet = whole.difference(&met);
            unmet.for_each(|partition| found.entry(*partition).or_default().present.is_cut_off(output));
        }
        Ok(())
    }

    fn read(
        &self,
        output: Partition,
        from: NextOffset,
        to: NextOffset,
        take: impl FnMut(Named<'_>),
    ) -> Result<(), Error> {
        let span = OffsetRange { topic: self.topic.name.clone(), partition: output, from, to };
        if from >= to { Ok(()) } else { each_output(self.connection, span, self.log, self.stop, take) }
    }
}
