//! The load: signed webhooks over HTTP, each posted until it is acknowledged, as Stripe does, only sooner.
//!
//! | module | what it is |
//! |---|---|
//! | `events` | made-up events, a tenth of the posts repeats: pure |
//! | `pace` | when a post is due: pure |
//! | `client` | one kept connection |
//! | `book` | what was posted and what was acknowledged |

mod book;
mod client;
mod events;
mod pace;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

pub(crate) use book::{Book, Figures};
pub(crate) use client::{Answer, Client, Target};
pub(crate) use events::Events;

use pace::Pace;

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
const POLL: Duration = Duration::from_millis(20);

/// A running load. Dropped, it ends without waiting for acknowledgements.
#[derive(Debug)]
pub(crate) struct Load {
    shared: Arc<Shared>,
    senders: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    book: Arc<Book>,
    target: Target,
    pace: Mutex<Pace>,
    began: Instant,
    /// No new post any more.
    ends: AtomicBool,
    /// Nothing more at all.
    abandoned: AtomicBool,
}

/// What was still not acknowledged when the load had to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unanswered {
    pub(crate) posts: usize,
}

impl Load {
    pub(crate) fn start(book: &Arc<Book>, target: &Target, rate: u32, concurrency: usize) -> Self {
        let shared = Arc::new(Shared {
            book: Arc::clone(book),
            target: target.clone(),
            pace: Mutex::new(Pace::new(rate)),
            began: Instant::now(),
            ends: AtomicBool::new(false),
            abandoned: AtomicBool::new(false),
        });
        let sender = |_| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.send())
        };
        let senders = (0..concurrency).map(sender).collect();
        Self { shared, senders }
    }

    /// No new posts; waits until those under way are acknowledged.
    pub(crate) fn stop(mut self, within: Duration) -> Result<(), Unanswered> {
        self.shared.ends.store(true, Ordering::Relaxed);
        let deadline = Instant::now() + within;
        let under_way = |senders: &[JoinHandle<()>]| senders.iter().filter(|sender| !sender.is_finished()).count();
        while under_way(&self.senders) > 0 && Instant::now() < deadline {
            thread::sleep(POLL);
        }
        let posts = under_way(&self.senders);
        self.abandon();
        if posts == 0 { Ok(()) } else { Err(Unanswered { posts }) }
    }

    fn abandon(&mut self) {
        self.shared.abandoned.store(true, Ordering::Relaxed);
        self.senders.drain(..).for_each(|sender| drop(sender.join()));
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.abandon();
    }
}

impl Shared {
    fn send(&self) {
        let mut client = Client::new(self.target.clone());
        while self.sleep_until_due() {
            let post = self.book.take();
            let mut pause = FIRST_PAUSE;
            while !self.abandoned.load(Ordering::Relaxed) {
                let answer = client.post(&post.body);
                self.book.note(&post, answer);
                if answer == Answer::Status(200) {
                    break;
                }
                thread::sleep(pause);
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }

    /// False where no new post is wanted.
    fn sleep_until_due(&self) -> bool {
        let now = self.began.elapsed();
        let due = self.pace.lock().unwrap_or_else(PoisonError::into_inner).due(now);
        let is_over = || self.ends.load(Ordering::Relaxed) || self.abandoned.load(Ordering::Relaxed);
        while !is_over() {
            match due.saturating_sub(self.began.elapsed()) {
                Duration::ZERO => return true,
                left => thread::sleep(left.min(POLL)),
            }
        }
        false
    }
}
