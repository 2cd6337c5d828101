//! The judgement as a whole, beside a naive model that keeps everything in memory.

use std::collections::{BTreeMap, HashMap};

use hooklog_schemas::ids::Span;
use hooklog_schemas::{DedupKey, Millis, NextOffset, Offset, Partition, Stretches};
use proptest::prelude::*;

use super::counts::Counts;
use super::fingerprint::Fingerprint;
use super::matching::{Event, Extent, Finding, Judged, Tally, match_up};
use super::window::Window;

mod several_windows;
mod truncation;

const WINDOW: Span = Span(100);

/// A record of `raw`: its identity and its T'.
type Raw = (u8, i64);

fn fingerprint(identity: u8, offset: i64) -> Fingerprint {
    let value = [identity; 16];
    Fingerprint { id: u64::from(identity), value, rest: offset.cast_unsigned() }
}

/// The event of the record at `record`, standing at `offset` of `events`.
fn event(raw: &[Raw], record: i64, offset: i64) -> Event {
    let (identity, time) = usize::try_from(record).ok().and_then(|n| raw.get(n)).copied().unwrap_or((0, 0));
    let (partition, fingerprint) = (Partition(0), fingerprint(identity, record));
    Event {
        record: Offset(record),
        partition,
        offset: Offset(offset),
        out_of_order: false,
        again: false,
        identity: DedupKey([identity; 16]),
        time: Millis(time),
        fingerprint,
    }
}

fn extent(raw: &[Raw]) -> Extent {
    let end = NextOffset(i64::try_from(raw.len()).unwrap());
    Extent { partition: Partition(0), from: NextOffset(0), until: end, committed: end, end }
}

fn audited(raw: &[Raw], events: &[Event]) -> Counts {
    within(&extent(raw), raw, events)
}

fn within(extent: &Extent, raw: &[Raw], events: &[Event]) -> Counts {
    matched(extent, judged(extent, raw, Stretches::always(WINDOW)), events).0
}

/// The figures, and what was told.
fn matched(extent: &Extent, judged: Vec<Judged>, events: &[Event]) -> (Counts, Vec<Finding>) {
    let mut findings: Vec<Finding> = Vec::new();
    let mut tell = |finding| findings.push(finding);
    let mut tally = Tally { counts: Counts::NONE, tell: &mut tell };
    let mut events = events.to_vec();
    events.sort_by_key(|event| (event.record, event.offset));
    let (mut lacking, events) = (Vec::new(), events.into_iter().map(Ok));
    let mut push = |one| {
        lacking.push(Ok(one));
        Ok(())
    };
    let strays = match_up(extent, judged.into_iter().map(Ok), events, &mut tally, &mut push).unwrap();
    tally.missing(extent, lacking.into_iter(), &strays, &Stretches::always(WINDOW)).unwrap();
    let counts = tally.counts.judged();
    let damage: u64 = counts.damage().iter().map(|(_, count, _)| count).sum();
    assert_eq!(damage, u64::try_from(findings.len()).unwrap(), "what is counted is told");
    (counts, findings)
}

fn judged(extent: &Extent, raw: &[Raw], windows: Stretches) -> Vec<Judged> {
    let mut all: Vec<(u8, i64, i64)> = (0..).zip(raw).map(|(offset, (id, time))| (*id, offset, *time)).collect();
    all.retain(|(_, offset, _)| (extent.from.0..extent.until.0).contains(offset));
    let first = all.first().filter(|_| extent.from > NextOffset::ZERO).map(|(_, _, time)| Millis(*time));
    all.sort_unstable();
    let whole = Window::of(windows);
    let mut window = if let Some(first) = first { whole.cut_at(first) } else { whole };
    let mut judged: Vec<Judged> = all
        .into_iter()
        .map(|(id, offset, time)| {
            let verdict = window.judge(DedupKey([id; 16]), Offset(offset), Millis(time));
            Judged {
                identity: DedupKey([id; 16]),
                offset: Offset(offset),
                verdict,
                time: Millis(time),
                hidden: false,
                fingerprint: fingerprint(id, offset),
            }
        })
        .collect();
    judged.sort_by_key(|judged| judged.offset);
    judged
}

