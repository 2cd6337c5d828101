//! Holds the reader of the live views for the moment of a switch: one store has one writer.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

/// How long the reader may take to notice that it is to hold: a batch and a poll.
const PATIENCE: Duration = Duration::from_secs(30);

/// Between the reader and whoever wants it to hold.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    held: bool,
    waiting: bool,
    turn: Option<CancellationToken>,
}

/// While this lives, the reader holds.
#[derive(Debug)]
pub(crate) struct Held<'g>(&'g Gate);

impl Gate {
    /// The reader's side: waits while it is held, then gives the token of its next turn. None once `shutdown` came.
    pub(crate) fn pass(&self, shutdown: &CancellationToken) -> Option<CancellationToken> {
        let mut state = self.lock();
        while state.held && !shutdown.is_cancelled() {
            state.waiting = true;
            self.changed.notify_all();
            state = self.wait(state, Duration::from_millis(100));
        }
        state.waiting = false;
        let turn = shutdown.child_token();
        state.turn = Some(turn.clone());
        (!shutdown.is_cancelled()).then_some(turn)
    }

    /// Ends the reader's turn, so that it looks around before the next one.
    pub(crate) fn interrupt(&self) {
        if let Some(turn) = &self.lock().turn {
            turn.cancel();
        }
    }

    /// The reader's side: a pause that ends early when it is to hold or to stop.
    pub(crate) fn rest(&self, pause: Duration, shutdown: &CancellationToken) {
        let deadline = Instant::now() + pause;
        let mut state = self.lock();
        while !state.held && !shutdown.is_cancelled() && Instant::now() < deadline {
            state = self.wait(state, Duration::from_millis(100));
        }
    }

    /// Makes the reader hold; none where it does not within half a minute, as when it does not run at all.
    pub(crate) fn hold(&self, shutdown: &CancellationToken) -> Option<Held<'_>> {
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.lock();
        state.held = true;
        let held = Held(self);
        if let Some(turn) = &state.turn {
            turn.cancel();
        }
        self.changed.notify_all();
        while !state.waiting {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || shutdown.is_cancelled() {
                drop(state);
                return None;
            }
            state = self.wait(state, left.min(Duration::from_millis(100)));
        }
        drop(state);
        Some(held)
    }

    fn wait<'g>(&self, state: MutexGuard<'g, State>, at_most: Duration) -> MutexGuard<'g, State> {
        self.changed.wait_timeout(state, at_most).unwrap_or_else(PoisonError::into_inner).0
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.lock().held = false;
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn a_reader_that_is_held_does_nothing_until_it_is_let_go() {
        let (gate, shutdown, turns) = (Gate::default(), CancellationToken::new(), AtomicU64::new(0));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while let Some(turn) = gate.pass(&shutdown) {
                    turns.fetch_add(1, Ordering::SeqCst);
                    while !turn.is_cancelled() {
                        std::thread::yield_now();
                    }
                }
            });
            for _ in 0..20 {
                let held = gate.hold(&shutdown).expect("the reader runs");
                let before = turns.load(Ordering::SeqCst);
                assert!(gate.lock().waiting);
                assert_eq!(turns.load(Ordering::SeqCst), before);
                drop(held);
                while turns.load(Ordering::SeqCst) == before {
                    std::thread::yield_now();
                }
            }
            shutdown.cancel();
        });
        assert!(turns.load(Ordering::SeqCst) >= 20);
    }
}
