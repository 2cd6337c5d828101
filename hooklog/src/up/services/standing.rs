//! How far the services are: for readiness, and for `hooklog status`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hooklog_processor::Conflicts;
use hooklog_projector::Projector;
use hooklog_projector::generations::rules_file::OnDisk;
use hooklog_schemas::Partition;
use hooklog_task::{Progress, progress as task};
use serde_json::{Map, Value, json};
use tokio::sync::watch::Receiver;

use crate::broker::State;

/// How long a processor may take to get its partitions before it counts as one that others leave none.
const ASSIGNED: Duration = Duration::from_secs(30);

/// What there is to ask; absent for a service that does not run here.
#[derive(Clone)]
pub(crate) struct ServiceStatus {
    pub(crate) ingest: Option<hooklog_ingest::Status>,
    pub(crate) processor: Option<Progress>,
    pub(crate) conflicts: Conflicts,
    pub(crate) projector: Option<Projector>,
    /// Of our own broker.
    pub(super) broker: Option<Receiver<State>>,
    pub(super) began: Instant,
}

impl ServiceStatus {
    /// Of a process whose services begin now.
    pub(super) fn beginning(broker: Option<Receiver<State>>) -> ServiceStatus {
        ServiceStatus {
            ingest: None,
            processor: None,
            conflicts: Conflicts::default(),
            projector: None,
            broker,
            began: Instant::now(),
        }
    }

    /// Why the process is not ready, a sentence each; asked at all times, not only at the start.
    pub(super) fn not_ready(&self) -> Vec<String> {
        let views = self.projector.as_ref().map(|projector| match projector.status() {
            Ok(status) => status.not_ready().collect(),
            Err(error) => vec![format!("views: {error}")],
        });
        views.into_iter().flatten().chain(self.others_not_ready()).collect()
    }

    /// As [`ServiceStatus::not_ready`], without the views, which tell of themselves.
    pub(super) fn others_not_ready(&self) -> Vec<String> {
        let broker = self.broker.as_ref().and_then(|states| not_running(&states.borrow()));
        let ingest = self.ingest.as_ref().and_then(hooklog_ingest::Status::why_not);
        let ingest = ingest.map(|why| format!("ingest: raw cannot be written to: {why}"));
        let processor = self.processor.as_ref().map(|progress| {
            let waiting = progress.waiting_for().map(|why| format!("processor: {why}"));
            let waited_long = self.began.elapsed() > ASSIGNED;
            waiting.into_iter().chain(not_processing(&progress.all(), &progress.stopped_for(), waited_long))
        });
        broker.into_iter().chain(ingest).chain(processor.into_iter().flatten()).collect()
    }

    /// As JSON, for the admin socket.
    ///
    /// # Errors
    /// The projector's, where its store cannot be read.
    pub(crate) fn report(&self) -> Result<Value, hooklog_projector::Error> {
        let mut report = Map::new();
        if let Some(progress) = &self.processor {
            report.insert("processor".to_owned(), processor(progress));
            report.insert("conflicts".to_owned(), conflicts(&self.conflicts));
        }
        if let Some(projector) = &self.projector {
            let status = projector.status()?;
            report.insert("generation".to_owned(), json!(status.generation));
            report.insert("previous".to_owned(), json!(status.previous));
            let changed = status.rules_on_disk != OnDisk::Same;
            let rules = json!({ "current": status.rules, "changed": changed, "on_disk": status.rules_on_disk });
            report.insert("rules".to_owned(), rules);
            let rows = status.partitions.iter().map(|reader| (reader.partition.to_string(), json!(reader)));
            report.insert("view".to_owned(), rows.collect());
            report.insert("incomplete".to_owned(), json!(status.incomplete));
            report.insert("skipped".to_owned(), json!(status.skipped));
            report.insert("building".to_owned(), json!(status.building));
        }
        Ok(Value::Object(report))
    }
}

