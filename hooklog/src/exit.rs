//! Exit codes: 0 done, 1 the answer is no, 2 wrong use or configuration, 3 something that we need is not there.

use std::process::ExitCode;

use hyper::StatusCode;

use crate::{broker, datadir, http, settings, up};

/// Wrong use or configuration: the user's words have to change.
pub(crate) const USAGE: u8 = 2;
/// Something that we need is not there: the machine has to change.
pub(crate) const MISSING: u8 = 3;

fn is_wrong_use(cause: &(dyn std::error::Error + 'static)) -> bool {
    let contradicts = |error| matches!(error, &hooklog_log::Error::Contradiction(_));
    let rules = |error| matches!(error, &hooklog_projector::Error::Rules { .. });
    let unusable = |refused: &http::Refused| refused.status == StatusCode::UNPROCESSABLE_ENTITY;
    cause.is::<settings::Invalid>()
        || cause.is::<up::OtherWindow>()
        || cause.downcast_ref().is_some_and(unusable)
        || cause.downcast_ref().is_some_and(contradicts)
        || cause.downcast_ref().is_some_and(rules)
}

/// What the first error of the chain that knows its own code says; an error that knows none is the machine's.
pub(crate) fn code(error: &anyhow::Error) -> ExitCode {
    let known = error.chain().find_map(|cause| {
        let broker = cause.downcast_ref::<broker::Error>().map(broker::Error::exit_code);
        let directory = || cause.downcast_ref::<datadir::Error>().map(datadir::Error::exit_code);
        broker.or_else(directory).or_else(|| is_wrong_use(cause).then_some(USAGE))
    });
    ExitCode::from(known.unwrap_or(MISSING))
}

/// The error and its causes, without those that the text before them has told already.
pub(crate) fn told(error: &anyhow::Error) -> String {
    error.chain().fold(String::new(), |told, cause| match cause.to_string() {
        cause if told.is_empty() => cause,
        cause if told.contains(&cause) => told,
        cause => format!("{told}: {cause}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_that_a_running_hooklog_cannot_use_are_wrong_use_and_what_it_cannot_do_now_is_not() {
        let refused = |status| {
            let answer = http::Answer { status, body: r#"{"error":"no"}"#.to_owned() };
            format!("{:?}", code(&answer.accepted().unwrap_err().into()))
        };
        assert_eq!(refused(StatusCode::UNPROCESSABLE_ENTITY), format!("{:?}", ExitCode::from(USAGE)));
        assert_eq!(refused(StatusCode::CONFLICT), format!("{:?}", ExitCode::from(MISSING)));
    }

    #[test]
    fn a_cause_is_told_once() {
        let cause = || anyhow::anyhow!("no space");
        assert_eq!(
            told(&cause().context("cannot write x: no space. Make room")),
            "cannot write x: no space. Make room"
        );
        assert_eq!(told(&cause().context("while stopping")), "while stopping: no space");
    }
}
