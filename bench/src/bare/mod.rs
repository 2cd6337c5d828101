//! The limit: what a librdkafka loop does on the same records when it neither dedups nor stores.

mod transaction;
mod transform;
pub(crate) mod worker;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use rdkafka::consumer::BaseConsumer;

use crate::clients;
use crate::topics;
use worker::{Cadence, Route, Worker};

/// One run of the bare loop over all that raw holds.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// Addresses of the Kafka brokers
    #[arg(long)]
    pub(crate) brokers: String,
    /// Topic to read, from its beginning to the end it has now
    #[arg(long, default_value = "bench.raw")]
    pub(crate) raw: String,
    /// Topic to write
    #[arg(long, default_value = "bench.events")]
    pub(crate) events: String,
    /// Group whose offsets are committed
    #[arg(long, default_value = "bench-limit")]
    pub(crate) group: String,
    /// Threads, each with a consumer and a transactional producer
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(i32).range(1..=4))]
    pub(crate) workers: i32,
    /// Gives up after so long
    #[arg(long, default_value_t = 300)]
    pub(crate) deadline_seconds: u64,
}

/// Moves everything and ends.
///
/// # Errors
/// When the broker refuses something, a body is no event, or the deadline passes.
pub(crate) fn run(args: &Args) -> Result<()> {
    let ends = topics::ends(&clients::observer(&args.brokers, &args.group).create::<BaseConsumer>()?, &args.raw)?;
    let route = route(args)?;
    let cadence = Cadence { interval: Duration::from_millis(100), records: 20_000 };
    let deadline = Instant::now() + Duration::from_secs(args.deadline_seconds);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..args.workers)
            .map(|index| {
                let (route, ends) = (&route, ends.as_slice());
                scope.spawn(move || work(route, cadence, index, args.workers, ends, deadline))
            })
            .collect();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| anyhow!("a worker panicked"))?)
    })
}

fn work(route: &Route, cadence: Cadence, index: i32, count: i32, ends: &[i64], deadline: Instant) -> Result<()> {
    let mut worker = Worker::open(route, cadence, index, count)?;
    let own = |partition: usize| partition % count as usize == index as usize;
    let mut late = false;
    worker.run(|next| {
        late = Instant::now() >= deadline;
        late || next.iter().zip(ends).enumerate().all(|(partition, (next, end))| !own(partition) || next >= end)
    })?;
    if late {
        bail!("not done by the deadline: give --deadline-seconds more, or load fewer records");
    }
    Ok(())
}

fn route(args: &Args) -> Result<Route> {
    Ok(Route {
        brokers: args.brokers.clone(),
        raw: args.raw.clone(),
        events: args.events.clone(),
        group: args.group.clone(),
        log_id: topics::id(&args.brokers, &args.raw).context("raw has no topic id")?,
    })
}
