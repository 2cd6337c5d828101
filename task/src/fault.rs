//! Whom an error concerns, and what follows for a partition that has one.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::error::Error;

/// How far a record's time may run ahead of this machine's clock: one wrong clock would make every known event look old.
pub(crate) const CLOCK_TOLERANCE_MS: i64 = 3_600_000;

/// So often a clock that is wrong is looked at again.
const CLOCK_LOOK: Duration = Duration::from_secs(60);

/// Whom an error concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// One partition or its store: it stops, the others go on.
    Partition,
    /// The whole task: it has no consumer, no producer, or another log.
    Task,
}

/// What can be done about a partition that stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Remedy {
    /// Its store is closed and opened again after a while, and brought up as after a start.
    Reopen,
    /// As [`Remedy::Reopen`], with a new store: a damaged one is a lost cache.
    Rebuild,
    /// It is brought up once more: a client that passes over records is not a log that lacks them. Then as [`Remedy::Wait`].
    Once,
    /// It is brought up again once so much time has passed: by then nothing is wrong any more.
    After(Duration),
    /// It is tried again, seldom: each try undoes what its neighbours have open.
    Seldom,
    /// Nothing that a machine may decide: it stands until somebody has looked and starts again.
    Wait,
}

/// Whom `error` concerns.
pub(crate) fn scope(error: &Error) -> Scope {
    match error {
        Error::Store(_) | Error::Stop(_) | Error::Gap { .. } | Error::BrokerClock { .. } | Error::Refused { .. } => {
            Scope::Partition
        }
        Error::Log(_)
        | Error::Consumer(_)
        | Error::Contended { .. }
        | Error::OtherLog { .. }
        | Error::Cancelled
        | Error::Panicked(_)
        | Error::Thread(_) => Scope::Task,
    }
}

/// What can be done about a partition that stopped for `error`.
pub(crate) fn remedy(error: &Error) -> Remedy {
    match error {
        Error::Store(store) if store.is_damage() => Remedy::Rebuild,
        Error::Store(_) => Remedy::Reopen,
        Error::BrokerClock { ahead, .. } => {
            let too_far = ahead.0.saturating_sub(CLOCK_TOLERANCE_MS).max(0);
            // A wrong clock may be set right at any moment.
            Remedy::After(Duration::from_millis(too_far.unsigned_abs()).min(CLOCK_LOOK))
        }
        Error::Refused { .. } => Remedy::Seldom,
        Error::Gap { .. } => Remedy::Once,
        _ => Remedy::Wait,
    }
}

/// How long to wait before a record is tried again that was refused `times` times in a row.
pub(crate) fn seldom(times: u32) -> Duration {
    const FIRST: Duration = Duration::from_secs(15);
    const LONGEST: Duration = Duration::from_secs(300);
    FIRST.saturating_mul(1 << times.saturating_sub(1).min(8)).min(LONGEST)
}

/// Waits before something is tried again, no longer than `stop` allows.
pub(crate) fn rest(pause: Duration, stop: &CancellationToken) {
    const LOOK: Duration = Duration::from_millis(5);
    let until = Instant::now() + pause;
    while Instant::now() < until && !stop.is_cancelled() {
        std::thread::sleep(LOOK);
    }
}

/// How long to wait before something is tried again that failed `times` times in a row.
pub(crate) fn pause(times: u32) -> Duration {
    const FIRST: Duration = Duration::from_millis(100);
    const LONGEST: Duration = Duration::from_secs(5);
    match times {
        0 => Duration::ZERO,
        // Beyond that many doublings the longest is reached anyway.
        _ => FIRST.saturating_mul(1 << (times - 1).min(16)).min(LONGEST),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resume::Stop;
    use hooklog_schemas::{Millis, NextOffset, Offset, Partition};
    use hooklog_store::Error as StoreError;

    fn stop() -> Error {
        let position = NextOffset(1);
        Stop::Beyond { partition: Partition(0), position, end: position }.into()
    }

    fn damaged() -> Error {
        StoreError::Damaged { path: "p0".into(), what: String::new() }.into()
    }

    fn full() -> Error {
        StoreError::Io { path: "p0".into(), source: std::io::ErrorKind::StorageFull.into() }.into()
    }

    #[test]
    fn what_is_wrong_with_one_partition_stops_only_that_one() {
        let gap = Error::Gap { partition: Partition(0), expected: NextOffset(1), found: Offset(2) };
        let clock = Error::BrokerClock { partition: Partition(0), offset: Offset(1), ahead: Millis(1) };
        let refused = Error::Refused {
            partition: Partition(0),
            offset: Offset(1),
            code: rdkafka::error::RDKafkaErrorCode::MessageSizeTooLarge,
        };
        assert_eq!((remedy(&refused), remedy(&gap)), (Remedy::Seldom, Remedy::Once));
        for error in [stop(), damaged(), full(), gap, clock, refused] {
            assert_eq!(scope(&error), Scope::Partition, "{error}");
        }
        let other_log = Error::OtherLog { found: String::new(), expected: String::new() };
        let fenced = Error::Consumer(rdkafka::error::KafkaError::Canceled);
        for error in [other_log, fenced, Error::Contended { id: String::new() }, Error::Cancelled] {
            assert_eq!(scope(&error), Scope::Task, "{error}");
        }
    }

    #[test]
    fn a_store_is_opened_again_and_a_damaged_one_built_anew_but_positions_are_for_people() {
        assert_eq!(remedy(&full()), Remedy::Reopen);
        assert_eq!(remedy(&damaged()), Remedy::Rebuild);
        assert_eq!(remedy(&stop()), Remedy::Wait);
    }

    #[test]
    fn a_record_from_the_future_is_waited_for_until_it_is_none() {
        let ahead = |ahead| Error::BrokerClock { partition: Partition(0), offset: Offset(1), ahead: Millis(ahead) };
        assert_eq!(remedy(&ahead(CLOCK_TOLERANCE_MS + 250)), Remedy::After(Duration::from_millis(250)));
        assert_eq!(remedy(&ahead(i64::MIN)), Remedy::After(Duration::ZERO));
        assert_eq!(remedy(&ahead(i64::MAX)), Remedy::After(CLOCK_LOOK), "our own clock may be the wrong one");
    }

    #[test]
    fn pauses_grow_up_to_a_limit() {
        let millis: Vec<_> = [0, 1, 2, 3, 6, 7, 40, u32::MAX].map(|n| pause(n).as_millis()).to_vec();
        assert_eq!(millis, [0, 100, 200, 400, 3200, 5000, 5000, 5000]);
        assert_eq!([1, 2, 5, 6, u32::MAX].map(|n| seldom(n).as_secs()), [15, 30, 240, 300, 300]);
    }
}