fn not_running(state: &State) -> Option<String> {
    match state {
        State::Running { .. } => None,
        State::Restarting { why } | State::Unsound { why } => Some(format!("kafka: {why}")),
        State::GaveUp => Some("kafka: it died too often and is not started again".to_owned()),
    }
}

/// What keeps a processor from being ready. On a cluster others may own all partitions: then `waited_long` is enough.
fn not_processing(
    all: &BTreeMap<Partition, task::PartitionProgress>,
    stopped: &BTreeMap<Partition, String>,
    waited_long: bool,
) -> Vec<String> {
    if all.is_empty() && stopped.is_empty() && !waited_long {
        return vec!["processor: it has no partitions yet".to_owned()];
    }
    let restoring = all.iter().filter(|(partition, at)| at.restoring && !stopped.contains_key(partition));
    let restoring = restoring.map(|(partition, at)| {
        format!("processor: partition {partition} is being restored, it is at {} of {}", at.next, at.until)
    });
    let stopped = stopped.iter().map(|(partition, why)| format!("processor: partition {partition} has stopped: {why}"));
    restoring.chain(stopped).collect()
}

fn processor(progress: &Progress) -> Value {
    let stopped = progress.stopped_for();
    let row = |(partition, at): (Partition, task::PartitionProgress)| {
        let row = json!({ "next": at.next, "restoring": at.restoring, "stopped": stopped.get(&partition), "folded": at.folded, "emitted": at.emitted });
        (partition.to_string(), row)
    };
    progress.all().into_iter().map(row).collect()
}

/// What came again with another content since the process started; the last ones by their places.
fn conflicts(conflicts: &Conflicts) -> Value {
    // First: where none waits, all that came before is among what is read after it.
    let waiting = conflicts.waiting();
    let last = conflicts.last().into_iter();
    let last: Vec<Value> =
        last.map(|one| json!({ "first": one.first.to_string(), "again": one.again.to_string() })).collect();
    json!({ "found": conflicts.found(), "unchecked": conflicts.unchecked(), "waiting": waiting, "last": last })
}

#[cfg(test)]
mod tests {
    use super::*;
    use hooklog_schemas::NextOffset;

    const A: Partition = Partition(0);
    const B: Partition = Partition(1);

    fn at(restoring: bool) -> task::PartitionProgress {
        let (next, until) = (NextOffset(3), NextOffset(7));
        task::PartitionProgress { next, until, end: None, restoring, folded: 0, emitted: 0 }
    }

    fn reasons(all: &[(Partition, bool)], stopped: &[(Partition, &str)], waited_long: bool) -> Vec<String> {
        let all = all.iter().map(|(partition, restoring)| (*partition, at(*restoring))).collect();
        let stopped = stopped.iter().map(|(partition, why)| (*partition, (*why).to_owned())).collect();
        not_processing(&all, &stopped, waited_long)
    }

    #[test]
    fn a_processor_is_ready_once_it_has_partitions_and_none_is_restored_or_stopped() {
        assert_eq!(reasons(&[(A, false), (B, false)], &[], false), Vec::<String>::new());
        assert_eq!(reasons(&[], &[], false).len(), 1);
        assert_eq!(reasons(&[], &[], true), Vec::<String>::new(), "others may own all of them");
    }

    #[test]
    fn each_partition_that_is_restored_or_stopped_is_named_with_why() {
        let told = reasons(&[(A, true), (B, false)], &[(B, "a gap")], true);
        assert_eq!(told.len(), 2);
        assert!(told[0].contains("partition 0") && told[0].contains("3 of 7"), "{told:?}");
        assert!(told[1].contains("partition 1") && told[1].contains("a gap"), "{told:?}");
    }

    #[test]
    fn a_broker_that_does_not_run_says_why() {
        assert_eq!(not_running(&State::Running { pid: 1 }), None);
        for state in [State::Restarting { why: "x".into() }, State::Unsound { why: "x".into() }] {
            assert_eq!(not_running(&state).as_deref(), Some("kafka: x"));
        }
        assert!(not_running(&State::GaveUp).is_some());
    }
}
