//! Which of the records that came are next. Pure.

use hooklog_schemas::{Millis, NextOffset, Offset, Partition};
use rdkafka::message::Message;

use crate::error::Error;
use crate::fault::CLOCK_TOLERANCE_MS;
use crate::input::Input;

/// Where a partition stands: up to where it is folded, applied or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cursor {
    pub(super) partition: Partition,
    pub(super) next: NextOffset,
    /// M.
    pub(super) stream_time: Millis,
}

/// The records that follow on `at` in order and without a hole, and what is wrong with the one behind them, if anything
/// is. What was folded already is passed over: a seek may give it again. `now` is the wall clock of this machine.
pub(super) fn due<'m, M: Message + 'm>(
    at: Cursor,
    messages: impl Iterator<Item = &'m M>,
    now: Millis,
) -> (Vec<Input<'m>>, Option<Error>) {
    let Cursor { partition, mut next, mut stream_time } = at;
    let mut inputs = Vec::new();
    for message in messages {
        let found = Offset(message.offset());
        if found < next.offset() {
            continue;
        }
        if found > next.offset() {
            return (inputs, Some(Error::Gap { partition, expected: next, found }));
        }
        let input = Input::read(message, stream_time);
        let ahead = Millis(input.time.0.saturating_sub(now.0));
        if ahead.0 > CLOCK_TOLERANCE_MS {
            return (inputs, Some(Error::BrokerClock { partition, offset: found, ahead }));
        }
        (next, stream_time) = (found.next(), input.time);
        inputs.push(input);
    }
    (inputs, None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rdkafka::Timestamp;
    use rdkafka::message::OwnedMessage;

    const NOW: i64 = 1_800_000_000_000;

    fn record((offset, time): (i64, i64)) -> OwnedMessage {
        let time = Timestamp::LogAppendTime(time);
        OwnedMessage::new(Some(b"{}".to_vec()), None, "raw".to_owned(), time, 3, offset, None)
    }

    /// Offsets and times of what is due where partition 3 stands at 5 and its clock at NOW.
    #[track_caller]
    fn check(records: &[(i64, i64)], expected: &[(i64, i64)]) -> Option<Error> {
        let at = Cursor { partition: Partition(3), next: NextOffset(5), stream_time: Millis(NOW) };
        let records: Vec<_> = records.iter().copied().map(record).collect();
        let (inputs, wrong) = due(at, records.iter(), Millis(NOW));
        let found: Vec<_> = inputs.iter().map(|input| (input.offset.0, input.time.0)).collect();
        assert_eq!(found, expected);
        wrong
    }

    #[test]
    fn what_was_folded_already_is_passed_over_wherever_it_comes() {
        let came = [(3, NOW), (4, NOW), (5, NOW), (4, NOW), (5, NOW), (6, NOW)];
        assert!(check(&came, &[(5, NOW), (6, NOW)]).is_none());
        assert!(check(&[(1, NOW), (2, NOW)], &[]).is_none());
    }

    #[test]
    fn a_gap_stops_behind_the_records_before_it() {
        let wrong = check(&[(5, NOW), (7, NOW), (8, NOW)], &[(5, NOW)]);
        let Some(Error::Gap { partition, expected, found }) = wrong else { panic!("{wrong:?}") };
        assert_eq!((partition, expected, found), (Partition(3), NextOffset(6), Offset(7)));
        assert!(matches!(check(&[(6, NOW)], &[]), Some(Error::Gap { .. })));
    }

    #[test]
    fn time_never_runs_backwards() {
        assert!(check(&[(5, NOW - 9), (6, NOW + 7), (7, NOW)], &[(5, NOW), (6, NOW + 7), (7, NOW + 7)]).is_none());
    }

    #[test]
    fn a_record_more_than_an_hour_ahead_stops_behind_the_records_before_it() {
        let hour = CLOCK_TOLERANCE_MS;
        assert!(check(&[(5, NOW + hour)], &[(5, NOW + hour)]).is_none());
        let wrong = check(&[(5, NOW), (6, NOW + hour + 1), (7, NOW)], &[(5, NOW)]);
        let Some(Error::BrokerClock { offset, ahead, .. }) = wrong else { panic!("{wrong:?}") };
        assert_eq!((offset, ahead), (Offset(6), Millis(hour + 1)));
    }

    #[test]
    fn a_clock_of_ours_that_was_set_back_stops_what_the_log_knows_to_be_later() {
        let at = Cursor { partition: Partition(3), next: NextOffset(5), stream_time: Millis(NOW) };
        let records = [record((5, 1))];
        let (inputs, wrong) = due(at, records.iter(), Millis(NOW - CLOCK_TOLERANCE_MS - 1));
        assert!(inputs.is_empty() && matches!(wrong, Some(Error::BrokerClock { .. })), "{wrong:?}");
    }
}
