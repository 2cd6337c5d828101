//! Reads posts ahead, on a thread of its own: standard input may keep it waiting for ever, and no answer, timer or Ctrl-C may
//! wait with it. The thread is never waited for; it ends with the process, or when nobody takes from it any more.

use std::thread::{self, JoinHandle};

use anyhow::{Result, anyhow};
use tokio::sync::mpsc;

use super::Posts;
use super::delivery::Post;

/// How many posts may be read and not taken.
const AHEAD: usize = 32;

pub(super) struct Ahead {
    posts: mpsc::Receiver<Result<Post>>,
    thread: Option<JoinHandle<()>>,
}

impl Ahead {
    pub(super) fn of(posts: Posts) -> Ahead {
        let (sender, receiver) = mpsc::channel(AHEAD);
        let read = move || {
            for post in posts {
                if sender.blocking_send(post).is_err() {
                    return;
                }
            }
        };
        Ahead { posts: receiver, thread: Some(thread::spawn(read)) }
    }

    /// The next one. A thread that died is an error, not the end.
    pub(super) async fn next(&mut self) -> Option<Result<Post>> {
        match self.posts.recv().await {
            None => self.thread.take()?.join().err().map(|_| Err(anyhow!("the reader of the events panicked"))),
            post => post,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_reader_that_dies_is_not_taken_for_the_end() {
        let posts = std::iter::from_fn(|| panic!("on purpose"));
        let mut ahead = Ahead::of(Box::new(posts));
        assert!(ahead.next().await.expect("not the end").is_err());
        assert!(ahead.next().await.is_none());
        assert!(Ahead::of(Box::new(std::iter::empty())).next().await.is_none());
    }
}
