//! Waiting for conditions.

use std::thread;
use std::time::{Duration, Instant};

/// Long enough for a busy machine; who waits for it in vain has found a defect.
pub const DEADLINE: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(20);

/// Waits until the condition gives a value, and returns it. Panics with `what` at [`DEADLINE`].
#[track_caller]
pub fn wait_until<T>(what: &str, condition: impl FnMut() -> Option<T>) -> T {
    match wait_until_within(DEADLINE, condition) {
        Some(value) => value,
        None => panic!("waited {} s in vain until {what}", DEADLINE.as_secs()),
    }
}

/// Waits until the condition gives a value; `None` at the deadline. The condition is tried at least once.
pub fn wait_until_within<T>(deadline: Duration, mut condition: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + deadline;
    loop {
        if let Some(value) = condition() {
            return Some(value);
        }
        if Instant::now() >= end {
            return None;
        }
        thread::sleep(POLL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_is_asked_until_it_holds() {
        let mut asked = 0;
        let found = wait_until("it was asked three times", || {
            asked += 1;
            (asked == 3).then_some("yes")
        });
        assert_eq!((found, asked), ("yes", 3));
    }

    #[test]
    fn a_condition_that_never_holds_is_given_up() {
        assert_eq!(wait_until_within(Duration::ZERO, || None::<()>), None);
    }
}
