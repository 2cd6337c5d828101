//! Drives the posts: so many at once, at a rate or as fast as answers come, each until its fate is known.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::acks::Acks;
use super::ahead::Ahead;
use super::client::{Poster, Reply};
use super::delivery::Post;
use super::generator::dice::Dice;
use super::known::Places;
use super::progress::Progress;
use super::retry::{Answer, Patience, Verdict, judge};
use super::tally::{Report, Tally};

/// What a run needs.
pub(super) struct Setup {
    pub(super) posts: Box<dyn Iterator<Item = Result<Post>> + Send>,
    pub(super) poster: Poster,
    pub(super) concurrency: u16,
    /// Posts a second.
    pub(super) rate: Option<f64>,
    pub(super) patience: Patience,
    pub(super) acks: Option<Acks>,
    /// Whether to remember where the bodies stand.
    pub(super) places: bool,
    pub(super) progress: Progress,
    pub(super) seed: u64,
}

/// How a run ended.
pub(super) struct Outcome {
    pub(super) report: Report,
    /// Whether any attempt was answered; if not, there is nobody.
    pub(super) was_answered: bool,
    /// Where the acknowledged bodies stand, if that was asked for.
    pub(super) places: Option<Places>,
    /// Why posts were given up, and how often.
    pub(super) complaints: BTreeMap<String, Given>,
    pub(super) was_stopped: bool,
    /// What ended the run before its time.
    pub(super) failure: Option<anyhow::Error>,
}

/// How many posts were given up for one reason, and the first event among them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Given {
    pub(super) count: u64,
    pub(super) first: String,
}

struct Run {
    queue: tokio::sync::Mutex<Queue>,
    book: Mutex<Book>,
    poster: Poster,
    rate: Option<f64>,
    patience: Patience,
    progress: Progress,
    began: Instant,
    stop: CancellationToken,
}

/// The posts that are still to go out.
struct Queue {
    posts: Ahead,
    taken: u64,
}

/// What is known of those that went.
struct Book {
    tally: Tally,
    acks: Option<Acks>,
    places: Option<Places>,
    complaints: BTreeMap<String, Given>,
    dice: Dice,
}

/// So many different complaints are told apart; then they are only counted.
const MOST_COMPLAINTS: usize = 20;

/// Posts everything, until `interrupted` says to stop: then what is under way is still waited for.
pub(super) async fn run(setup: Setup, interrupted: impl Future<Output = ()>) -> Outcome {
    let concurrency = setup.concurrency;
    let run = std::sync::Arc::new(Run::new(setup));
    let mut workers = JoinSet::new();
    for _ in 0..concurrency {
        let run = run.clone();
        workers.spawn(async move { run.work().await });
    }
    let mut interrupted = std::pin::pin!(interrupted);
    let mut ended = Ok(());
    loop {
        tokio::select! {
            () = &mut interrupted, if !run.stop.is_cancelled() => run.stop.cancel(),
            joined = workers.join_next() => match joined {
                None => break,
                Some(done) => {
                    let done = done.context("a worker of send panicked").and_then(|done| done);
                    if done.is_err() {
                        run.stop.cancel();
                    }
                    ended = ended.and(done);
                }
            },
        }
    }
    run.progress.finish();
    run.outcome(ended.err())
}

impl Run {
    fn new(setup: Setup) -> Self {
        let dice = Dice::new(setup.seed, b"backoffs");
        Self {
            queue: tokio::sync::Mutex::new(Queue { posts: Ahead::of(setup.posts), taken: 0 }),
            book: Mutex::new(Book {
                tally: Tally::new(),
                acks: setup.acks,
                places: setup.places.then(Places::default),
                complaints: BTreeMap::new(),
                dice,
            }),
            poster: setup.poster,
            rate: setup.rate,
            patience: setup.patience,
            progress: setup.progress,
            began: Instant::now(),
            stop: CancellationToken::new(),
        }
    }

    async fn work(&self) -> Result<()> {
        while let Some((post, due)) = self.take().await? {
            if let Some(due) = due
                && !self.sleep_until(due).await
            {
                return Ok(());
            }
            self.settle(post, due).await?;
        }
        Ok(())
    }

