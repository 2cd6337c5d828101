//! What an error during a transaction leaves behind, and so what must follow. Pure.

use std::time::{Duration, Instant};

use hooklog_log::native::Class;

/// Which call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Beginning or producing, or anything where a record was refused: nothing can have been committed.
    Before,
    /// Sending offsets: nothing is committed, but the request may still be under way, and without KIP-890 the coordinator
    /// would take it into the next transaction. Only a new epoch bars it.
    Offsets,
    /// Ending the transaction: it may have been committed all the same.
    End,
}

/// What must follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Abort, then fold the same records again (I8).
    Abort,
    /// The outcome is unknown or the producer unusable: a new producer under the same id ends whatever is open, and the
    /// committed offset tells what happened (I7).
    Renew,
}

/// Decides by what may be under way, and by the class of the error. That a transaction has to be aborted says nothing of
/// whether it was committed: a commit whose answer was lost, of a producer that has failed for another reason meanwhile, is
/// such an error, too.
pub fn after(stage: Stage, class: Class) -> Next {
    match (stage, class) {
        (Stage::Before, Class::Abortable | Class::Retriable) => Next::Abort,
        _ => Next::Renew,
    }
}

/// Counts renewals: a second owner of the same id looks just like bad luck, except that it does not stop.
#[derive(Debug, Default)]
pub struct Renewals(Vec<Instant>);

impl Renewals {
    /// How many renewals a minute are bad luck.
    pub const A_MINUTE: usize = 5;

    /// Notes a renewal at `now`; `false` where there were too many.
    pub fn allow(&mut self, now: Instant) -> bool {
        self.0.retain(|then| now.duration_since(*then) < Duration::from_secs(60));
        self.0.push(now);
        self.0.len() <= Self::A_MINUTE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_outcome_is_never_taken_for_an_abort() {
        for class in [Class::Fatal, Class::Abortable, Class::Retriable, Class::Other] {
            assert_eq!(after(Stage::End, class), Next::Renew, "{class:?}");
        }
    }

    #[test]
    fn offsets_that_may_still_be_under_way_are_never_left_to_the_next_transaction() {
        for class in [Class::Fatal, Class::Abortable, Class::Retriable, Class::Other] {
            assert_eq!(after(Stage::Offsets, class), Next::Renew, "{class:?}");
        }
    }

    #[test]
    fn before_the_end_only_a_dead_producer_is_renewed() {
        assert_eq!(after(Stage::Before, Class::Abortable), Next::Abort);
        assert_eq!(after(Stage::Before, Class::Retriable), Next::Abort);
        assert_eq!(after(Stage::Before, Class::Fatal), Next::Renew);
        assert_eq!(after(Stage::Before, Class::Other), Next::Renew);
    }

    #[test]
    fn renewals_are_capped_by_the_minute() {
        let (mut renewals, start) = (Renewals::default(), Instant::now());
        assert!((0..5).all(|n| renewals.allow(start + Duration::from_secs(n))));
        assert!(!renewals.allow(start + Duration::from_secs(6)));
        assert!(renewals.allow(start + Duration::from_secs(120)));
    }
}
