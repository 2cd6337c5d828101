//! The metrics of the views: names and labels that dashboards and alarms rest on. The binary says where they go. No label holds an
//! id: their number is bounded by partitions, routes, statuses and reasons of ours.

use std::collections::BTreeMap;
use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::Response;
use hooklog_schemas::Partition;
use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

use crate::error::Error;
use crate::generations::Generation;
use crate::projector::Parts;
use crate::rebuild::{Building, Rebuilt};

/// Counter, label [`PARTITION`]: records of `events` that were folded into the views.
pub const RECORDS: &str = "hooklog_projector_records_total";
/// Gauge, label [`PARTITION`]: the next offset that is not in the views.
pub const POSITION: &str = "hooklog_projector_position";
/// Gauge, label [`PARTITION`]: how far that is from the end of the log, markers of transactions included; 0 at rest.
pub const LAG: &str = "hooklog_projector_lag";
/// Gauge, label [`PARTITION`]: 1 while it is being restored, so that questions about it get 503.
pub const RESTORING: &str = "hooklog_projector_restoring";
/// Gauge: the generation that answers.
pub const GENERATION: &str = "hooklog_projector_generation";
/// Gauge, label [`REASON`]: records that changed nothing in these views; `not needed` is the harmless one.
pub const SKIPPED: &str = "hooklog_projector_skipped_records";
/// Gauge: 1 while a generation is being built.
pub const REBUILDING: &str = "hooklog_projector_rebuilding";
/// Gauge: the positions of the build, added up over partitions.
pub const REBUILD_DONE: &str = "hooklog_projector_rebuild_done";
/// Gauge: where they must come to.
pub const REBUILD_TOTAL: &str = "hooklog_projector_rebuild_total";
/// Counter, label [`OUTCOME`]: rebuilds that were asked for.
pub const REBUILDS: &str = "hooklog_projector_rebuilds_total";
/// Counter: generations that were damaged and are built anew.
pub const DAMAGED: &str = "hooklog_projector_damaged_total";
/// Counter, labels [`ROUTE`] and [`STATUS`]: answered questions.
pub const QUERIES: &str = "hooklog_query_answers_total";
/// Histogram in seconds, label [`ROUTE`]: from the question to its answer.
pub const QUERY_SECONDS: &str = "hooklog_query_seconds";

/// Label: the number of a partition of `events`.
pub const PARTITION: &str = "partition";
/// Label: why.
pub const REASON: &str = "reason";
/// Label of [`REBUILDS`]: `same`, `different`, `refused` (bad rules, or one is going on), `failed`.
pub const OUTCOME: &str = "outcome";
/// Label: the route with its placeholders, or [`UNKNOWN_ROUTE`].
pub const ROUTE: &str = "route";
/// Label: the HTTP status.
pub const STATUS: &str = "status";
/// The route of a path that there is not. Clients choose paths, so they must not choose labels.
pub const UNKNOWN_ROUTE: &str = "(unknown)";

/// Tells the installed recorder what each metric is. Harmless to repeat.
pub fn describe() {
    describe_counter!(RECORDS, Unit::Count, "Records of `events` folded into the views, by partition");
    describe_gauge!(POSITION, Unit::Count, "The next offset that is not in the views, by partition");
    describe_gauge!(LAG, Unit::Count, "From that to the end of the log, by partition");
    describe_gauge!(RESTORING, Unit::Count, "1 while a partition is being restored, by partition");
    describe_gauge!(GENERATION, Unit::Count, "The generation of the views that answers");
    describe_gauge!(SKIPPED, Unit::Count, "Records that changed nothing in these views, by reason");
    describe_gauge!(REBUILDING, Unit::Count, "1 while a generation of the views is being built");
    describe_gauge!(REBUILD_DONE, Unit::Count, "Offsets that the build has read");
    describe_gauge!(REBUILD_TOTAL, Unit::Count, "Offsets that the build has to read");
    describe_counter!(REBUILDS, Unit::Count, "Rebuilds that were asked for, by outcome");
    describe_counter!(DAMAGED, Unit::Count, "Generations that were damaged and are built anew");
    describe_counter!(QUERIES, Unit::Count, "Answered questions, by route and status");
    describe_histogram!(QUERY_SECONDS, Unit::Seconds, "From a question to its answer, by route");
}

/// Counts an answer and how long it took.
pub(crate) async fn answered(question: Request, next: Next) -> Response {
    let route = question.extensions().get::<MatchedPath>().map_or(UNKNOWN_ROUTE, MatchedPath::as_str).to_owned();
    let began = Instant::now();
    let answer = next.run(question).await;
    counter!(QUERIES, ROUTE => route.clone(), STATUS => answer.status().as_u16().to_string()).increment(1);
    histogram!(QUERY_SECONDS, ROUTE => route).record(began.elapsed().as_secs_f64());
    answer
}

/// Counts a rebuild.
pub(crate) fn rebuilt(outcome: &Result<Rebuilt, Error>) {
    let outcome = match outcome {
        Ok(rebuilt) if rebuilt.same => "same",
        Ok(_) => "different",
        Err(Error::Building | Error::Rules { .. }) => "refused",
        Err(_) => "failed",
    };
    counter!(REBUILDS, OUTCOME => outcome).increment(1);
}

/// Looks at where everything stands, once in a while.
#[derive(Debug, Default)]
pub(crate) struct Sampler {
    /// Records that are counted already, of the generation with this number.
    generation: u64,
    counted: BTreeMap<Partition, u64>,
}

impl Sampler {
    pub(crate) fn sample(&mut self, parts: &Parts) {
        let live = parts.generations.live();
        gauge!(GENERATION).set(live.number as f64);
        for partition in parts.partitions() {
            gauge!(RESTORING, PARTITION => partition.to_string()).set(flag(live.is_restoring(partition)));
        }
        self.positions(&live);
        // Where the store cannot be read the reader finds out as well.
        for (reason, records) in parts.skipped(&live).unwrap_or_default() {
            gauge!(SKIPPED, REASON => reason).set(records as f64);
        }
        build(parts.building.borrow().as_ref());
    }

    fn positions(&mut self, live: &Generation) {
        if self.generation != live.number {
            *self = Self { generation: live.number, ..Self::default() };
        }
        for (partition, at) in live.progress.all() {
            let label = partition.to_string();
            gauge!(POSITION, PARTITION => label.clone()).set(at.next.0 as f64);
            if let Some(end) = at.end {
                gauge!(LAG, PARTITION => label.clone()).set((end.0 - at.next.0).max(0) as f64);
            }
            let counted = self.counted.insert(partition, at.folded).unwrap_or(0);
            counter!(RECORDS, PARTITION => label).increment(at.folded.saturating_sub(counted));
        }
    }
}

fn build(building: Option<&Building>) {
    let sum = |of: fn(&crate::rebuild::Reading) -> i64| {
        building.map_or(0, |building| building.partitions.iter().map(of).sum::<i64>()) as f64
    };
    gauge!(REBUILDING).set(flag(building.is_some()));
    gauge!(REBUILD_DONE).set(sum(|reading| reading.done.0));
    gauge!(REBUILD_TOTAL).set(sum(|reading| reading.total.0));
}

fn flag(is_so: bool) -> f64 {
    f64::from(u8::from(is_so))
}