/// Which records must have an event, straight from the promise: the sentence with the window in it.
fn must_have_events(raw: &[Raw]) -> Vec<i64> {
    let mut seen: HashMap<u8, i64> = HashMap::new();
    let is_unique = |(identity, time): &Raw| seen.insert(*identity, *time).is_none_or(|seen| seen <= time - WINDOW.0);
    let unique: Vec<bool> = raw.iter().map(is_unique).collect();
    (0..).zip(unique).filter(|(_, unique)| *unique).map(|(offset, _)| offset).collect()
}

/// The events of a log that is whole.
fn whole(raw: &[Raw]) -> Vec<Event> {
    must_have_events(raw).iter().zip(0..).map(|(record, offset)| event(raw, *record, offset)).collect()
}

const RAW: [Raw; 5] = [(1, 0), (2, 10), (1, 20), (3, 30), (1, 200)];

#[test]
fn a_log_that_is_whole_is_found_so() {
    let counts = audited(&RAW, &whole(&RAW));
    let expected = Counts { raw: 5, unique: 4, events: 4, expired_repeats: 1, ..Counts::NONE };
    assert_eq!(counts, expected);
    assert_eq!(audited(&[], &[]), Counts::NONE);
}

#[test]
fn a_record_without_its_event_is_missing() {
    let mut events = whole(&RAW);
    events.remove(1);
    let counts = audited(&RAW, &events);
    assert_eq!((counts.missing, counts.events, counts.ok), (1, 3, false));
}

#[test]
fn a_second_event_of_one_record_is_doubled() {
    let mut events = whole(&RAW);
    events.push(event(&RAW, 1, 9));
    let counts = audited(&RAW, &events);
    assert_eq!((counts.doubled, counts.missing, counts.ok), (1, 0, false));
}

#[test]
fn an_event_of_a_repeat_is_doubled_where_the_first_has_its_own_and_foreign_where_not() {
    let mut events = whole(&RAW);
    events.push(event(&RAW, 2, 9));
    assert_eq!(audited(&RAW, &events).doubled, 1);
    events.remove(0);
    let counts = audited(&RAW, &events);
    assert_eq!((counts.doubled, counts.foreign, counts.missing), (0, 1, 1));
}

#[test]
fn an_event_of_another_identity_is_foreign_and_leaves_its_record_without_one() {
    let mut events = whole(&RAW);
    (events[0].fingerprint, events[0].identity) = (fingerprint(77, 0), DedupKey([77; 16]));
    let counts = audited(&RAW, &events);
    assert_eq!((counts.foreign, counts.missing, counts.altered), (1, 1, 0));
}

#[test]
fn a_record_whose_event_names_another_one_is_not_missing() {
    let mut events = whole(&RAW);
    // Record 1 was another one when its event was made; the event of what stands there now names a place behind the end.
    events[1].record = Offset(9);
    let counts = audited(&RAW, &events);
    assert_eq!((counts.missing, counts.foreign, counts.unjudged, counts.ok), (0, 1, 1, false));
    (events[0].fingerprint, events[0].identity) = (fingerprint(2, 0), DedupKey([2; 16]));
    events.remove(1);
    let counts = audited(&RAW, &events);
    assert_eq!((counts.missing, counts.foreign, counts.unjudged, counts.ok), (1, 1, 1, false), "that of 0 is missing");
    let mut events = whole(&RAW);
    // The same where a repeat stands now.
    events[1].record = Offset(2);
    let counts = audited(&RAW, &events);
    assert_eq!((counts.missing, counts.foreign, counts.unjudged, counts.doubled), (0, 1, 1, 0));
}

