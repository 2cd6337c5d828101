//! What was posted and what was acknowledged, over all phases of the load on one installation.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};

use super::client::Answer;
use super::events::{Events, Post};

/// Posts that a run which was ended may have had under way, and no acknowledgement of them: a run that goes on begins behind
/// them. A multiple of what makes one round of repeats.
const MAY_HAVE_BEEN_POSTED: u64 = 10_000;

/// Shared by all senders. Each acknowledged id is a line of a file, one write each, so that a kill of the harness loses none.
#[derive(Debug)]
pub(crate) struct Book {
    events: Events,
    path: PathBuf,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    place: u64,
    acked: Vec<bool>,
    file: File,
    answers: BTreeMap<String, u64>,
    failure: Option<String>,
}

/// What was counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    /// Different events that were acknowledged.
    pub(crate) acknowledged: u64,
    /// Attempts by their answer.
    pub(crate) answers: BTreeMap<String, u64>,
}

impl Book {
    /// Goes on with the file where there is one.
    pub(crate) fn open(path: &Path, events: Events) -> Result<Self> {
        let (acked, place) = match fs::read_to_string(path) {
            Ok(text) => gone_on(&text, events),
            Err(error) if error.kind() == ErrorKind::NotFound => (Vec::new(), 0),
            Err(error) => return Err(error).with_context(|| format!("{} cannot be read", path.display())),
        };
        let file = OpenOptions::new().create(true).append(true).open(path);
        let file = file.with_context(|| format!("{} cannot be written", path.display()))?;
        let inner = Inner { place, acked, file, answers: BTreeMap::new(), failure: None };
        Ok(Self { events, path: path.to_owned(), inner: Mutex::new(inner) })
    }

    pub(crate) fn events(&self) -> Events {
        self.events
    }

    /// The next post.
    pub(crate) fn take(&self) -> Post {
        let place = {
            let mut inner = self.inner();
            inner.place += 1;
            inner.place - 1
        };
        self.events.post(place)
    }

    /// An attempt was answered.
    pub(crate) fn note(&self, post: &Post, answer: Answer) {
        let mut inner = self.inner();
        *inner.answers.entry(answer.name()).or_default() += 1;
        if answer == Answer::Status(200) {
            inner.acknowledge(post.number, &self.events.id(post.number), &self.path);
        }
    }

    /// The numbers of the events that were acknowledged.
    pub(crate) fn acknowledged(&self) -> Result<Vec<u64>> {
        let inner = self.inner();
        if let Some(failure) = &inner.failure {
            anyhow::bail!("{failure}");
        }
        Ok((0..).zip(&inner.acked).filter(|(_, acked)| **acked).map(|(number, _)| number).collect())
    }

    pub(crate) fn figures(&self) -> Figures {
        let inner = self.inner();
        let acknowledged = inner.acked.iter().filter(|acked| **acked).count() as u64;
        Figures { acknowledged, answers: inner.answers.clone() }
    }

    /// A sender that panicked ends the run by itself; what it left is still true.
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn acknowledge(&mut self, number: u64, id: &str, path: &Path) {
        let place = index(number);
        if self.acked.len() <= place {
            self.acked.resize(place + 1, false);
        }
        if !std::mem::replace(&mut self.acked[place], true)
            && let Err(error) = self.file.write_all(format!("{id}\n").as_bytes())
        {
            self.failure = Some(format!("{} cannot be written: {error}", path.display()));
        }
    }
}

/// What a file says was acknowledged, and where the load goes on.
fn gone_on(text: &str, events: Events) -> (Vec<bool>, u64) {
    let numbers: Vec<u64> = text.lines().filter_map(|id| events.number(id)).collect();
    let Some(last) = numbers.iter().max() else { return (Vec::new(), MAY_HAVE_BEEN_POSTED) };
    let mut acked = vec![false; index(*last) + 1];
    numbers.iter().for_each(|number| acked[index(*number)] = true);
    // Nine of ten posts are new events, so the place of number n is about n / 0.9.
    let place = (last / 9 + 1) * 10 + MAY_HAVE_BEEN_POSTED;
    (acked, place)
}

fn index(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(dir: &tempfile::TempDir) -> Book {
        Book::open(&dir.path().join("acked"), Events::new(3, 1)).unwrap()
    }

    #[test]
    fn only_two_hundreds_are_acknowledgements_and_each_event_counts_once() {
        let dir = tempfile::tempdir().unwrap();
        let book = opened(&dir);
        let post = book.take();
        for answer in [Answer::Status(503), Answer::Refused, Answer::Status(500)] {
            book.note(&post, answer);
            assert_eq!(book.acknowledged().unwrap(), Vec::<u64>::new());
        }
        book.note(&post, Answer::Status(200));
        book.note(&post, Answer::Status(200));
        assert_eq!(book.acknowledged().unwrap(), [0]);
        let figures = book.figures();
        assert_eq!((figures.acknowledged, figures.answers["200"], figures.answers["refused"]), (1, 2, 1));
    }

    #[test]
    fn a_book_that_is_opened_again_knows_what_was_acknowledged_and_posts_nothing_of_before() {
        let dir = tempfile::tempdir().unwrap();
        let book = opened(&dir);
        let posts: Vec<_> = (0..100).map(|_| book.take()).collect();
        posts.iter().skip(50).for_each(|post| book.note(post, Answer::Status(200)));
        let (acked, last) = (book.acknowledged().unwrap(), posts.iter().map(|post| post.number).max().unwrap());
        drop(book);
        let again = opened(&dir);
        assert_eq!(again.acknowledged().unwrap(), acked);
        let next = again.take();
        assert!(next.number > last + MAY_HAVE_BEEN_POSTED / 2, "{}", next.number);
    }
}
