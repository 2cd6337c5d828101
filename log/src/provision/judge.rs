//! Whether a topic that is there fits what is wanted: pure, a sentence for each thing that does not.

use std::collections::BTreeMap;

use hooklog_schemas::ids::Span;

use super::topic_spec::{self, Role, TopicSpec};

/// Raw must reach back past the window by two of the store's buckets, for a store that is restored from it.
const MARGIN: Span = Span::days(10);

/// A topic as it is.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) partitions: u32,
    /// The fewest replicas of a partition.
    pub(super) replication: u32,
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

pub(super) fn judge(spec: &TopicSpec, pinned: u32, found: &Found, window: Span) -> Verdict {
    let mut verdict = partitions(spec, pinned, found.partitions);
    verdict.join(replicas(spec, found));
    // What fits a topic depends on the replicas that it has, not on those that it ought to have.
    for (name, value) in &topic_spec::settings(spec.role, found.replication) {
        let is = found.settings.get(*name).map_or("", String::as_str);
        if is != value {
            verdict.join(setting(spec, name, value, is, window));
        }
    }
    verdict
}

fn partitions(spec: &TopicSpec, pinned: u32, found: u32) -> Verdict {
    let name = &spec.name;
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

/// Fewer replicas than wanted never mend themselves, and everything works until a disk is gone.
fn replicas(spec: &TopicSpec, found: &Found) -> Verdict {
    let (name, is, wants) = (&spec.name, found.replication, spec.replication);
    let in_sync = found.settings.get("min.insync.replicas").map_or(1, |value| number(value));
    let mut verdict = Verdict::default();
    if i64::from(is) < in_sync {
        verdict.join(no(format!(
            "{name} has {is} replicas and min.insync.replicas={in_sync}, so nothing can be written to it: raise the one with kafka-reassign-partitions, or lower the other: kafka-configs --alter --topic {name} --add-config min.insync.replicas=1"
        )));
    }
    if is < wants {
        verdict.join(but(format!(
            "{name} has {is} replicas, wanted are {wants}: the loss of {is} brokers loses acknowledged events. Raise it: kafka-reassign-partitions --execute (see \"A topic has too few replicas\" in the guide), or say --replication {is} where that is meant"
        )));
    }
    verdict
}

fn setting(spec: &TopicSpec, name: &str, value: &str, is: &str, window: Span) -> Verdict {
    let topic = &spec.name;
    let sentence = format!(
        "{topic} has {name}={is}, wanted is {value}: kafka-configs --alter --topic {topic} --add-config {name}={value}"
    );
    match name {
        "message.timestamp.type" | "cleanup.policy" => no(sentence),
        "max.message.bytes" if number(is) < number(value) => no(sentence),
        "retention.ms" if spec.role == Role::Raw && short(is, window) => {
            no(format!("{sentence} (at least {} ms: the window of duplicates and a margin)", window.0 + MARGIN.0))
        }
        "retention.bytes" if spec.role == Role::Raw && number(is) >= 0 => no(format!(
            "{sentence} (records younger than the window of duplicates could be deleted, and their repeats would be emitted again)"
        )),
        "retention.ms" | "retention.bytes" => but(format!("{sentence} (what expires can never be replayed)")),
        "unclean.leader.election.enable" if is == "true" => no(format!("{sentence} (it can lose acknowledged events)")),
        "min.insync.replicas" if number(is) < number(value) => but(sentence),
        "flush.messages" => but(format!(
            "{sentence} (one broker has the only copy: what it acknowledged can be lost with its machine's power)"
        )),
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
    use super::super::{Needs, Replication, topic_spec};
    use super::*;
    use crate::Topics;

    const WINDOW: Span = Span::days(35);

    fn raw() -> (TopicSpec, Found) {
        raw_of(needs(Replication::Three), 1)
    }

    fn needs(replication: Replication) -> Needs {
        Needs { topics: Topics::default(), partitions: 4, replication, window: WINDOW }
    }

    /// What is wanted of `raw` on so many brokers, and a topic that is just so.
    fn raw_of(needs: Needs, brokers: usize) -> (TopicSpec, Found) {
        let spec = topic_spec::topics(&needs, brokers).remove(0);
        let settings = spec.settings.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let replication = spec.replication;
        (spec, Found { partitions: 4, replication, settings })
    }

    #[track_caller]
    fn check(change: impl Fn(&mut Found), contradictions: usize, warnings: usize) {
        let (spec, mut found) = raw();
        change(&mut found);
        let verdict = judge(&spec, 4, &found, WINDOW);
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

    /// A topic that was made while two of three brokers were down.
    #[test]
    fn a_topic_with_fewer_replicas_than_the_cluster_could_keep_is_told_of_at_every_start() {
        let (_, made_on_one) = raw_of(needs(Replication::Three), 1);
        let judged = |needs: Needs, brokers: usize, found: &Found| {
            let (spec, _) = raw_of(needs, brokers);
            judge(&spec, 4, found, WINDOW)
        };
        for (brokers, warnings) in [(1, 0), (2, 1), (3, 1), (9, 1)] {
            let verdict = judged(needs(Replication::Three), brokers, &made_on_one);
            assert_eq!((verdict.contradictions.len(), verdict.warnings.len()), (0, warnings), "{brokers}: {verdict:?}");
            assert!(verdict.warnings.iter().all(|warning| warning.contains("kafka-reassign-partitions")));
        }
        assert_eq!(judged(needs(Replication::Of(1)), 3, &made_on_one), Verdict::default(), "somebody decided so");
        assert_eq!(judged(needs(Replication::Of(3)), 1, &made_on_one).warnings.len(), 1);
    }

    /// Two of three brokers are down at a later start: what is there still fits.
    #[test]
    fn a_topic_with_more_replicas_than_brokers_are_up_fits() {
        let (_, made_on_three) = raw_of(needs(Replication::Three), 3);
        assert_eq!(made_on_three.settings["min.insync.replicas"], "2");
        let (spec, _) = raw_of(needs(Replication::Three), 1);
        assert_eq!(judge(&spec, 4, &made_on_three, WINDOW), Verdict::default());
    }

    #[test]
    fn more_in_sync_replicas_than_there_are_replicas_stop_us_since_nothing_could_be_written() {
        check(set("min.insync.replicas", "2"), 1, 0);
        let (spec, mut found) = raw_of(needs(Replication::Three), 3);
        found.settings.insert("min.insync.replicas".to_owned(), "1".to_owned());
        assert_eq!(judge(&spec, 4, &found, WINDOW).warnings.len(), 1, "one broker's word would be enough");
    }

    #[test]
    fn most_replicas_must_have_what_is_acknowledged() {
        let in_sync = |replication| {
            let (_, found) = raw_of(needs(Replication::Of(replication)), 9);
            found.settings["min.insync.replicas"].clone()
        };
        assert_eq!([1, 2, 3, 4, 5].map(in_sync), ["1", "1", "2", "3", "3"]);
    }

    #[test]
    fn topics_are_not_created_where_fewer_than_three_brokers_show_and_nobody_decided() {
        use super::super::enough;
        for (replication, brokers, fits) in [
            (Replication::Three, 1, false),
            (Replication::Three, 2, false),
            (Replication::Three, 3, true),
            (Replication::Of(1), 1, true),
            (Replication::Of(3), 1, true),
        ] {
            assert_eq!(enough(&needs(replication), brokers).is_ok(), fits, "{replication:?} {brokers}");
        }
    }

    #[test]
    fn only_a_single_broker_flushes_every_message() {
        let needs = needs(Replication::Three);
        let flushed = |brokers| {
            let topics = topic_spec::topics(&needs, brokers).into_iter();
            topics.map(|topic| topic.settings.contains(&("flush.messages", "1".to_owned()))).collect::<Vec<_>>()
        };
        assert_eq!(flushed(1), [true, false, true], "raw, events, control");
        assert_eq!(flushed(3), [false; 3]);
    }

    /// Of an installation that is older than the setting: nothing is changed behind anybody's back.
    #[test]
    fn a_topic_of_a_single_broker_that_is_not_flushed_is_told_of_at_every_start() {
        for of in [0, 2] {
            let spec = topic_spec::topics(&needs(Replication::Of(1)), 1).remove(of);
            let settings = spec.settings.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
            let mut found = Found { partitions: spec.partitions, replication: 1, settings: settings.collect() };
            assert_eq!(judge(&spec, spec.partitions, &found, WINDOW), Verdict::default());
            found.settings.insert("flush.messages".to_owned(), i64::MAX.to_string());
            let verdict = judge(&spec, spec.partitions, &found, WINDOW);
            assert_eq!((verdict.contradictions.len(), verdict.warnings.len()), (0, 1), "{verdict:?}");
            assert!(verdict.warnings[0].contains("--add-config flush.messages=1"), "{verdict:?}");
        }
    }
}
