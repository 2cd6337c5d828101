//! How far the services are: for readiness, and for `hooklog status`.

use hooklog_processor::Conflicts;
use hooklog_projector::Projector;
use hooklog_projector::generations::rules_file::OnDisk;
use hooklog_schemas::Partition;
use hooklog_task::Progress;
use serde_json::{Map, Value, json};

/// What there is to ask; absent for a service that does not run here.
#[derive(Clone, Default)]
pub(crate) struct Standing {
    pub(crate) processor: Option<Progress>,
    pub(crate) conflicts: Conflicts,
    pub(crate) projector: Option<Projector>,
}

impl Standing {
    /// Whether what was there before the start is there again. On a cluster others may own all partitions: then
    /// `waited_long` is enough.
    pub(super) fn is_up(&self, waited_long: bool) -> bool {
        let processor = self
            .processor
            .as_ref()
            .is_none_or(|progress| progress.is_ready() || waited_long && progress.all().is_empty());
        let views = self.projector.as_ref().is_none_or(|projector| {
            projector.status().is_ok_and(|status| status.partitions.iter().all(|reader| !reader.restoring))
        });
        processor && views
    }

    /// How far what is not up has come, in words.
    pub(super) fn how_far(&self) -> String {
        let processor = self.processor.as_ref().map(|progress| {
            let all = progress.all();
            let done = all.values().filter(|at| !at.restoring).count();
            format!("the processor has {done} partitions of {}", all.len())
        });
        let views = self.projector.as_ref().and_then(|projector| projector.status().ok()).map(|status| {
            let done = status.partitions.iter().filter(|reader| !reader.restoring).count();
            format!("the views have {done} partitions of {}", status.partitions.len())
        });
        processor.into_iter().chain(views).collect::<Vec<_>>().join(", ")
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
            report.insert("skipped".to_owned(), json!(status.skipped));
            report.insert("building".to_owned(), json!(status.building));
        }
        Ok(Value::Object(report))
    }
}

fn processor(progress: &Progress) -> Value {
    let stopped = progress.stopped_for();
    let row = |(partition, at): (Partition, hooklog_task::progress::Standing)| {
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
