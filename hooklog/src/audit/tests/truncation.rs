//! Logs whose beginning is gone: `raw` and the processor's store, or `events`.

use std::collections::BTreeSet;
use std::io;

use hooklog_log::watermarks::Watermarks;
use hooklog_schemas::{DedupKey, Millis, NextOffset, Offset, Partition, Stretches};
use proptest::prelude::*;

use super::super::again::{self, Cut, Emitted};
use super::super::matching::{Event, Extent, Kind};
use super::super::shown::Shown;
use super::{Raw, WINDOW, event, extent, judged, logs, matched, must_have_events, within};

/// The events of these records, marked as audit marks them where `raw` before `from` is gone.
fn marked(raw: &[Raw], records: &[i64], from: i64) -> Vec<Event> {
    let mut events: Vec<Event> = records.iter().zip(0..).map(|(record, offset)| event(raw, *record, offset)).collect();
    if from == 0 {
        return events;
    }
    let at = |record: Offset| raw[usize::try_from(record.0).unwrap()];
    let first = raw.get(usize::try_from(from).unwrap()).map_or(i64::MAX, |(_, time)| *time);
    let cut = Cut { from: NextOffset(from), first: Millis(first), windows: Stretches::always(WINDOW) };
    let emitted = |event: &Event| {
        let ((identity, time), Event { record, partition, offset, .. }) = (at(event.record), *event);
        Emitted { identity: DedupKey([identity; 16]), record, partition, offset, time: Millis(time) }
    };
    let mut all: Vec<Emitted> = events.iter().map(emitted).filter(|event| cut.concerns(event)).collect();
    all.sort_unstable_by_key(|event| event.to_row());
    let mut places = BTreeSet::new();
    again::repeats::<io::Error>(&cut, all.into_iter().map(Ok), |event| {
        places.insert(event.place());
        Ok(())
    })
    .unwrap();
    events.iter_mut().for_each(|event| event.again = places.contains(&event.place()));
    events
}

/// What a processor emits whose store was lost together with the beginning of `raw`: what it held up to `from`, then as if
/// nothing had been before.
fn emitted_by_a_forgetful_one(raw: &[Raw], from: i64) -> Vec<i64> {
    let cut = usize::try_from(from).unwrap();
    let before = must_have_events(raw).into_iter().filter(|record| *record < from);
    let after = must_have_events(&raw[cut..]).into_iter().map(|record| record + from);
    before.chain(after).collect()
}

fn from(extent: Extent, from: i64) -> Extent {
    Extent { from: NextOffset(from), ..extent }
}

#[test]
fn a_resend_that_was_emitted_again_after_raw_and_the_store_were_lost_is_doubled() {
    let raw = [(1, 0), (2, 10), (1, 20), (2, 115)];
    let events = marked(&raw, &emitted_by_a_forgetful_one(&raw, 2), 2);
    let counts = within(&from(extent(&raw), 2), &raw, &events);
    assert_eq!((counts.doubled, counts.unjudged, counts.events, counts.unique, counts.ok), (1, 2, 2, 1, false));
}

#[test]
fn two_events_of_a_record_that_is_gone_are_doubled() {
    let raw = [(1, 0), (2, 10)];
    let counts = within(&from(extent(&raw), 2), &raw, &marked(&raw, &[0, 0, 1], 2));
    assert_eq!((counts.doubled, counts.unjudged, counts.ok), (1, 2, false));
}

/// Which of two partitions of `events` an identity belongs to.
fn target(identity: u8) -> Partition {
    Partition(i32::from(identity % 2))
}

