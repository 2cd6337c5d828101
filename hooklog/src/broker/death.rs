//! What the end of a broker means for its log, and for when to start it again: pure.
//!
//! A broker that is killed leaves all that it wrote to the system. One that could not append to a partition has ended by itself:
//! partitions may have lost different tails, as after a power loss, though the machine is still up.

use crate::room;
use std::process::ExitStatus;

/// What is known of the end of a broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Death {
    /// For people.
    pub(super) reason: String,
    /// An append may have failed: the log has to be checked before anything reads or writes it.
    pub(super) append_failed: bool,
    /// The disk is full, or was.
    pub(super) is_for_want_of_room: bool,
}

/// What was seen of it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Seen<'s> {
    /// How it ended, where it was our child.
    pub(super) status: Option<ExitStatus>,
    /// What it said since it was started. On a full disk this may be cut off.
    pub(super) said: &'s str,
    /// Whether its disk is full now.
    pub(super) is_full: bool,
}

/// What Kafka says when a log directory fails: of the append, of the directory, of itself.
const FAILED: [&str; 4] = [
    "Error while appending records to",
    "Stopping serving logs in dir",
    "Shutdown broker because all log dirs",
    "Encountered fatal fault",
];

impl Death {
    pub(super) fn of(seen: Seen<'_>, reason: String) -> Self {
        let is_for_want_of_room = seen.is_full || room::says_full(seen.said) || room::says_full(&reason);
        Self { reason, append_failed: append_failed(seen) || is_for_want_of_room, is_for_want_of_room }
    }
}

/// Kafka halts with a code of its own where its disk fails; what a signal ended has lost nothing that it wrote. Java tells
/// one that it heeded by a code above 128.
fn append_failed(seen: Seen<'_>) -> bool {
    let halted = seen.status.and_then(|status| status.code()).is_some_and(|code| (1..=128).contains(&code));
    halted || FAILED.iter().any(|words| seen.said.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;

    fn death(code: Option<i32>, said: &str, is_full: bool) -> Death {
        Death::of(Seen { status: code.map(ExitStatus::from_raw), said, is_full }, "why".to_owned())
    }

    const KILLED: Option<i32> = Some(9);
    const HALTED: Option<i32> = Some(1 << 8);
    const ORDERLY: Option<i32> = Some(0);
    const NOT_OUR_CHILD: Option<i32> = None;

    #[test]
    fn a_broker_that_was_killed_has_lost_nothing() {
        let death = death(KILLED, "INFO all is well", false);
        assert!(!death.append_failed && !death.is_for_want_of_room);
        let unseen = Death::of(Seen::default(), String::new());
        assert!(!unseen.append_failed && !unseen.is_for_want_of_room);
    }

    #[test]
    fn one_that_halted_by_itself_may_have_and_one_that_ended_in_order_has_not() {
        assert!(death(HALTED, "", false).append_failed);
        assert!(!death(ORDERLY, "", false).append_failed);
        assert!(!death(Some(143 << 8), "", false).append_failed, "SIGTERM, heeded");
        assert!(!death(HALTED, "", false).is_for_want_of_room);
    }

    #[test]
    fn an_append_that_failed_is_known_from_its_log_whoever_started_it() {
        for words in FAILED {
            assert!(
                death(NOT_OUR_CHILD, &format!("12:00 ERROR {words} hooklog.raw-0\n"), false).append_failed,
                "{words}"
            );
        }
    }

    #[test]
    fn on_a_full_disk_it_is_believed_to_have_lost_something_even_where_no_log_could_say_so() {
        for end in [KILLED, HALTED, NOT_OUR_CHILD] {
            let death = death(end, "", true);
            assert!(death.append_failed && death.is_for_want_of_room, "{end:?}");
        }
        let said = death(NOT_OUR_CHILD, "java.io.IOException: No space left on device", false);
        assert!(said.append_failed && said.is_for_want_of_room, "room was made before anybody looked");
    }
}
