//! Whether the topics are to be provided once more: pure.

use crate::broker::PowerLoss;

/// Why the topics have to be provided again, by what came of that and the marks of the log before and after it. A broker that
/// died meanwhile and may have lost tails is started again at once, since no service runs: so its mark tells, not its state.
pub(super) fn why_again(
    outcome: Result<(), &anyhow::Error>,
    before: Option<&PowerLoss>,
    after: Option<&PowerLoss>,
) -> Option<String> {
    let newer = after.filter(|after| before != Some(after));
    match (outcome, newer) {
        (Ok(()), _) => after.map(|mark| format!("{} while the topics were checked", mark.cause())),
        (Err(error), _) if is_passing(error) => Some(format!("Kafka is not ready: {}", crate::exit::told(error))),
        // It was seen while it was cut.
        (Err(error), Some(mark)) => Some(format!("{} meanwhile: {}", mark.cause(), crate::exit::told(error))),
        (Err(_), None) => None,
    }
}

/// Whether Kafka was away, or busy.
fn is_passing(error: &anyhow::Error) -> bool {
    error.chain().filter_map(of_log).any(hooklog_log::Error::is_passing)
}

/// What Kafka did, where this cause tells it: an error that only stands for another one hides that from the chain.
fn of_log<'e>(cause: &'e (dyn std::error::Error + 'static)) -> Option<&'e hooklog_log::Error> {
    if let Some(hooklog_task::Error::Log(error)) = cause.downcast_ref() {
        return Some(error);
    }
    if let Some(hooklog_projector::Error::Log(error)) = cause.downcast_ref() {
        return Some(error);
    }
    cause.downcast_ref()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_provided_again_where_kafka_was_away_or_another_append_failed_meanwhile() {
        let (one, other) = (PowerLoss::example("one"), PowerLoss::example("other"));
        let (one, other) = (Some(&one), Some(&other));
        let passing = anyhow::Error::new(hooklog_log::Error::NoTopic("hooklog.raw".into()));
        let lasting = anyhow::anyhow!("raw is not whole");
        let again = |outcome, before, after| why_again(outcome, before, after).is_some();
        for (before, after, ok, failed) in [
            (None, None, false, false),
            (one, None, false, false),
            (None, one, true, true),
            (one, other, true, true),
            (one, one, true, false),
        ] {
            assert_eq!(again(Ok(()), before, after), ok, "{before:?} {after:?}");
            assert_eq!(again(Err(&lasting), before, after), failed, "{before:?} {after:?}");
            assert!(again(Err(&passing), before, after));
        }
    }

    #[test]
    fn a_kafka_that_is_away_is_known_however_deep_it_is_told() {
        let away = || hooklog_log::Error::NoTopic("hooklog.raw".into());
        assert!(is_passing(&anyhow::Error::new(away()).context("while it was checked")));
        assert!(is_passing(&anyhow::Error::new(hooklog_task::Error::Log(away()))));
        assert!(!is_passing(&anyhow::Error::new(hooklog_log::Error::Contradiction(vec![]))));
        assert!(!is_passing(&anyhow::anyhow!("raw is not whole")));
    }

    /// All that the check of a marked log can end with, as it is told by whoever meets it.
    #[test]
    fn a_check_that_kafka_cut_short_is_begun_again_and_one_that_found_damage_is_not() {
        use hooklog_log::Error;
        use hooklog_log::native::{Class, Failure};
        use hooklog_schemas::Partition;
        use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
        let failure = |class, code| Failure { class, code, text: String::new() };
        let unreachable = |code| {
            let source = KafkaError::GroupListFetch(code);
            Error::Unreachable { brokers: "127.0.0.1:9092".into(), what: "who is in the group", source }
        };
        let aborting = |class, code| Error::Native { what: "to abort", failure: failure(class, code) };
        let producer = |class, code| Error::Producer { id: "hooklog.repair".into(), failure: failure(class, code) };
        let read = Error::Read { topic: "hooklog.raw".into(), partition: Partition(0), reason: "silent".into() };
        let passing: [anyhow::Error; 11] = [
            unreachable(Code::BrokerTransportFailure).into(),
            unreachable(Code::OperationTimedOut).into(),
            unreachable(Code::CoordinatorLoadInProgress).into(),
            unreachable(Code::KafkaStorageError).into(),
            anyhow::Error::new(aborting(Class::Retriable, Code::OperationTimedOut))
                .context("the repair was not committed"),
            aborting(Class::Abortable, Code::KafkaStorageError).into(),
            aborting(Class::Other, Code::OperationTimedOut).into(),
            producer(Class::Other, Code::CoordinatorNotAvailable).into(),
            read.into(),
            hooklog_projector::Error::Log(unreachable(Code::BrokerTransportFailure)).into(),
            hooklog_task::Error::Log(unreachable(Code::BrokerTransportFailure)).into(),
        ];
        for error in passing {
            assert!(is_passing(&error), "{error:#}");
        }
        let lasting: [anyhow::Error; 4] = [
            aborting(Class::Fatal, Code::Fenced).into(),
            producer(Class::Other, Code::TransactionalIdAuthorizationFailed).into(),
            hooklog_projector::Error::Log(Error::Contradiction(vec![])).into(),
            anyhow::anyhow!("raw has lost webhooks"),
        ];
        for error in lasting {
            assert!(!is_passing(&error), "{error:#}");
        }
    }
}