    /// The next post and, at a rate, when it is due: that depends on its place alone, not on how long answers take.
    async fn take(&self) -> Result<Option<(Post, Option<Instant>)>> {
        let taken = tokio::select! {
            biased;
            () = self.stop.cancelled() => None,
            taken = self.next() => taken,
        };
        let Some((post, number)) = taken else { return Ok(None) };
        let due = self.rate.map(|rate| self.began + Duration::from_secs_f64(number as f64 / rate));
        Ok(Some((post?, due)))
    }

    async fn next(&self) -> Option<(Result<Post>, u64)> {
        let mut queue = self.queue.lock().await;
        let post = queue.posts.next().await?;
        queue.taken += 1;
        Some((post, queue.taken - 1))
    }

    /// Attempts `post` until its fate is known.
    async fn settle(&self, post: Post, due: Option<Instant>) -> Result<()> {
        hold(&self.book).tally.post(post.number);
        let first = Instant::now();
        let mut started = due.unwrap_or(first);
        let mut attempt = 0;
        loop {
            let reply = self.poster.post(post.body.clone(), epoch_seconds()).await;
            let verdict = self.judge(&reply, attempt, first);
            match verdict {
                Verdict::Acked => return self.ack(&post, &reply, started.elapsed()),
                Verdict::GivenUp => break self.complain(&post, &reply),
                Verdict::Again(pause) => {
                    self.progress.wait(&reply.text);
                    if !self.sleep_until(Instant::now() + pause).await {
                        break self.complain(&post, &reply);
                    }
                }
            }
            attempt += 1;
            started = Instant::now();
        }
        Ok(())
    }

    fn judge(&self, reply: &Reply, attempt: u32, first: Instant) -> Verdict {
        let mut book = hold(&self.book);
        book.tally.attempt(&reply.answer);
        let chance = book.dice.below(1 << 20) as f64 / (1 << 20) as f64;
        judge(&reply.answer, attempt, first.elapsed(), self.patience, chance)
    }

    fn ack(&self, post: &Post, reply: &Reply, latency: Duration) -> Result<()> {
        self.progress.ack();
        let mut book = hold(&self.book);
        let is_first = book.tally.ack(post.number, latency);
        book.places.iter_mut().for_each(|places| places.note(&post.id, &reply.text));
        match &mut book.acks {
            Some(acks) if is_first && !post.id.is_empty() => acks.write(&post.id),
            _ => Ok(()),
        }
    }

    fn complain(&self, post: &Post, reply: &Reply) {
        let mut book = hold(&self.book);
        if reply.answer == Answer::Refused && !book.tally.was_answered() {
            // There was nobody from the first post on: the others would find nobody either.
            self.stop.cancel();
        }
        let mut complaint = format!("{}: {}", reply.answer.name(), reply.text.trim());
        if book.complaints.len() >= MOST_COMPLAINTS && !book.complaints.contains_key(&complaint) {
            complaint = format!("{}: others", reply.answer.name());
        }
        let id = String::from_utf8_lossy(&post.id);
        let first =
            || Given { count: 0, first: if id.is_empty() { "one without an id".into() } else { id.into_owned() } };
        book.complaints.entry(complaint).or_insert_with(first).count += 1;
    }

    /// False where the run was stopped meanwhile.
    async fn sleep_until(&self, moment: Instant) -> bool {
        tokio::select! {
            () = tokio::time::sleep_until(moment.into()) => true,
            () = self.stop.cancelled() => false,
        }
    }

    fn outcome(&self, failure: Option<anyhow::Error>) -> Outcome {
        let book = hold(&self.book);
        Outcome {
            report: book.tally.report(self.began.elapsed()),
            was_answered: book.tally.was_answered(),
            places: book.places.clone(),
            complaints: book.complaints.clone(),
            was_stopped: self.stop.is_cancelled(),
            failure,
        }
    }
}

/// A worker that panicked ends the run by itself; what it left is still true.
fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[expect(
    clippy::disallowed_methods,
    reason = "a signature carries the moment it was made; the events' own times never do"
)]
pub(super) fn epoch_seconds() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    i64::try_from(since).unwrap_or(i64::MAX)
}
