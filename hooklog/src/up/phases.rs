//! What `up` does about each state of its own broker, in each phase of its own: pure, but for the waiting.
//!
//! | | it runs, or is being restarted | it is unsound | it was given up |
//! |---|---|---|---|
//! | [`Phase::Closed`] | wait | let it go on | end |
//! | [`Phase::Serving`] | wait | stop the services | end |
//! | [`Phase::Stopping`] | wait | wait | end |
//! | [`Phase::Draining`] | wait | let it go on | end |
//!
//! A broker that is unsound is started again by nobody but us, and one that was given up never is. Whoever waits for Kafka waits
//! beside [`attend`], so that neither is waited for for ever.

use tokio::sync::watch::Receiver;

use super::closed::Why;
use crate::broker::State;

/// What `up` is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// No service runs: it waits for Kafka or for room, the topics are provided, or the log is checked. A check that the death
    /// of a broker cut short is made again, since that one left a mark of its own.
    Closed,
    /// The services run.
    Serving,
    /// They were told to stop, and ingest may still acknowledge what a broker wrote.
    Stopping,
    /// Ingest has ended. The others may wait for a broker before they can.
    Draining,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Wait,
    /// Nothing acknowledges what it writes: it may be started again.
    GoOn,
    StopServices,
    /// No broker comes any more.
    End,
}

pub(super) fn step(phase: Phase, state: &State) -> Step {
    match (state, phase) {
        (State::GaveUp, _) => Step::End,
        (State::Running { .. } | State::Restarting { .. }, _) => Step::Wait,
        (State::Unsound { .. }, Phase::Closed | Phase::Draining) => Step::GoOn,
        (State::Unsound { .. }, Phase::Serving) => Step::StopServices,
        (State::Unsound { .. }, Phase::Stopping) => Step::Wait,
    }
}

/// Takes the step of `phase` at each state, and says in `why` what keeps the broker from running. Returns once no broker comes
/// any more, or nobody looks after it; never, where it is not ours.
pub(super) async fn attend(phase: Phase, states: Option<Receiver<State>>, why: &Why, go_on: impl Fn()) {
    let Some(mut states) = states else { return std::future::pending().await };
    loop {
        let state = states.borrow_and_update().clone();
        if let State::Restarting { why: reason } | State::Unsound { why: reason } = &state {
            why.is(reason);
        }
        match step(phase, &state) {
            Step::End => return,
            Step::GoOn => go_on(),
            Step::Wait | Step::StopServices => {}
        }
        if states.changed().await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::time::Duration;
    use tokio::sync::watch;

    const PHASES: [Phase; 4] = [Phase::Closed, Phase::Serving, Phase::Stopping, Phase::Draining];
    /// Longer than any machine is slow.
    const LONG: Duration = Duration::from_secs(20);

    fn unsound() -> State {
        State::Unsound { why: "its disk refused an append".into() }
    }

    #[test]
    fn every_state_of_the_broker_has_its_step_in_every_phase() {
        use Step::{End, GoOn, StopServices, Wait};
        let table = [
            (State::Running { pid: 1 }, [Wait, Wait, Wait, Wait]),
            (State::Restarting { why: "it died".into() }, [Wait, Wait, Wait, Wait]),
            (unsound(), [GoOn, StopServices, Wait, GoOn]),
            (State::GaveUp, [End, End, End, End]),
        ];
        for (state, steps) in table {
            assert_eq!(PHASES.map(|phase| step(phase, &state)), steps, "{state:?}");
        }
    }

    #[tokio::test]
    async fn a_broker_that_becomes_unsound_later_is_let_go_on_each_time_and_its_reason_is_told() {
        for phase in [Phase::Closed, Phase::Draining] {
            let (announce, states) = watch::channel(State::Running { pid: 1 });
            let (why, said) = (Why::of("it is starting"), Cell::new(0));
            let attended = attend(phase, Some(states), &why, || said.set(said.get() + 1));
            tokio::pin!(attended);
            for time in 1..=2 {
                announce.send_replace(unsound());
                let passed = tokio::time::timeout(Duration::from_millis(20), &mut attended).await;
                assert!(passed.is_err() && said.get() == time, "{phase:?}, {}", said.get());
                assert_eq!(why.text(), "its disk refused an append");
                announce.send_replace(State::Running { pid: 2 });
                assert!(tokio::time::timeout(Duration::from_millis(20), &mut attended).await.is_err());
            }
        }
    }

    #[tokio::test]
    async fn nobody_waits_for_a_broker_that_was_given_up_or_that_nobody_looks_after() {
        for phase in PHASES {
            let why = Why::of("it is starting");
            let (announce, states) = watch::channel(State::Running { pid: 1 });
            announce.send_replace(State::GaveUp);
            tokio::time::timeout(LONG, attend(phase, Some(states), &why, || {})).await.expect("it was given up");
            let (announce, states) = watch::channel(State::Running { pid: 1 });
            drop(announce);
            tokio::time::timeout(LONG, attend(phase, Some(states), &why, || {})).await.expect("nobody is there");
        }
    }
}
