//! Whether a topic that is there fits what is wanted: pure, a sentence for each thing that does not.

use std::collections::BTreeMap;

use hooklog_schemas::ids::Span;

use super::wanted::{Role, Wanted};

/// Raw must reach back past the window by two of the store's buckets, for a store that is restored from it.
const MARGIN: Span = Span::days(10);

/// A topic as it is.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) partitions: u32,
    pub(super) settings: BTreeMap<String, String>,
}

/// What keeps us from going on, and what should merely be known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) contradictions: Vec<String>,
    pub(super) warnings: Vec<String>,
}

impl Verdict {
    pub(super) fn join(&mut self, other: Verdict) {
        self.contradictions.extend(other.contradictions);
        self.warnings.extend(other.warnings);
    }
}

pub(super) fn judge(wanted: &Wanted, pinned: u32, found: &Found, window: Span) -> Verdict {
    let mut verdict = partitions(wanted, pinned, found.partitions);
    for (name, value) in &wanted.settings {
        let is = found.settings.get(*name).map_or("", String::as_str);
        if is != value {
            verdict.join(setting(wanted, name, value, is, window));
        }
    }
    verdict
}

fn partitions(wanted: &Wanted, pinned: u32, found: u32) -> Verdict {
    let name = &wanted.name;
    match found.cmp(&pinned) {
        std::cmp::Ordering::Equal => Verdict::default(),
        std::cmp::Ordering::Less => no(format!(
            "{name} has {found} partitions, but {pinned} are pinned: it was made anew with fewer; restore it or use another --prefix"
        )),
        std::cmp::Ordering::Greater => but(format!(
            "{name} has {found} partitions, of which the first {pinned} are used: the count is pinned, so that no key moves"
        )),
    }
}

fn setting(wanted: &Wanted, name: &str, value: &str, is: &str, window: Span) -> Verdict {
    let topic = &wanted.name;
    let sentence = format!(
        "{topic} has {name}={is}, wanted is {value}: kafka-configs --alter --topic {topic} --add-config {name}={value}"
    );
    match name {
        "message.timestamp.type" | "cleanup.policy" => no(sentence),
        "max.message.bytes" if number(is) < number(value) => no(sentence),
        "retention.ms" if wanted.role == Role::Raw && short(is, window) => {
            no(format!("{sentence} (at least {} ms: the window of duplicates and a margin)", window.0 + MARGIN.0))
        }
        "retention.bytes" if wanted.role == Role::Raw && number(is) >= 0 => no(format!(
            "{sentence} (records younger than the window of duplicates could be deleted, and their repeats would be emitted again)"
        )),
        "retention.ms" | "retention.bytes" => but(format!("{sentence} (what expires can never be replayed)")),
        "unclean.leader.election.enable" if is == "true" => no(format!("{sentence} (it can lose acknowledged events)")),
        "min.insync.replicas" if number(is) < number(value) => but(sentence),
        "message.timestamp.after.max.ms" if number(is) < 86_400_000 => but(sentence),
        _ => Verdict::default(),
    }
}

fn short(retention: &str, window: Span) -> bool {
    (0..window.0 + MARGIN.0).contains(&number(retention))
}

fn number(text: &str) -> i64 {
    text.parse().unwrap_or(0)
}

fn no(sentence: String) -> Verdict {
    Verdict { contradictions: vec![sentence], warnings: vec![] }
}

fn but(sentence: String) -> Verdict {
    Verdict { contradictions: vec![], warnings: vec![sentence] }
}

#[cfg(test)]
mod tests {
    use super::super::{Needs, wanted};
    use super::*;
    use crate::Topics;

    const WINDOW: Span = Span::days(35);

    fn raw() -> (Wanted, Found) {
        let needs = Needs { topics: Topics::default(), partitions: 4, window: WINDOW };
        let wanted = wanted::topics(&needs, 1).remove(0);
        let settings = wanted.settings.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        (wanted, Found { partitions: 4, settings })
    }

    #[track_caller]
    fn check(change: impl Fn(&mut Found), contradictions: usize, warnings: usize) {
        let (wanted, mut found) = raw();
        change(&mut found);
        let verdict = judge(&wanted, 4, &found, WINDOW);
        assert_eq!((verdict.contradictions.len(), verdict.warnings.len()), (contradictions, warnings), "{verdict:?}");
    }

    fn set(name: &'static str, value: &'static str) -> impl Fn(&mut Found) {
        move |found| drop(found.settings.insert(name.to_owned(), value.to_owned()))
    }

    #[test]
    fn a_topic_as_we_make_it_fits() {
        check(|_| (), 0, 0);
    }

    #[test]
    fn a_raw_that_is_compacted_or_stamped_by_producers_stops_us() {
        check(set("cleanup.policy", "compact"), 1, 0);
        check(set("message.timestamp.type", "CreateTime"), 1, 0);
        check(set("max.message.bytes", "1048588"), 1, 0);
        check(set("unclean.leader.election.enable", "true"), 1, 0);
    }

    #[test]
    fn raw_must_outlive_the_window_of_duplicates() {
        check(set("retention.ms", "3887999999"), 1, 0);
        check(set("retention.ms", "3888000000"), 0, 1);
    }

    /// A full topic forgets what it holds, however young.
    #[test]
    fn raw_must_not_be_bounded_by_size() {
        check(set("retention.bytes", "1000000000"), 1, 0);
        check(set("retention.bytes", "0"), 1, 0);
        check(set("retention.bytes", "-1"), 0, 0);
    }

    #[test]
    fn partitions_may_be_added_and_stay_unused_but_never_go_missing() {
        check(|found| found.partitions = 3, 1, 0);
        check(|found| found.partitions = 5, 0, 1);
    }

    #[test]
    fn only_a_single_broker_flushes_every_message() {
        let needs = Needs { topics: Topics::default(), partitions: 4, window: WINDOW };
        let flushed =
            |brokers| wanted::topics(&needs, brokers)[0].settings.iter().any(|(name, _)| *name == "flush.messages");
        assert!(flushed(1) && !flushed(3));
    }
}
