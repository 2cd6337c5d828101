//! A window that was changed: each stretch of `raw` is judged by its own.

use std::collections::HashMap;

use hooklog_schemas::ids::Span;
use hooklog_schemas::{NextOffset, Partition, Stretches, WindowBegin, Windows};
use proptest::prelude::*;

use super::{Raw, WINDOW, event, extent, judged, logs, matched};

/// What a processor emits whose window is another one from each of these offsets on.
fn emitted(raw: &[Raw], begins: &[(i64, i64)]) -> Vec<i64> {
    let mut seen: HashMap<u8, i64> = HashMap::new();
    let window = |record| begins.iter().rev().find(|(from, _)| *from <= record).map_or(WINDOW.0, |(_, window)| *window);
    let mut is_new = |(record, (identity, time)): &(i64, &Raw)| {
        seen.insert(*identity, *time).is_none_or(|seen| seen <= time - window(*record))
    };
    (0..).zip(raw).filter(|one| is_new(one)).map(|(record, _)| record).collect()
}

fn stretches(begins: &[(i64, i64)]) -> Stretches {
    let begin = |(number, (from, window)): (u32, &(i64, i64))| WindowBegin {
        number,
        window: Span(*window),
        from: vec![NextOffset(*from)],
    };
    Windows::of((0..).zip(begins).map(begin)).of_partition(Partition(0), WINDOW)
}

proptest! {
    /// A log is whole whatever the windows were, and in whatever order they came.
    #[test]
    fn a_log_is_judged_by_the_windows_that_it_was_made_with(
        raw in logs(),
        mut begins in proptest::collection::vec((0_i64..40, 1_i64..4), 1..5),
    ) {
        begins.sort_by_key(|(from, _)| *from);
        begins[0].0 = 0;
        let begins: Vec<(i64, i64)> = begins.into_iter().map(|(from, third)| (from, third * 50)).collect();
        let records = emitted(&raw, &begins);
        let events: Vec<_> = records.iter().zip(0..).map(|(record, offset)| event(&raw, *record, offset)).collect();
        let (counts, _) = matched(&extent(&raw), judged(&extent(&raw), &raw, stretches(&begins)), &events);
        prop_assert!(counts.ok, "{:?}", counts);
        prop_assert_eq!((counts.unique, counts.events), (records.len() as u64, records.len() as u64));
        // By today's window alone it would be found damaged wherever that makes a difference.
        let today = Stretches::always(Span(begins[begins.len() - 1].1));
        let (counts, _) = matched(&extent(&raw), judged(&extent(&raw), &raw, today.clone()), &events);
        prop_assert_eq!(counts.ok, records == emitted(&raw, &[(0, today.at(hooklog_schemas::Offset(0)).0)]));
    }
}
