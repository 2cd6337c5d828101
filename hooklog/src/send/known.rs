//! What the log held already: acknowledged bodies of this run that say something else than an earlier record of their id. Only
//! the processor can tell, a moment later, and only one that runs on the data directory can be asked.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use hooklog_schemas::RawPosition;
use serde_json::Value;

use super::conflicts::NAMED;
use crate::admin;

/// How long the processor is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(50);
/// So many places are remembered; a larger file is compared with the log by `hooklog audit`.
const AT_MOST: usize = 100_000;

/// Where the bodies of this run stand in `raw`, and their ids.
#[derive(Clone, Debug, Default)]
pub(super) struct Places(BTreeMap<RawPosition, String>);

/// A body of this run, and the record that it contradicts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) id: String,
    pub(super) first: RawPosition,
    pub(super) again: RawPosition,
}

impl Places {
    /// Takes what ingest answered.
    pub(super) fn note(&mut self, id: &[u8], answer: &str) {
        let answer: Value = serde_json::from_str(answer).unwrap_or_default();
        let place = answer["position"].as_str().and_then(|text| text.parse().ok());
        if let (Some(place), true) = (place, self.0.len() < AT_MOST) {
            self.0.insert(place, String::from_utf8_lossy(id).into_owned());
        }
    }

    /// Waits until the processor of `data_dir` has them all; nothing where nobody can tell.
    pub(super) fn known(&self, data_dir: &Path) -> Option<Vec<Known>> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let status = admin::home(data_dir).and_then(|home| Ok(admin::status(&home)?.accepted()?)).ok()?;
            if self.are_processed(&status)? {
                return Some(self.contradicted(&status["conflicts"]["last"]));
            }
            std::thread::sleep(PAUSE);
        }
        None
    }

    /// Whether all are processed and compared; nothing where no processor runs there.
    fn are_processed(&self, status: &Value) -> Option<bool> {
        let (processor, waiting) = (status["processor"].as_object()?, status["conflicts"]["waiting"].as_u64()?);
        let has = |place: &RawPosition| {
            let next = processor.get(&place.partition.to_string()).and_then(|one| one["next"].as_i64());
            next.is_some_and(|next| next > place.offset.0)
        };
        Some(waiting == 0 && self.0.keys().all(has))
    }

    /// Those of `last` that are ours, and whose first record is not: what the run itself holds twice is told already.
    fn contradicted(&self, last: &Value) -> Vec<Known> {
        let place = |value: &Value| value.as_str().and_then(|text| text.parse().ok());
        let known = |one: &Value| {
            let (first, again) = (place(&one["first"])?, place(&one["again"])?);
            let id = self.0.get(&again).filter(|_| !self.0.contains_key(&first))?;
            Some(Known { id: id.clone(), first, again })
        };
        last.as_array().into_iter().flatten().filter_map(known).collect()
    }
}

/// A line for each, and a number for those that are too many.
pub(super) fn lines(known: &[Known]) -> Vec<String> {
    let line = |one: &Known| {
        let Known { id, first, again } = one;
        format!("{id}: {again} says something else than {first}, which was there before and stays")
    };
    let more = known.len().saturating_sub(NAMED);
    known.iter().take(NAMED).map(line).chain((more > 0).then(|| format!("and {more} more"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn places() -> Places {
        let mut places = Places::default();
        places.note(b"evt_1", r#"{"id":"evt_1","position":"raw/0/7"}"#);
        places.note(b"evt_1", r#"{"id":"evt_1","position":"raw/0/8"}"#);
        places.note(b"evt_2", r#"{"id":"evt_2","position":"raw/1/3"}"#);
        places.note(b"evt_3", "no json");
        places
    }

    #[test]
    fn all_are_processed_once_every_partition_is_past_them_and_none_waits() {
        let status = |next: i64, waiting: u64| json!({ "processor": { "0": { "next": next }, "1": { "next": 4 } }, "conflicts": { "waiting": waiting } });
        let processed = |status: &Value| places().are_processed(status);
        assert_eq!(
            [status(8, 0), status(9, 1), status(9, 0)].map(|status| processed(&status)),
            [Some(false), Some(false), Some(true)]
        );
        assert_eq!(processed(&json!({ "view": {} })), None, "a projector alone");
    }

    #[test]
    fn only_what_contradicts_an_earlier_record_of_the_log_is_told() {
        let last = json!([
            { "first": "raw/0/2", "again": "raw/0/7" },
            { "first": "raw/0/7", "again": "raw/0/8" },
            { "first": "raw/1/1", "again": "raw/1/2" },
        ]);
        let [known] = &places().contradicted(&last)[..] else { panic!("one of them") };
        assert_eq!((known.id.as_str(), known.first.to_string()), ("evt_1", "raw/0/2".to_owned()));
        assert_eq!(lines(&vec![known.clone(); 12]).len(), 11);
    }
}