#[test]
fn an_event_is_nobody_elses_though_its_id_is_the_same_or_it_is_older_than_the_window() {
    // The events of records that raw lost; they name a place behind the end.
    let lost = |identity: u8, time: i64| {
        let at = Event { identity: DedupKey([identity; 16]), time: Millis(time), ..event(&RAW, 9, 9) };
        Event { record: Offset(9), fingerprint: fingerprint(identity, 9), ..at }
    };
    let mut events = whole(&RAW);
    events.remove(1);
    let missing = |stray| audited(&RAW, &[&events[..], &[stray]].concat()).missing;
    assert_eq!(missing(lost(2, 10 - WINDOW.0 + 1)), 0);
    assert_eq!(missing(lost(2, 10 - WINDOW.0)), 1, "a window later there must be another one");
    // The id is the same, the namespace is not.
    let elsewhere = Event { fingerprint: fingerprint(2, 9), ..lost(7, 10) };
    assert_eq!(missing(elsewhere), 1);
}

#[test]
fn an_old_event_that_raw_grows_beyond_meanwhile_still_counts_as_the_one_of_its_webhook() {
    let raw: Vec<Raw> = vec![(1, 0), (2, 10), (3, 20), (4, 30), (5, 40)];
    let mut events = vec![event(&raw, 0, 0), event(&raw, 1, 1), event(&raw, 2, 2)];
    events[2].record = Offset(4);
    for committed in [3, 5] {
        let (until, committed) = (NextOffset(3), NextOffset(committed));
        let counts = within(&Extent { until, committed, ..extent(&raw) }, &raw, &events);
        assert_eq!((counts.missing, counts.unjudged), (0, 1), "committed {committed}: {counts:?}");
    }
}

#[test]
fn an_event_that_differs_in_one_part_is_altered() {
    let changes: [fn(&mut Fingerprint); 3] = [
        |fingerprint| fingerprint.value = [9; 16],
        |fingerprint| fingerprint.id = 9,
        |fingerprint| fingerprint.rest = 9,
    ];
    for change in changes {
        let mut events = whole(&RAW);
        change(&mut events[2].fingerprint);
        let counts = audited(&RAW, &events);
        assert_eq!((counts.altered, counts.foreign, counts.missing, counts.ok), (1, 0, 0, false));
    }
}

#[test]
fn beyond_n_an_event_is_in_flight_torn_or_of_a_record_that_is_not_there() {
    let raw: Vec<Raw> = (0..8).map(|n| (n, 0)).collect();
    let extent = Extent { until: NextOffset(4), committed: NextOffset(6), end: NextOffset(8), ..extent(&raw) };
    let mut events: Vec<Event> = (0..6).map(|n| event(&raw, n, n)).collect();
    let counts = within(&extent, &raw, &events);
    assert_eq!((counts.raw, counts.events, counts.ok), (4, 4, true), "what N passed meanwhile is not judged");
    events.push(event(&raw, 6, 6));
    assert_eq!(within(&extent, &raw, &events).torn, 1);
    events.push(event(&raw, 8, 8));
    assert_eq!((within(&extent, &raw, &events).torn, within(&extent, &raw, &events).foreign), (1, 1));
}

#[test]
fn events_of_records_that_retention_took_are_not_judged() {
    let raw: Vec<Raw> = vec![(1, 0), (2, 0)];
    let extent = Extent { from: NextOffset(2), ..extent(&raw) };
    let events = [event(&raw, 0, 0), event(&raw, 1, 1)];
    let mut tell = |finding: Finding| panic!("{finding:?}");
    let mut tally = Tally { counts: Counts::NONE, tell: &mut tell };
    match_up(&extent, std::iter::empty(), events.into_iter().map(Ok), &mut tally, &mut |_| Ok(())).unwrap();
    assert_eq!((tally.counts.events, tally.counts.unjudged), (0, 2), "and counted as such");
}

#[test]
fn an_event_that_came_behind_a_later_one_is_torn_unless_it_is_a_second_one_anyway() {
    let mut events = whole(&RAW);
    events[1].out_of_order = true;
    assert_eq!(audited(&RAW, &events).torn, 1);
    let mut events = whole(&RAW);
    events.push(Event { out_of_order: true, ..event(&RAW, 0, 9) });
    let counts = audited(&RAW, &events);
    assert_eq!((counts.torn, counts.doubled), (0, 1));
}

