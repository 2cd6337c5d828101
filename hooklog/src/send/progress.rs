//! A progress bar on standard error, where that is a terminal.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};

pub(super) struct Progress(ProgressBar);

impl Progress {
    /// Of `posts`, where their number is known.
    pub(super) fn of(posts: Option<u64>) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self(ProgressBar::hidden());
        }
        let (bar, template) = match posts {
            Some(posts) => {
                (ProgressBar::new(posts), "{bar:40.green} {pos}/{len} acknowledged, {per_sec}, {eta} left {msg}")
            }
            None => (ProgressBar::new_spinner(), "{spinner} {pos} acknowledged, {per_sec} {msg}"),
        };
        bar.set_style(ProgressStyle::with_template(template).expect("the template is one of the two above"));
        Self(bar)
    }

    pub(super) fn ack(&self) {
        self.0.inc(1);
    }

    /// Something is tried again, and why.
    pub(super) fn wait(&self, why: &str) {
        self.0.set_message(format!("(waiting: {})", why.trim().chars().take(60).collect::<String>()));
    }

    pub(super) fn finish(&self) {
        self.0.finish_and_clear();
    }
}
