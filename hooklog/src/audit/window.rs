//! Which record repeats another one. Pure: one record after the other, sorted by identity and then by offset.
//!
//! A record is a repeat if and only if the last record of the same identity came later than its own time less the window;
//! whether that one was a repeat itself makes no difference. Everything else must have an event.

use hooklog_schemas::ids::Span;
use hooklog_schemas::{DedupKey, Millis, Offset};

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

/// Judges the records of one partition of `raw`, which holds every record of each of its identities.
pub(super) struct Window {
    span: Span,
    /// From here on everything that a record may repeat is there.
    sure: Millis,
    last: Option<Last>,
}

struct Last {
    identity: DedupKey,
    time: Millis,
    emitted: Offset,
}

impl Window {
    pub(super) fn of(span: Span) -> Window {
        Window { span, sure: Millis::MIN, last: None }
    }

    /// Where retention has taken the beginning: the first record that is left is of the time `first`.
    pub(super) fn cut_at(self, first: Millis) -> Window {
        Window { sure: Millis(first.0.saturating_add(self.span.0)), ..self }
    }

    /// The verdict on the next record in order of (identity, offset); `time` is its T', the latest time up to it.
    pub(super) fn judge(&mut self, identity: DedupKey, offset: Offset, time: Millis) -> Verdict {
        let verdict = match &self.last {
            Some(last) if last.identity == identity => {
                let age = time.0.saturating_sub(last.time.0);
                if age < self.span.0 { Verdict::Repeat { of: last.emitted } } else { Verdict::Expired }
            }
            _ if time < self.sure => Verdict::Unsure,
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

    const SPAN: Span = Span(100);

    /// Records of one identity at these times, in offsets from 0.
    fn judged(times: &[i64]) -> Vec<Verdict> {
        let mut window = Window::of(SPAN);
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
        let mut window = Window::of(SPAN);
        let mut judge = |identity, offset| window.judge(DedupKey([identity; 16]), Offset(offset), Millis(0));
        assert_eq!([judge(1, 0), judge(1, 5), judge(2, 1)], [Verdict::First, repeat(0), Verdict::First]);
    }

    #[test]
    fn what_may_repeat_a_record_that_is_gone_is_unsure_up_to_a_window_behind_the_cut() {
        let mut window = Window::of(SPAN).cut_at(Millis(1000));
        let mut judge = |identity, time| window.judge(DedupKey([identity; 16]), Offset(0), Millis(time));
        assert_eq!(
            [judge(1, 1000), judge(2, 1099), judge(3, 1100)],
            [Verdict::Unsure, Verdict::Unsure, Verdict::First]
        );
    }

    #[test]
    fn times_at_the_ends_of_the_calendar_do_not_overflow() {
        assert_eq!(judged(&[i64::MIN, i64::MAX]), [Verdict::First, Verdict::Expired]);
    }
}
