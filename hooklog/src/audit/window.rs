//! Which record repeats another one. Pure: one record after the other, sorted by identity and then by offset.
//!
//! A record is a repeat if and only if the last record of the same identity came later than its own time less the window;
//! whether that one was a repeat itself makes no difference. Everything else must have an event.

use hooklog_schemas::{DedupKey, Millis, Offset, Stretches};

/// What the window says of one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The first of its identity: it must have an event.
    First,
    /// Its identity was last met so long ago that it must have an event of its own again.
    Expired,
    /// The first that is left of its identity. Retention may have taken one before it that it repeats: with an event it is
    /// a first one, without one nothing can be said.
    Unsure,
    /// It must have none: its identity's event is that of the record at `of`.
    Repeat { of: Offset },
}

/// Judges the records of one partition of `raw`, which holds every record of each of its identities. Each is judged by the
/// window that was in force when it was taken in.
pub(super) struct Window {
    windows: Stretches,
    /// The time of the first record that is left, where others were before it.
    cut: Option<Millis>,
    last: Option<Last>,
}

struct Last {
    identity: DedupKey,
    time: Millis,
    emitted: Offset,
}

impl Window {
    pub(super) fn of(windows: Stretches) -> Window {
        Window { windows, cut: None, last: None }
    }

    /// Where retention has taken the beginning: the first record that is left is of the time `first`.
    pub(super) fn cut_at(self, first: Millis) -> Window {
        Window { cut: Some(first), ..self }
    }

    /// The verdict on the next record in order of (identity, offset); `time` is its T', the latest time up to it.
    pub(super) fn judge(&mut self, identity: DedupKey, offset: Offset, time: Millis) -> Verdict {
        let span = self.windows.at(offset).0;
        let is_within = |since: Millis| time.0.saturating_sub(since.0) < span;
        let verdict = match &self.last {
            Some(last) if last.identity == identity && is_within(last.time) => Verdict::Repeat { of: last.emitted },
            Some(last) if last.identity == identity => Verdict::Expired,
            _ if self.cut.is_some_and(is_within) => Verdict::Unsure,
            _ => Verdict::First,
        };
        let emitted = if let Verdict::Repeat { of } = verdict { of } else { offset };
        self.last = Some(Last { identity, time, emitted });
        verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hooklog_schemas::ids::Span;
    use hooklog_schemas::{NextOffset, Partition, WindowBegin, Windows};

    const SPAN: Span = Span(100);

    /// Records of one identity at these times, in offsets from 0.
    fn judged(times: &[i64]) -> Vec<Verdict> {
        let mut window = Window::of(Stretches::always(SPAN));
        let identity = DedupKey([7; 16]);
        times.iter().zip(0..).map(|(time, offset)| window.judge(identity, Offset(offset), Millis(*time))).collect()
    }

    fn repeat(of: i64) -> Verdict {
        Verdict::Repeat { of: Offset(of) }
    }

    #[test]
    fn a_repeat_one_millisecond_inside_the_window_is_one_and_on_its_edge_is_none() {
        assert_eq!(judged(&[1000, 1099]), [Verdict::First, repeat(0)]);
        assert_eq!(judged(&[1000, 1100]), [Verdict::First, Verdict::Expired]);
        assert_eq!(judged(&[1000, 1101]), [Verdict::First, Verdict::Expired]);
    }

    #[test]
    fn a_repeat_refreshes_so_that_a_chain_of_them_never_expires() {
        assert_eq!(judged(&[0, 60, 120, 180]), [Verdict::First, repeat(0), repeat(0), repeat(0)]);
    }

    #[test]
    fn after_an_expired_repeat_the_next_ones_are_its_own() {
        assert_eq!(judged(&[0, 200, 210]), [Verdict::First, Verdict::Expired, repeat(1)]);
    }

    #[test]
    fn another_identity_begins_anew() {
        let mut window = Window::of(Stretches::always(SPAN));
        let mut judge = |identity, offset| window.judge(DedupKey([identity; 16]), Offset(offset), Millis(0));
        assert_eq!([judge(1, 0), judge(1, 5), judge(2, 1)], [Verdict::First, repeat(0), Verdict::First]);
    }

    #[test]
    fn what_may_repeat_a_record_that_is_gone_is_unsure_up_to_a_window_behind_the_cut() {
        let mut window = Window::of(Stretches::always(SPAN)).cut_at(Millis(1000));
        let mut judge = |identity, time| window.judge(DedupKey([identity; 16]), Offset(0), Millis(time));
        assert_eq!(
            [judge(1, 1000), judge(2, 1099), judge(3, 1100)],
            [Verdict::Unsure, Verdict::Unsure, Verdict::First]
        );
    }

    #[test]
    fn each_record_is_judged_by_the_window_of_its_time() {
        let begin = |number, window, from| WindowBegin { number, window: Span(window), from: vec![NextOffset(from)] };
        let windows = Windows::of([begin(0, 100, 0), begin(1, 50, 2), begin(2, 200, 4)]);
        let mut window = Window::of(windows.of_partition(Partition(0), SPAN));
        let mut judge = |offset, time| window.judge(DedupKey([7; 16]), Offset(offset), Millis(time));
        assert_eq!([judge(0, 0), judge(1, 60)], [Verdict::First, repeat(0)]);
        assert_eq!([judge(2, 120), judge(3, 160)], [Verdict::Expired, repeat(2)]);
        assert_eq!([judge(4, 300), judge(5, 500)], [repeat(2), Verdict::Expired]);
    }

    #[test]
    fn times_at_the_ends_of_the_calendar_do_not_overflow() {
        assert_eq!(judged(&[i64::MIN, i64::MAX]), [Verdict::First, Verdict::Expired]);
    }
}
