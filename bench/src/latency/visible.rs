//! From the POST of a signed event until the query API answers with it.

use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::post::Caller;
use super::{Latency, Pace, latency};
use crate::load::body::{self, Event};

/// Between two looks at one subscription: what a figure may be too high by.
const LOOK: Duration = Duration::from_millis(2);
/// No event is visible sooner, so asking before would only take CPU from those who work on it.
const QUIET: Duration = Duration::from_millis(5);
const DEADLINE: Duration = Duration::from_secs(10);
/// One event in so many is waited for: at 200/s and 50 ms that is about 2 questions under way, 1,000 a second.
const WATCH_EVERY: u32 = 4;
/// More than this under way means that the service does not keep up.
const UNDER_WAY: usize = 500;

/// Posts new subscriptions at an even pace and waits for every fourth to be visible.
///
/// # Errors
/// When a POST is not answered 200, a subscription is not active in the view in time, or the pace cannot be kept.
pub(crate) fn run(caller: &Caller, seed: u64, pace: Pace) -> Result<Latency> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let waited = runtime.block_on(drive(caller, seed, pace))?;
    latency(waited).context("no event counted: give --seconds more")
}

async fn drive(caller: &Caller, seed: u64, pace: Pace) -> Result<Vec<Duration>> {
    let start = Instant::now();
    let mut under_way = JoinSet::new();
    let mut waited = Vec::new();
    for number in 0..pace.events() {
        let event = body::new_subscriber(seed, u64::from(number));
        let due = start + pace.due(number);
        tokio::time::sleep_until(due).await;
        let watch = pace.counts(number) && number % WATCH_EVERY == 0;
        under_way.spawn(follow(caller.clone(), event, due, watch));
        while let Some(done) = under_way.try_join_next() {
            waited.extend(done??);
        }
        if under_way.len() > UNDER_WAY {
            return Err(anyhow!("more than {UNDER_WAY} events under way: {} a second are too many here", pace.rate));
        }
    }
    while let Some(done) = under_way.join_next().await {
        waited.extend(done??);
    }
    Ok(waited)
}

/// The time until it was visible, of an event that is watched.
async fn follow(caller: Caller, event: Event, due: Instant, watch: bool) -> Result<Option<Duration>> {
    caller.post(&event).await?;
    if !watch {
        return Ok(None);
    }
    tokio::time::sleep_until(due + QUIET).await;
    while !caller.active(&event.object).await? {
        if due.elapsed() > DEADLINE {
            return Err(anyhow!("{} was acknowledged and is not visible after {DEADLINE:?}", event.id));
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(Some(due.elapsed()))
}
