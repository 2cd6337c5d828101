//! The task that owns the producer: hands records on, watches Kafka, replaces a producer that turned fatal.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::ClientConfig;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep_until};

use super::producer::{Fatal, Producer};
use super::renewal::{Happening, Renewal, Step};
use super::{Append, Readiness, Rejected, properties};
use crate::measure;
use crate::{Config, Error};

/// How often Kafka is asked whether `raw` can be written, and how long it may take to say so.
const LOOK_EVERY: Duration = Duration::from_secs(2);
const LOOK_PATIENCE: Duration = Duration::from_secs(2);
/// How long what is in flight may still be answered when the service stops.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

pub(super) struct Task {
    config: ClientConfig,
    topic: Arc<str>,
    partitions: u32,
    producer: Option<Producer>,
    renewal: Renewal,
    renew_at: Instant,
    complaints: mpsc::Receiver<Fatal>,
    complain: mpsc::Sender<Fatal>,
    report: watch::Sender<Readiness>,
    looking: Option<JoinHandle<Readiness>>,
}

impl Task {
    pub(super) fn new(config: &Config, report: watch::Sender<Readiness>) -> Result<Task, Error> {
        let (complain, complaints) = mpsc::channel(8);
        let mut task = Task {
            config: properties::of(&config.connection, &config.limits),
            topic: config.topics.raw().into(),
            partitions: config.partitions,
            producer: None,
            renewal: Renewal::FIRST,
            renew_at: Instant::now(),
            complaints,
            complain,
            report,
            looking: None,
        };
        task.producer = Some(task.make().map_err(|error| Error::Producer { reason: error.to_string() })?);
        Ok(task)
    }

    /// Runs until every sender of `appends` is gone, then waits for the last answers.
    pub(super) async fn run(mut self, mut appends: mpsc::Receiver<Append>) {
        let mut ticks = ticks();
        loop {
            tokio::select! {
                append = appends.recv() => match append {
                    Some(append) => self.hand_on(append),
                    None => break,
                },
                Some(fatal) = self.complaints.recv() => self.complained(fatal),
                () = sleep_until(self.renew_at), if self.producer.is_none() => self.renew(),
                _ = ticks.tick(), if self.looking.is_none() => self.look(),
                readiness = finished(&mut self.looking), if self.looking.is_some() => self.looked(readiness),
            }
        }
        self.finish().await;
    }

    fn hand_on(&self, append: Append) {
        match &self.producer {
            Some(producer) => producer.send(append),
            None => drop(append.answer.send(Err(Rejected::Renewing))),
        }
    }

    fn complained(&mut self, fatal: Fatal) {
        let (renewal, step) = self.renewal.after(Happening::Fatal { generation: fatal.generation, acked: fatal.acked });
        self.renewal = renewal;
        let Step::RenewAfter(wait) = step else { return };
        tracing::error!(generation = fatal.generation, ?wait, "the producer for raw turned fatal and is renewed");
        metrics::counter!(measure::RENEWALS).increment(1);
        self.put_away();
        self.renew_at = Instant::now() + wait;
    }

    fn renew(&mut self) {
        let happening = match self.make() {
            Ok(producer) => {
                self.producer = Some(producer);
                Happening::Made
            }
            Err(error) => {
                tracing::error!("no new producer for raw can be made: {error}");
                Happening::NotMade
            }
        };
        let (renewal, step) = self.renewal.after(happening);
        self.renewal = renewal;
        if let Step::RenewAfter(wait) = step {
            self.renew_at = Instant::now() + wait;
        }
    }

    fn make(&self) -> rdkafka::error::KafkaResult<Producer> {
        let generation = self.renewal.generation;
        Producer::make(&self.config, self.topic.clone(), self.partitions, generation, self.complain.clone())
    }

    /// Dropping a producer joins its thread, hence away from the async threads.
    fn put_away(&mut self) {
        self.announce(Readiness::NotReady("the producer is being renewed".to_owned()));
        if let Some(producer) = self.producer.take() {
            tokio::task::spawn_blocking(move || {
                producer.abandon();
                drop(producer);
            });
        }
    }

    fn look(&mut self) {
        self.looking =
            self.producer.clone().map(|producer| tokio::task::spawn_blocking(move || producer.look(LOOK_PATIENCE)));
    }

    fn looked(&mut self, readiness: Readiness) {
        self.looking = None;
        if self.producer.is_some() {
            self.announce(readiness);
        }
    }

    fn announce(&self, readiness: Readiness) {
        let changed = self.report.send_if_modified(|known| {
            let changed = *known != readiness;
            known.clone_from(&readiness);
            changed
        });
        match readiness {
            Readiness::Ready if changed => tracing::info!("raw can be written to"),
            Readiness::NotReady(reason) if changed => tracing::warn!("raw cannot be written to: {reason}"),
            _ => {}
        }
    }

    async fn finish(mut self) {
        let Some(producer) = self.producer.take() else { return };
        let flushed = tokio::task::spawn_blocking(move || producer.flush(LAST_ANSWERS)).await;
        if !matches!(flushed, Ok(Ok(()))) {
            tracing::warn!(
                "some records were still unanswered when ingest stopped; their senders got no 200 and try again"
            );
        }
    }
}

fn ticks() -> Interval {
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// Waits for the look that is under way, without taking it out of its place while it is.
async fn finished(looking: &mut Option<JoinHandle<Readiness>>) -> Readiness {
    match looking {
        Some(look) => look.await.unwrap_or_else(|died| Readiness::NotReady(format!("looking at Kafka failed: {died}"))),
        None => std::future::pending().await,
    }
}
