//! The services are stopped: for good, or until the log was checked.

use std::time::Duration;

use anyhow::anyhow;
use tokio_util::sync::CancellationToken;

use super::{INGEST, Services, told};
use crate::up::phases::Phase;

impl Services {
    /// Stops them, and waits as long as that takes, since nothing may run on. Once the process is to stop, or no broker comes any
    /// more, it waits no longer than `within`. So long it also waits before a broker that they may need is started again. `attend`
    /// does for the broker what a phase asks for, until none comes any more.
    ///
    /// Some calls of librdkafka come back only once a broker answers. So when ingest has ended, and with it every
    /// acknowledgement, and the others have had their time, a broker that is unsound, or becomes so, is let go on: whoever is
    /// still there ends the transaction that it had open, and begins no other.
    pub(in crate::up) async fn pause<A: Future<Output = ()>>(
        mut self,
        cancel: &CancellationToken,
        within: Duration,
        attend: impl Fn(Phase) -> A,
    ) {
        self.stop.cancel();
        // One deadline for all of it, from whichever comes first.
        let over = cancel.child_token();
        let all = async {
            let ingest = async {
                let _ = tokio::time::timeout(within, self.join(|_| false)).await;
                self.join(|left| !left.contains(&INGEST)).await;
            };
            attended(ingest, attend(Phase::Stopping), &over).await;
            attended(self.join(|_| false), attend(Phase::Draining), &over).await;
        };
        let deadline = async {
            over.cancelled().await;
            tokio::time::sleep(within).await;
        };
        tokio::select! {
            () = all => {}
            () = deadline => {}
        }
    }

