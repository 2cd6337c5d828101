//! A fold that is rolled over records which another window decided owes nothing of them.

use hooklog_log::control;
use hooklog_schemas::{NextOffset, WindowBegin};

use super::*;

const SHORT: Span = Span::days(10);

/// The instance's directory while `window` is in force, from `from` on in `raw`.
struct Windows {
    topics: Provisioned,
    place: tempfile::TempDir,
    begun: u32,
}

impl Windows {
    fn new() -> Windows {
        Windows { topics: with_times_of_their_own(), place: tempfile::tempdir().unwrap(), begun: 0 }
    }

    /// Begins `window` at `from`, takes in webhooks of one id that came so many days ago, and stops.
    fn take_in(&mut self, window: Span, from: i64, days: &[i64]) {
        let begin = WindowBegin { number: self.begun, window, from: vec![NextOffset(from)] };
        control::begin_window(&connection(), &self.topics.topics, &self.topics.raw.id, &begin, "test").unwrap();
        self.begun += 1;
        let running =
            Running::with_window(&self.topics, &self.place.path().join("one"), CommitPolicy::default(), window);
        running.owns(1);
        write(&self.topics, days.iter().map(|day| ("evt_a".to_owned(), 0, Some(days_ago(*day)))));
        let upto = from + days.len() as i64;
        wait_until("all is taken in", || (running.progress.all().values().next()?.next.0 == upto).then_some(()));
        running.stop();
    }

    fn emitted(&self) -> usize {
        counted(&self.topics)["evt_a"]
    }
}

#[test]
fn a_shorter_window_does_not_emit_again_what_a_longer_one_dropped() {
    let mut windows = Windows::new();
    windows.take_in(WINDOW, 0, &[100, 80]);
    assert_eq!(windows.emitted(), 1);
    // A store that was never here before is rolled over both of them, by ten days.
    windows.take_in(SHORT, 2, &[79]);
    assert_eq!(windows.emitted(), 1);
}

#[test]
fn a_store_of_before_that_is_found_again_does_not_emit_what_was_dropped_meanwhile() {
    let mut windows = Windows::new();
    windows.take_in(SHORT, 0, &[150]);
    windows.take_in(WINDOW, 1, &[130, 110, 100]);
    windows.take_in(SHORT, 4, &[99]);
    assert_eq!(windows.emitted(), 1);
}
