//! What becomes of a post after an attempt: a pure decision.

use std::time::Duration;

/// How one attempt went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The server answered.
    Status { code: u16, retry_after: Option<Duration> },
    /// Nothing accepted the connection.
    Refused,
    /// The connection broke before the answer was there: it may have been stored.
    Broken,
    /// No answer within the deadline.
    TimedOut,
}

/// How long to go on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    pub(super) retry: bool,
    /// Give a post up when its first attempt is this long ago.
    pub(super) at_most: Option<Duration>,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Acked,
    GivenUp,
    Again(Duration),
}

const SHORTEST: Duration = Duration::from_millis(25);
const LONGEST: Duration = Duration::from_secs(2);
/// A server that asks for more is not believed.
const LONGEST_ASKED_FOR: Duration = Duration::from_secs(10);

impl Answer {
    /// As the report names it.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Status { code, .. } => code.to_string(),
            Self::Refused => "refused".to_owned(),
            Self::Broken => "broken".to_owned(),
            Self::TimedOut => "timeout".to_owned(),
        }
    }

    fn is_ack(&self) -> bool {
        matches!(self, Self::Status { code: 200..=299, .. })
    }

    /// Whether another attempt could end differently: not where the server has judged the request itself.
    fn is_final(&self) -> bool {
        matches!(self, Self::Status { code: 300..=407 | 409..=428 | 430..=499, .. })
    }
}

/// Judges attempt number `attempt` (from 0), `spent` after the first one began; `chance` is uniform in `0.0..1.0`.
pub(super) fn judge(answer: &Answer, attempt: u32, spent: Duration, patience: Patience, chance: f64) -> Verdict {
    if answer.is_ack() {
        return Verdict::Acked;
    }
    let pause = pause(answer, attempt, chance);
    let is_over = patience.at_most.is_some_and(|at_most| spent + pause > at_most);
    if !patience.retry || answer.is_final() || is_over { Verdict::GivenUp } else { Verdict::Again(pause) }
}

/// Full jitter, after the moment that the server asked for.
fn pause(answer: &Answer, attempt: u32, chance: f64) -> Duration {
    let ceiling = SHORTEST.saturating_mul(1 << attempt.min(10)).min(LONGEST);
    let asked = match answer {
        Answer::Status { retry_after: Some(asked), .. } => (*asked).min(LONGEST_ASKED_FOR),
        _ => Duration::ZERO,
    };
    asked + SHORTEST.max(ceiling.mul_f64(chance))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENT: Patience = Patience { retry: true, at_most: None };

    fn status(code: u16) -> Answer {
        Answer::Status { code, retry_after: None }
    }

    fn verdict(answer: &Answer, patience: Patience) -> Verdict {
        judge(answer, 0, Duration::from_secs(5), patience, 0.5)
    }

    #[test]
    fn only_two_hundreds_are_acks() {
        assert_eq!(verdict(&status(200), PATIENT), Verdict::Acked);
        assert_eq!(verdict(&status(302), PATIENT), Verdict::GivenUp);
    }

    #[test]
    fn what_the_server_refused_for_good_is_not_tried_again() {
        for code in [400, 401, 404, 413, 422] {
            assert_eq!(verdict(&status(code), PATIENT), Verdict::GivenUp, "{code}");
        }
    }

    #[test]
    fn what_may_pass_is_tried_again_when_asked_to() {
        for answer in
            [status(503), status(429), status(408), status(500), Answer::Refused, Answer::Broken, Answer::TimedOut]
        {
            assert!(matches!(verdict(&answer, PATIENT), Verdict::Again(_)), "{answer:?}");
            assert_eq!(verdict(&answer, Patience { retry: false, at_most: None }), Verdict::GivenUp);
        }
    }

    #[test]
    fn patience_ends() {
        let until = |seconds| Patience { retry: true, at_most: Some(Duration::from_secs(seconds)) };
        assert_eq!(verdict(&status(503), until(5)), Verdict::GivenUp);
        assert!(matches!(verdict(&status(503), until(6)), Verdict::Again(_)));
    }

    #[test]
    fn pauses_grow_with_jitter_to_a_ceiling() {
        assert_eq!(pause(&Answer::Refused, 0, 1.0), SHORTEST);
        assert_eq!(pause(&Answer::Refused, 3, 0.5), Duration::from_millis(100));
        assert_eq!(pause(&Answer::Refused, 40, 1.0), LONGEST);
        assert_eq!(pause(&Answer::Refused, 40, 0.0), SHORTEST);
    }

    #[test]
    fn the_server_is_asked_after_its_moment_but_not_after_an_hour() {
        let asking = |seconds| Answer::Status { code: 503, retry_after: Some(Duration::from_secs(seconds)) };
        assert_eq!(pause(&asking(1), 0, 1.0), Duration::from_secs(1) + SHORTEST);
        assert_eq!(pause(&asking(3_600), 0, 1.0), LONGEST_ASKED_FOR + SHORTEST);
    }
}