    /// Until all have ended, or `enough` have; `enough` is told who is left.
    async fn join(&mut self, enough: impl Fn(&[&'static str]) -> bool) {
        while !enough(&self.left()) {
            let Some(ended) = self.ended().await else { return };
            if let Err(error) = told(ended) {
                tracing::warn!("while the services were stopped: {}", crate::exit::told(&error));
            }
        }
    }

    /// All at once: no webhook comes in any more, those that are under way get their answer, and the tasks commit what they
    /// have. What they leave in `raw` is there at the next start.
    pub(in crate::up) async fn stop(mut self, within: Duration) -> anyhow::Result<()> {
        self.stop.cancel();
        let mut outcome = Ok(());
        let all = async {
            while let Some(ended) = self.ended().await {
                let before = std::mem::replace(&mut outcome, Ok(()));
                outcome = before.and(told(ended));
            }
        };
        match tokio::time::timeout(within, all).await {
            Ok(()) => outcome,
            // What it had open is undone by Kafka, and done again by the next start.
            Err(_) => Err(anyhow!("{} did not stop within {} s", self.left().join(" and "), within.as_secs())),
        }
    }
}

/// Until `work` is done. Where `attend` ends before that, it is `over`.
async fn attended(work: impl Future<Output = ()>, attend: impl Future<Output = ()>, over: &CancellationToken) {
    let attend = async {
        attend.await;
        over.cancel();
        std::future::pending().await
    };
    tokio::select! {
        () = work => {}
        () = attend => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::State;
    use crate::up::closed::Why;
    use crate::up::phases;
    use crate::up::services::{Addresses, ServiceStatus};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use tokio::sync::{Notify, watch};
    use tokio::task::JoinSet;

    /// Longer than any machine is slow.
    const LONG: Duration = Duration::from_secs(20);
    const SHORT: Duration = Duration::from_millis(20);

    /// Ingest that ends, or panics, once `end` says so, and a processor that needs the broker for its end.
    fn ingest_and_processor(end: &Arc<Notify>, is_panic: bool, broker: &Arc<Notify>) -> Services {
        let (stop, addresses) = (CancellationToken::new(), Addresses { ingest: None, query: None });
        let (running, standing) = (JoinSet::new(), ServiceStatus::beginning(None));
        let mut services = Services { stop, running, names: Vec::new(), standing, addresses };
        let (end, broker) = (end.clone(), broker.clone());
        services.spawn(INGEST, async move {
            end.notified().await;
            assert!(!is_panic, "a defect");
            Ok(())
        });
        services.spawn("processor", async move {
            broker.notified().await;
            Ok(())
        });
        services
    }

    fn unsound() -> State {
        State::Unsound { why: "an append failed".into() }
    }

    /// Stops them while the broker is unsound already, or becomes so after ingest has ended.
    async fn broker_is_let_go_on(is_unsound_at_once: bool, is_panic: bool) {
        let (end, broker, why) = (Arc::new(Notify::new()), Arc::new(Notify::new()), Why::of("it stops"));
        let (announce, states) = watch::channel(State::Running { pid: 1 });
        if is_unsound_at_once {
            announce.send_replace(unsound());
        }
        let has_ended = AtomicBool::new(false);
        let go_on = || {
            assert!(has_ended.load(Ordering::Relaxed), "ingest may still acknowledge");
            broker.notify_one();
        };
        let cancel = CancellationToken::new();
        let attend = |phase| phases::attend(phase, Some(states.clone()), &why, go_on);
        let paused = ingest_and_processor(&end, is_panic, &broker).pause(&cancel, SHORT, attend);
        let events = async {
            tokio::time::sleep(SHORT * 3).await;
            has_ended.store(true, Ordering::Relaxed);
            end.notify_one();
            tokio::time::sleep(SHORT * 3).await;
            announce.send_replace(unsound());
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = paused => {}
            () = events => {}
            () = tokio::time::sleep(LONG) => panic!("nobody lets the broker go on: {is_unsound_at_once}, {is_panic}"),
        }
    }

    #[tokio::test]
    async fn an_unsound_broker_that_a_service_needs_for_its_end_is_let_go_on_whenever_it_became_so() {
        for (is_unsound_at_once, is_panic) in [(false, false), (true, false), (false, true), (true, true)] {
            broker_is_let_go_on(is_unsound_at_once, is_panic).await;
        }
    }

    /// Whether they are waited for no longer, though the processor has not ended.
    async fn is_left(given_up: bool, cancelled: bool, has_ingest_ended: bool) -> bool {
        let (end, broker, why) = (Arc::new(Notify::new()), Arc::new(Notify::new()), Why::of("it stops"));
        let (announce, states) = watch::channel(State::Running { pid: 1 });
        let cancel = CancellationToken::new();
        let attend = |phase| phases::attend(phase, Some(states.clone()), &why, || {});
        let paused = ingest_and_processor(&end, false, &broker).pause(&cancel, SHORT, attend);
        if has_ingest_ended {
            end.notify_one();
        }
        if given_up {
            announce.send_replace(State::GaveUp);
        }
        if cancelled {
            cancel.cancel();
        }
        let may_take = if given_up || cancelled { LONG } else { SHORT * 5 };
        tokio::time::timeout(may_take, paused).await.is_ok()
    }

    #[tokio::test]
    async fn a_service_is_not_waited_for_longer_once_no_broker_comes_any_more_or_the_process_is_to_stop() {
        for has_ingest_ended in [false, true] {
            assert!(is_left(true, false, has_ingest_ended).await, "no broker comes any more");
            assert!(is_left(false, true, has_ingest_ended).await, "the process is to stop");
            assert!(!is_left(false, false, has_ingest_ended).await, "nothing may run on beside a check");
        }
    }

    #[tokio::test]
    async fn a_process_that_is_to_stop_waits_once_for_all_of_it_however_late_ingest_ends() {
        let (end, broker, why) = (Arc::new(Notify::new()), Arc::new(Notify::new()), Why::of("it stops"));
        let (_announce, states) = watch::channel(State::Running { pid: 1 });
        let (cancel, within, began) = (CancellationToken::new(), Duration::from_secs(2), tokio::time::Instant::now());
        cancel.cancel();
        let attend = |phase| phases::attend(phase, Some(states.clone()), &why, || {});
        let paused = ingest_and_processor(&end, false, &broker).pause(&cancel, within, attend);
        let late = async {
            tokio::time::sleep(within * 4 / 5).await;
            end.notify_one();
        };
        tokio::join!(paused, late);
        assert!(began.elapsed() < within * 3 / 2, "{:?}", began.elapsed());
    }
}
