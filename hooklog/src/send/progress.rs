//! A progress bar on standard error, where that is a terminal; and a word in the log when nothing moves.

use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

pub(super) struct Progress {
    bar: ProgressBar,
    /// When a wait was last logged; `None` while posts go through.
    waiting: Mutex<Option<Instant>>,
}

/// Waits are logged no more often than this.
const BETWEEN_WORDS: Duration = Duration::from_secs(10);

impl Progress {
    /// Of `posts`, where their number is known.
    pub(super) fn of(posts: Option<u64>) -> Self {
        Self { bar: bar(posts), waiting: Mutex::new(None) }
    }

    pub(super) fn ack(&self) {
        self.bar.inc(1);
    }

    /// Something is tried again, and why.
    pub(super) fn wait(&self, why: &str) {
        let why: String = why.trim().chars().take(80).collect();
        self.bar.set_message(format!("(tried again: {why})"));
        let Ok(mut waiting) = self.waiting.lock() else { return };
        if self.bar.is_hidden() && waiting.is_none_or(|last| last.elapsed() > BETWEEN_WORDS) {
            *waiting = Some(Instant::now());
            tracing::warn!("not acknowledged yet, trying again: {why}");
        }
    }

    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

fn bar(posts: Option<u64>) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let (bar, template) = match posts {
        Some(posts) => {
            (ProgressBar::new(posts), "{bar:40.green} {pos}/{len} acknowledged, {per_sec}, {eta} left {msg}")
        }
        None => (ProgressBar::new_spinner(), "{spinner} {pos} acknowledged, {per_sec} {msg}"),
    };
    bar.with_style(ProgressStyle::with_template(template).expect("the template is one of the two above"))
}
