//! The dedup window that is recorded in `control`, and the one that is configured.
//!
//! Which record was a duplicate depends on the window, and what was written stays. So a processor with another window than
//! the recorded one does not start, unless the change is meant; then it is recorded where the new one begins.

use anyhow::Result;
use hooklog_log::Connection;
use hooklog_log::control::{self, History};
use hooklog_log::provision::Provisioned;
use hooklog_schemas::ids::Span;
use hooklog_schemas::{NextOffset, WindowBegin, Windows};
use thiserror::Error;

/// The processor would remove duplicates by another window than those before it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "dedup_window_days is {configured} here, but the recorded window of {raw} is {recorded}. With another window the processor would emit duplicates, or drop events, without an error. Set it back to {recorded}; or, if the change is intended, stop every `hooklog up` and `hooklog process` and start one of them once with --change-window",
    configured = in_words(*configured), recorded = in_words(*recorded)
)]
pub(crate) struct OtherWindow {
    /// The topic.
    raw: String,
    recorded: Span,
    configured: Span,
}

fn in_words(window: Span) -> String {
    match (window.0 / Span::days(1).0, window.0 % Span::days(1).0) {
        (days, 0) => format!("{days} days"),
        _ => format!("{} ms", window.0),
    }
}

/// What a start has to know of the window.
pub(super) struct Asked {
    pub(super) connection: Connection,
    pub(super) topics: Provisioned,
    pub(super) configured: Span,
    pub(super) is_change_meant: bool,
    /// The processor's instance, which nobody else is.
    pub(super) writer: String,
}

/// A window that is to begin.
pub(super) struct Begin {
    asked: Asked,
    number: u32,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Nothing,
    /// No window is recorded: this one was in force from the beginning on.
    Record,
    /// It begins where the processor stands.
    Change,
    Refuse {
        recorded: Span,
    },
}

fn step(recorded: &Windows, configured: Span, is_change_meant: bool) -> Step {
    match recorded.newest() {
        None => Step::Record,
        Some(newest) if newest.window == configured => Step::Nothing,
        Some(_) if is_change_meant => Step::Change,
        Some(newest) => Step::Refuse { recorded: newest.window },
    }
}

impl Asked {
    /// Records the window of a log that has none; of one that has another, says where it begins, or refuses. Blocks.
    pub(super) fn agree(self) -> Result<Option<Begin>> {
        let windows = self.recorded()?;
        match step(&windows, self.configured, self.is_change_meant) {
            Step::Nothing => Ok(None),
            Step::Record => {
                let from = vec![NextOffset::ZERO; self.topics.raw.partitions as usize];
                self.begin(windows.count(), from)?;
                Ok(None)
            }
            Step::Change => Ok(Some(Begin { number: windows.count(), asked: self })),
            Step::Refuse { recorded } => Err(self.refusal(recorded).into()),
        }
    }

    fn recorded(&self) -> Result<Windows> {
        Ok(History::read(&self.connection, &self.topics.topics, &self.topics.raw.id)?.windows)
    }

    /// Two that start at once may both try: the first one counts, and the other one sees it.
    fn begin(&self, number: u32, from: Vec<NextOffset>) -> Result<()> {
        let Asked { connection, topics, configured, writer, .. } = self;
        let begin = WindowBegin { number, window: *configured, from };
        control::begin_window(connection, &topics.topics, &topics.raw.id, &begin, writer)?;
        match self.recorded()?.newest() {
            Some(newest) if newest.window != *configured => Err(self.refusal(newest.window).into()),
            _ => {
                tracing::info!(window = in_words(*configured), %begin, "the dedup window is recorded");
                Ok(())
            }
        }
    }

    fn refusal(&self, recorded: Span) -> OtherWindow {
        OtherWindow { raw: self.topics.raw.name.clone(), recorded, configured: self.configured }
    }
}

impl Begin {
    /// Records that it begins at these offsets. Blocks.
    pub(super) fn at(self, from: Vec<NextOffset>) -> Result<()> {
        self.asked.begin(self.number, from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded(windows: &[i64]) -> Windows {
        let begin = |(number, days): (u32, &i64)| WindowBegin {
            number,
            window: Span::days(*days),
            from: vec![NextOffset(i64::from(number) * 10)],
        };
        Windows::of((0..).zip(windows).map(begin))
    }

    #[test]
    fn a_window_is_recorded_once_and_another_one_is_refused_unless_it_is_meant() {
        let step = |windows: &[i64], days, meant| step(&recorded(windows), Span::days(days), meant);
        assert_eq!([step(&[], 35, false), step(&[], 35, true)], [Step::Record, Step::Record]);
        assert_eq!([step(&[35], 35, false), step(&[35], 35, true)], [Step::Nothing, Step::Nothing]);
        assert_eq!(step(&[35], 40, false), Step::Refuse { recorded: Span::days(35) });
        assert_eq!(step(&[35], 40, true), Step::Change);
        assert_eq!(step(&[35, 40], 35, false), Step::Refuse { recorded: Span::days(40) }, "the newest one counts");
        assert_eq!(step(&[35, 40], 35, true), Step::Change);
    }

    #[test]
    fn a_refusal_says_both_windows_and_both_ways_out() {
        let refused = OtherWindow { raw: "hooklog.raw".into(), recorded: Span::days(35), configured: Span(86_400_001) };
        let said = refused.to_string();
        for part in ["35 days", "86400001 ms", "hooklog.raw", "--change-window", "stop every"] {
            assert!(said.contains(part), "{part:?} is not in {said:?}");
        }
    }
}
