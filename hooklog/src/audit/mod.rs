//! `hooklog audit`: proves or disproves from the log alone that `events` is what `raw` says it must be.
//!
//! Rows of a fixed size about every record of `raw` and of `events` are sorted on disk and merged, so that memory does not
//! grow with the log but for one bit a record. The judgement shares nothing with the processor but the contract.
//!
//! | room | what is there |
//! |---|---|
//! | [`args`] | the flags |
//! | [`extent`] | how far each partition is judged: N first, then what had become visible by then |
//! | [`shown`] | what truncation and open transactions leave to be seen of `events`: pure |
//! | [`fingerprint`] | what an event has to be like by its record in `raw`, and what it is like, as fingerprints |
//! | [`rows`] | what is kept of a record between the passes |
//! | [`runs`] | sorting on disk |
//! | [`passes`] | what is read of Kafka, into rows |
//! | [`window`] | which record repeats another: pure |
//! | [`again`] | which event repeats one whose record is gone: pure |
//! | [`conflicts`] | which repeat says something else than the record that it repeats: pure |
//! | [`matching`] | what has an event and what has none: pure |
//! | [`lacking`] | which of those that have none are missing: pure |
//! | [`counts`] | the figures, and whether they are those of a log that is whole |
//! | [`examine`] | one pass after the other, and the judgement of each partition |
//! | [`report`] | the table, the details, the line of JSON |

mod again;
mod args;
mod conflicts;
mod counts;
mod examine;
mod extent;
mod fingerprint;
mod lacking;
mod matching;
mod passes;
mod report;
mod rows;
mod runs;
mod shown;
#[cfg(test)]
mod tests;
mod window;

use std::process::ExitCode;

use anyhow::Result;

use crate::cluster::Cluster;
use crate::inspect::ignore_broken_pipe;
use crate::settings::Common;

pub(crate) use args::Args;
pub(crate) use counts::Counts;
pub(crate) use examine::{Limits, Scope, examine};
pub(crate) use matching::{Finding, Kind};

/// The answer is no.
pub(crate) const NO: u8 = 1;

/// Runs the command to its end.
pub(crate) fn run(args: &Args, common: &Common) -> Result<ExitCode> {
    let mut details = report::Details::with_at_most(args.details);
    let counts = Cluster::visit(common, |cluster| {
        let subject = Scope::of(cluster)?.within(args.limits());
        let waited = args.wait.then(|| extent::wait(&subject, args.timeout())).transpose()?;
        let mut counts = examine(&subject, &mut |finding| details.note(finding))?;
        // Somebody who asked to wait asked about everything.
        counts.ok &= waited.is_none() || counts.in_flight == 0;
        Ok(counts)
    })?;
    // Who has seen enough of the table still gets the answer.
    ignore_broken_pipe(report::tell(&counts, &details, common.json))?;
    Ok(if counts.ok { ExitCode::SUCCESS } else { ExitCode::from(NO) })
}
