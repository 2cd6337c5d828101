//! The metrics of tasks: names and labels that dashboards and alarms rest on. The binary says where they go.

use std::time::Duration;

use hooklog_schemas::Partition;
use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

/// Counter, labels [`TASK`] and [`PARTITION`]: records folded into the store.
pub const FOLDED: &str = "hooklog_task_folded_total";
/// Counter, labels [`TASK`] and [`PARTITION`]: records that were emitted and committed.
pub const EMITTED: &str = "hooklog_task_emitted_total";
/// Counter, labels [`TASK`] and [`PARTITION`]: records that emitted nothing; the processor's duplicates.
pub const SILENT: &str = "hooklog_task_silent_total";
/// Gauge, labels [`TASK`] and [`PARTITION`]: the next offset of the input; beside the log's end it gives the lag.
pub const NEXT_OFFSET: &str = "hooklog_task_next_offset";
/// Gauge, labels [`TASK`] and [`PARTITION`]: the next offset up to which all outputs are known to be committed for good.
pub const VERIFIED_OFFSET: &str = "hooklog_task_verified_offset";
/// Gauge, labels [`TASK`] and [`PARTITION`]: 1 while the partition is brought up to where it stood.
pub const RESTORING: &str = "hooklog_task_restoring";
/// Gauge, labels [`TASK`] and [`PARTITION`]: 1 while the partition is stopped by a fault of its own.
pub const STOPPED: &str = "hooklog_task_stopped";
/// Counter, labels [`TASK`] and [`OUTCOME`]: transactions.
pub const TRANSACTIONS: &str = "hooklog_task_transactions_total";
/// Histogram in seconds, label [`TASK`]: from sending the offsets to the commit that is known.
pub const COMMIT_SECONDS: &str = "hooklog_task_commit_seconds";
/// Counter, label [`TASK`]: producers that were renewed, since the outcome of a transaction was unknown.
pub const RENEWALS: &str = "hooklog_task_producer_renewals_total";
/// Counter, label [`TASK`]: outputs of acknowledged commits that Kafka had lost, and that were emitted again.
pub const REEMITTED: &str = "hooklog_task_reemitted_total";
/// Counter, label [`TASK`]: times that a transaction was found open where none could be, and was ended.
pub const HANGING: &str = "hooklog_task_hanging_transactions_total";

/// Label: `processor` or `projector`.
pub const TASK: &str = "task";
/// Label: the input's partition.
pub const PARTITION: &str = "partition";
/// Label: [`COMMITTED`], [`ABORTED`] or [`UNKNOWN`].
pub const OUTCOME: &str = "outcome";
/// Outputs and offsets count.
pub const COMMITTED: &str = "committed";
/// Nothing counts; the records are folded again.
pub const ABORTED: &str = "aborted";
/// The committed offset tells, once a new producer has ended what was open.
pub const UNKNOWN: &str = "unknown";

/// Tells the installed recorder what each metric is. Harmless to repeat.
pub fn describe() {
    describe_counter!(FOLDED, Unit::Count, "Records folded into the store, by task and partition of its input");
    describe_counter!(EMITTED, Unit::Count, "Records emitted and committed, by task and partition of its input");
    describe_counter!(SILENT, Unit::Count, "Records that emitted nothing: the processor's duplicates");
    describe_gauge!(NEXT_OFFSET, Unit::Count, "The next offset of the input, by task and partition");
    describe_gauge!(VERIFIED_OFFSET, Unit::Count, "Up to where all outputs are known to be committed for good");
    describe_gauge!(RESTORING, Unit::Count, "1 while the partition is brought up to where it stood");
    describe_gauge!(STOPPED, Unit::Count, "1 while the partition is stopped by a fault of its own; the log says which");
    describe_counter!(TRANSACTIONS, Unit::Count, "Transactions, by task and outcome");
    describe_histogram!(COMMIT_SECONDS, Unit::Seconds, "From sending the offsets to the commit that is known");
    describe_counter!(RENEWALS, Unit::Count, "Producers renewed since the outcome of a transaction was unknown");
    describe_counter!(REEMITTED, Unit::Count, "Outputs of acknowledged commits that Kafka had lost, emitted again");
    describe_counter!(HANGING, Unit::Count, "Times that a transaction was found hanging and was ended");
}

pub(crate) fn committed(task: &'static str, took: Duration) {
    ended(task, COMMITTED);
    histogram!(COMMIT_SECONDS, TASK => task).record(took.as_secs_f64());
}

pub(crate) fn ended(task: &'static str, outcome: &'static str) {
    counter!(TRANSACTIONS, TASK => task, OUTCOME => outcome).increment(1);
}

pub(crate) fn renewed(task: &'static str) {
    counter!(RENEWALS, TASK => task).increment(1);
}

pub(crate) fn reemitted(task: &'static str, outputs: u64) {
    counter!(REEMITTED, TASK => task).increment(outputs);
}

pub(crate) fn hanging(task: &'static str) {
    counter!(HANGING, TASK => task).increment(1);
}

/// `folded` records of a partition are in the store, and so many came of them; nothing for a task without outputs.
pub(crate) fn reached(task: &'static str, partition: Partition, next: i64, folded: u64, emitted: Option<u64>) {
    let of = |name: &'static str| counter!(name, TASK => task, PARTITION => partition.to_string());
    of(FOLDED).increment(folded);
    if let Some(emitted) = emitted {
        of(EMITTED).increment(emitted);
        // A fold that emits more than one record for each has no silent ones to tell of.
        of(SILENT).increment(folded.saturating_sub(emitted));
    }
    set(task, NEXT_OFFSET, partition, next);
}

/// Sets a gauge of a partition.
pub(crate) fn set(task: &'static str, name: &'static str, partition: Partition, value: i64) {
    gauge!(name, TASK => task, PARTITION => partition.to_string()).set(value as f64);
}