#[test]
fn an_error_of_the_disk_is_no_verdict() {
    let broken = || std::iter::once_with(|| Err(std::io::Error::other("disk")));
    let mut tell = |_| {};
    let mut tally = Tally { counts: Counts::NONE, tell: &mut tell };
    assert!(match_up(&extent(&RAW), std::iter::empty(), broken(), &mut tally, &mut |_| Ok(())).is_err());
    let judged = judged(&extent(&RAW), &RAW, Stretches::always(WINDOW)).into_iter().map(Ok);
    let mut tell = |_| {};
    let mut tally = Tally { counts: Counts::NONE, tell: &mut tell };
    assert!(match_up(&extent(&RAW), judged, broken(), &mut tally, &mut |_| Ok(())).is_err());
}

fn logs() -> impl Strategy<Value = Vec<Raw>> {
    // Steps of a third of the window, so that edges are met often.
    proptest::collection::vec((0_u8..5, 0_i64..4), 0..40).prop_map(|steps| {
        let mut time = 0;
        let mut at = |(identity, step)| {
            time += [0, 33, 99, 100][usize::try_from(step).unwrap()];
            (identity, time)
        };
        steps.into_iter().map(&mut at).collect()
    })
}

proptest! {
    /// What retention has left of a log that is whole is never found damaged, and what is judged is judged as before.
    #[test]
    fn a_log_whose_beginning_is_gone_has_nothing_missing(raw in logs(), cut in 0_usize..40) {
        let cut = cut.min(raw.len());
        let from = NextOffset(i64::try_from(cut).unwrap());
        let counts = within(&Extent { from, ..extent(&raw) }, &raw, &whole(&raw));
        let unique = must_have_events(&raw);
        let left = unique.iter().filter(|record| **record >= from.0).count() as u64;
        prop_assert!(counts.ok, "{counts:?}");
        prop_assert_eq!((counts.raw, counts.events, counts.unique), ((raw.len() - cut) as u64, left, left));
        let of_gone = unique.len() as u64 - left;
        prop_assert!(counts.unjudged >= of_gone, "{counts:?}");
    }

    /// Each record gets any number of events; the model counts from the promise alone what is wrong with that.
    #[test]
    fn whatever_was_emitted_is_counted_as_a_naive_model_counts_it(raw in logs(), emitted in proptest::collection::vec(0_usize..3, 40)) {
        let unique = must_have_events(&raw);
        let of_each: BTreeMap<i64, usize> = (0..).zip(&raw).zip(&emitted).map(|((record, _), count)| (record, *count)).collect();
        let events: Vec<Event> = of_each
            .iter()
            .flat_map(|(record, count)| std::iter::repeat_n(*record, *count))
            .zip(0..)
            .map(|(record, offset)| event(&raw, record, offset))
            .collect();
        let mut model = Counts { raw: raw.len() as u64, unique: unique.len() as u64, events: events.len() as u64, ..Counts::NONE };
        for (record, count) in &of_each {
            let count = *count as u64;
            if unique.contains(record) {
                model.missing += u64::from(count == 0);
                model.doubled += count.saturating_sub(1);
                let (identity, _) = raw[usize::try_from(*record).unwrap()];
                model.expired_repeats += u64::from(raw[..usize::try_from(*record).unwrap()].iter().any(|(earlier, _)| *earlier == identity));
            } else {
                let identity = raw[usize::try_from(*record).unwrap()].0;
                let first = unique.iter().rev().find(|unique| *unique < record && raw[usize::try_from(**unique).unwrap()].0 == identity);
                let has_event = of_each[first.expect("a repeat has a first")] > 0;
                *(if has_event { &mut model.doubled } else { &mut model.foreign }) += count;
            }
        }
        model.ok = model.missing + model.doubled + model.foreign == 0;
        prop_assert_eq!(audited(&raw, &events), model);
    }
}