proptest! {
    /// Whatever a processor emits again that forgot what came before the cut, audit sees each that stands within the window of
    /// an event of the same identity; and no event of a processor that forgot nothing.
    #[test]
    fn events_that_repeat_one_whose_record_is_gone_are_seen(raw in logs(), cut in 0_usize..40) {
        let cut = i64::try_from(cut.min(raw.len())).unwrap();
        let emitted = emitted_by_a_forgetful_one(&raw, cut);
        let at = |record: i64| raw[usize::try_from(record).unwrap()];
        let repeats = |later: &&i64| {
            let (identity, time) = at(**later);
            emitted.iter().any(|earlier| *earlier < cut && at(*earlier).0 == identity && time - at(*earlier).1 < WINDOW.0)
        };
        let doubled = emitted.iter().filter(|record| **record >= cut).filter(repeats).count() as u64;
        let counts = within(&from(extent(&raw), cut), &raw, &marked(&raw, &emitted, cut));
        prop_assert_eq!((counts.doubled, counts.ok), (doubled, doubled == 0), "{:?}", counts);
        let whole = within(&from(extent(&raw), cut), &raw, &marked(&raw, &must_have_events(&raw), cut));
        prop_assert!(whole.ok && whole.doubled == 0, "{whole:?}");
    }

    /// Events of two partitions, some never written, some deleted with the beginning of their partition, some held behind a
    /// transaction that nobody ends. What is called missing was never written: so a repair emits nothing that was there.
    #[test]
    fn what_truncation_or_an_open_transaction_explains_is_never_missing(
        raw in logs(),
        written in proptest::collection::vec(0_u8..5, 40),
        cuts in (0_i64..12, 0_i64..12),
        held in 0_usize..8,
    ) {
        let unique = must_have_events(&raw);
        let is_written = |record: &i64| written[usize::try_from(*record).unwrap()] > 0;
        let identity = |record: i64| raw[usize::try_from(record).unwrap()].0;
        let mut ends = [0, 0];
        let mut stands = |record: i64| {
            let partition = target(identity(record));
            let end = &mut ends[usize::try_from(partition.0).unwrap()];
            *end += 1;
            Event { partition, offset: Offset(*end - 1), ..event(&raw, record, 0) }
        };
        let all: Vec<Event> = unique.iter().copied().filter(is_written).map(&mut stands).collect();
        let from = [cuts.0.min(ends[0]), cuts.1.min(ends[1])];
        let is_held = |partition: Partition| held == usize::try_from(partition.0).unwrap();
        let is_left = |event: &&Event| {
            let at = usize::try_from(event.partition.0).unwrap();
            event.offset.0 >= from[at] && !(is_held(event.partition) && event.offset.0 > from[at])
        };
        let left: Vec<Event> = all.iter().filter(is_left).copied().collect();
        let end = |at: usize| Watermarks { earliest: NextOffset(from[at]), end: NextOffset(ends[at]) };
        let held = [Partition(0), Partition(1)].into_iter().filter(|partition| is_held(*partition)).collect();
        let mut shown = Shown::of(&[end(0), end(1)], &held, 1);
        left.iter().for_each(|event| shown.note(event.partition, 0, event.record));
        let mut judged = judged(&extent(&raw), &raw, Stretches::always(WINDOW));
        judged.iter_mut().for_each(|one| one.hidden = shown.may_hide(target(identity(one.offset.0)), 0, one.offset));
        let (counts, findings) = matched(&extent(&raw), judged, &left);
        for finding in &findings {
            prop_assert_eq!(finding.kind, Kind::Missing);
            let (position, _) = finding.record.unwrap();
            prop_assert!(!is_written(&position.offset.0), "{} was written", position);
        }
        // And nothing that can be known to be missing is passed over.
        let is_sure = |record: &&i64| {
            let partition = target(identity(**record));
            let whole = from[usize::try_from(partition.0).unwrap()] == 0;
            let behind_one_that_is_left = left.iter().any(|event| event.partition == partition && event.record.0 < **record);
            !is_held(partition) && (whole || behind_one_that_is_left)
        };
        let missing = unique.iter().filter(|record| !is_written(record)).filter(is_sure).count() as u64;
        prop_assert_eq!(counts.missing, missing);
        prop_assert_eq!(counts.unique + counts.unjudged, unique.len() as u64);
    }
}
