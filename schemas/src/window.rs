//! The dedup window as part of history: which one was in force where in `raw`, as `control` records it.
//!
//! Whether a record was a duplicate depends on the window of its time. A later window says nothing of it, so each begin of a
//! window is recorded once and for ever, and whoever judges old records looks there.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::ids::{NextOffset, Offset, Partition, Span};

/// The format of the record itself.
const FORMAT: &str = "hooklog/1";

/// A window, and where in each partition of `raw` it began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowBegin {
    /// How many windows there were before it. Of two records with one number the first counts.
    pub number: u32,
    /// How long an identity is remembered.
    pub window: Span,
    /// The first record of each partition that is judged by it.
    pub from: Vec<NextOffset>,
}

/// The value of a record in `control` is no begin of a window.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("not a window of this format: expected `{FORMAT} n=<number> window=<milliseconds> from=<offset>,<offset>...`")]
pub struct NotAWindow;

impl fmt::Display for WindowBegin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let from: Vec<String> = self.from.iter().map(ToString::to_string).collect();
        write!(f, "{FORMAT} n={} window={} from={}", self.number, self.window.0, from.join(","))
    }
}

impl FromStr for WindowBegin {
    type Err = NotAWindow;

    fn from_str(text: &str) -> Result<Self, NotAWindow> {
        parse(text).ok_or(NotAWindow)
    }
}

fn parse(text: &str) -> Option<WindowBegin> {
    let (number, rest) = text.strip_prefix(FORMAT)?.strip_prefix(" n=")?.split_once(" window=")?;
    let (window, from) = rest.split_once(" from=")?;
    let offset = |text: &str| text.parse().ok().filter(|offset| *offset >= 0).map(NextOffset);
    Some(WindowBegin {
        number: number.parse().ok()?,
        window: Span(window.parse().ok().filter(|window| *window > 0)?),
        from: from.split(',').map(offset).collect::<Option<_>>()?,
    })
}

/// All windows of one log, in the order in which they began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Windows(Vec<WindowBegin>);

impl Windows {
    /// Of records in the order of `control`. What is out of turn lost a race, and counts for nothing.
    pub fn of(records: impl IntoIterator<Item = WindowBegin>) -> Windows {
        let mut windows = Windows::default();
        for begin in records {
            if begin.number == windows.count() {
                windows.0.push(begin);
            }
        }
        windows
    }

    /// How many there are.
    pub fn count(&self) -> u32 {
        u32::try_from(self.0.len()).unwrap_or(u32::MAX)
    }

    /// The one that is in force.
    pub fn newest(&self) -> Option<&WindowBegin> {
        self.0.last()
    }

    /// Those of one partition. `otherwise` counts where none is recorded, as in logs of before.
    pub fn of_partition(&self, partition: Partition, otherwise: Span) -> Stretches {
        let from = |begin: &WindowBegin| {
            let at = usize::try_from(partition.0).ok()?;
            begin.from.get(at).copied()
        };
        let known = self.0.iter().map(|begin| (from(begin).unwrap_or(NextOffset::ZERO), begin.window));
        let first = self.0.first().map_or(otherwise, |begin| begin.window);
        Stretches { first, later: known.skip(1).collect() }
    }
}

/// Which window is in force where in one partition of `raw`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stretches {
    first: Span,
    later: Vec<(NextOffset, Span)>,
}

impl Stretches {
    /// One window from the beginning on.
    pub fn always(window: Span) -> Stretches {
        Stretches { first: window, later: Vec::new() }
    }

    /// The window by which the record at `offset` is judged.
    pub fn at(&self, offset: Offset) -> Span {
        let began = self.later.iter().rev().find(|(from, _)| from.offset() <= offset);
        began.map_or(self.first, |(_, window)| *window)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin(number: u32, window: i64, from: &[i64]) -> WindowBegin {
        WindowBegin { number, window: Span(window), from: from.iter().copied().map(NextOffset).collect() }
    }

    #[test]
    fn a_window_is_written_as_it_was_in_the_first_release() {
        let text = "hooklog/1 n=1 window=3024000000 from=0,17,4";
        assert_eq!(begin(1, 3_024_000_000, &[0, 17, 4]).to_string(), text);
        assert_eq!(text.parse(), Ok(begin(1, 3_024_000_000, &[0, 17, 4])));
    }

    #[test]
    fn what_others_write_is_no_window() {
        for text in [
            "",
            "12",
            "hooklog/2 n=0 window=1 from=0",
            "hooklog/1 n=0 window=0 from=0",
            "hooklog/1 n=0 window=1 from=",
            "hooklog/1 n=0 window=1 from=-1",
            "hooklog/1 n=x window=1 from=0",
        ] {
            assert_eq!(text.parse::<WindowBegin>(), Err(NotAWindow), "{text}");
        }
    }

    #[test]
    fn each_record_is_judged_by_the_window_that_was_in_force_there() {
        let windows = Windows::of([begin(0, 35, &[0, 0]), begin(1, 40, &[10, 7]), begin(2, 31, &[10, 9])]);
        let stretches = windows.of_partition(Partition(1), Span(99));
        let at = |offset| stretches.at(Offset(offset)).0;
        assert_eq!([at(0), at(6), at(7), at(8), at(9), at(1_000)], [35, 35, 40, 40, 31, 31]);
        let stretches = windows.of_partition(Partition(0), Span(99));
        assert_eq!(stretches.at(Offset(10)), Span(31), "a window that was replaced before a record came judges none");
        assert_eq!(windows.newest(), Some(&begin(2, 31, &[10, 9])));
    }

    #[test]
    fn of_two_that_began_at_once_the_first_counts() {
        let windows = Windows::of([begin(0, 35, &[0]), begin(0, 40, &[0]), begin(1, 31, &[5]), begin(1, 50, &[6])]);
        assert_eq!(windows, Windows::of([begin(0, 35, &[0]), begin(1, 31, &[5])]));
        assert_eq!(windows.count(), 2);
    }

    #[test]
    fn a_log_of_before_has_the_window_that_it_is_given() {
        let stretches = Windows::default().of_partition(Partition(0), Span(35));
        assert_eq!(stretches, Stretches::always(Span(35)));
        assert_eq!((stretches.at(Offset(0)), stretches.at(Offset(9))), (Span(35), Span(35)));
    }
}
