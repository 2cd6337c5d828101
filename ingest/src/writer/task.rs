//! The task that owns the producer: hands records on, watches Kafka, replaces a producer that turned fatal.

use std::sync::Arc;
use std::time::Duration;

use hooklog_log::{Connection, insync};
use rdkafka::ClientConfig;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep_until};

use super::confirm::{self, Confirm, Other};
use super::producer::{Fatal, Producer};
use super::renewal::{Happening, Renewal, Step};
use super::{Append, Readiness, Rejected, Status, properties};
use crate::metric_names;
use crate::{Config, Error};

/// How often Kafka is asked whether `raw` can be written, and how long it may take to say so.
const LOOK_EVERY: Duration = Duration::from_secs(2);
const LOOK_PATIENCE: Duration = Duration::from_secs(2);
/// How long what is in flight may still be answered when the service stops.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

pub(super) struct Task {
    connection: Connection,
    config: ClientConfig,
    topic: Arc<str>,
    partitions: u32,
    producer: Option<Producer>,
    renewal: Renewal,
    renew_at: Instant,
    complaints: mpsc::Receiver<Fatal>,
    complain: mpsc::Sender<Fatal>,
    standing: Status,
    /// How many replicas must have a record, once Kafka has said so.
    least: Option<usize>,
    looking: Option<JoinHandle<Look>>,
    confirm: Confirm,
    other: Other,
}

impl Task {
    pub(super) fn new(config: &Config, standing: Status) -> Result<Task, Error> {
        let (complain, complaints) = mpsc::channel(8);
        let (confirm, other) = confirm::start(config)?;
        let mut task = Task {
            connection: config.connection.clone(),
            config: properties::of(&config.connection, &config.limits),
            topic: config.topics.raw().into(),
            partitions: config.partitions,
            producer: None,
            renewal: Renewal::FIRST,
            renew_at: Instant::now(),
            complaints,
            complain,
            standing,
            least: None,
            looking: None,
            confirm,
            other,
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
                changed = self.other.changed() => match changed {
                    Ok(()) => self.put_away(),
                    // The thread that confirms died: nothing can be acknowledged any more, and the process ends of it.
                    Err(_) => return,
                },
                () = sleep_until(self.renew_at), if self.producer.is_none() && !self.is_other() => self.renew(),
                _ = ticks.tick(), if self.looking.is_none() => self.look(),
                look = finished(&mut self.looking), if self.looking.is_some() => self.looked(look),
            }
        }
        self.finish().await;
    }

    fn hand_on(&self, append: Append) {
        match &self.producer {
            _ if self.is_other() => drop(append.answer.send(Err(Rejected::OtherLog))),
            Some(producer) => producer.send(append),
            None => drop(append.answer.send(Err(Rejected::Renewing))),
        }
    }

    /// Whether `raw` is another topic than the one that this process began to write to. It stays so.
    fn is_other(&self) -> bool {
        self.other.borrow().is_some()
    }

    fn complained(&mut self, fatal: Fatal) {
        let (renewal, step) = self.renewal.after(Happening::Fatal { generation: fatal.generation, acked: fatal.acked });
        self.renewal = renewal;
        let Step::RenewAfter(wait) = step else { return };
        tracing::error!(generation = fatal.generation, ?wait, "the producer for raw turned fatal and is renewed");
        metrics::counter!(metric_names::RENEWALS).increment(1);
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
        let (complain, confirm) = (self.complain.clone(), self.confirm.clone());
        Producer::make(&self.config, self.topic.clone(), self.partitions, generation, complain, confirm)
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
        let (connection, topic, least) = (self.connection.clone(), self.topic.clone(), self.least);
        let look = move |producer: Producer| {
            let least = least.map_or_else(|| insync::least(&connection, &topic), Ok);
            match least {
                Ok(least) => Look { least: Some(least), readiness: producer.look(LOOK_PATIENCE, least) },
                Err(error) => Look { least: None, readiness: Readiness::NotReady(error.to_string()) },
            }
        };
        self.looking = self.producer.clone().map(|producer| tokio::task::spawn_blocking(move || look(producer)));
    }

    fn looked(&mut self, look: Look) {
        self.looking = None;
        self.least = look.least;
        if self.producer.is_some() {
            self.announce(look.readiness);
        }
    }

    fn announce(&self, readiness: Readiness) {
        let other = self.other.borrow().as_ref().map(|other| Readiness::NotReady(other.to_string()));
        let readiness = other.unwrap_or(readiness);
        let changed = self.standing.look(&readiness);
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

/// What a look at Kafka came to.
struct Look {
    readiness: Readiness,
    least: Option<usize>,
}

/// Waits for the look that is under way, without taking it out of its place while it is.
async fn finished(looking: &mut Option<JoinHandle<Look>>) -> Look {
    let failed =
        |died| Look { readiness: Readiness::NotReady(format!("looking at Kafka failed: {died}")), least: None };
    match looking {
        Some(look) => look.await.unwrap_or_else(failed),
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use hooklog_log::{Connection, TopicId, Topics};
    use tokio::sync::oneshot;
    use tokio::time::timeout;

    use super::*;
    use crate::config::Limits;
    use crate::record::tests::record;
    use crate::writer::Answer;

    const LONG: Duration = Duration::from_secs(20);

    /// A task whose broker is never there: what it hands to librdkafka stays in flight.
    fn task() -> Task {
        let config = Config {
            connection: Connection::to("127.0.0.1:1"),
            topics: Topics::default(),
            partitions: 4,
            log: TopicId("log".to_owned()),
            sources: Vec::new(),
            tolerance: 300,
            limits: Limits { ack_timeout: LONG * 10, ..Limits::default() },
        };
        Task::new(&config, Status::closed("not yet")).unwrap()
    }

    fn append(task: &Task) -> oneshot::Receiver<Answer> {
        let (answer, answered) = oneshot::channel();
        task.hand_on(Append { record: record("evt_1"), answer });
        answered
    }

    async fn answer(answered: oneshot::Receiver<Answer>) -> Answer {
        timeout(LONG, answered).await.expect("answered long before the record times out").unwrap()
    }

    #[tokio::test]
    async fn what_is_in_flight_when_a_producer_turns_fatal_is_answered_and_its_successor_takes_over() {
        let mut task = task();
        let mut in_flight = append(&task);
        assert!(in_flight.try_recv().is_err());
        task.complained(Fatal { generation: 1, acked: false });
        assert_eq!(answer(in_flight).await, Err(Rejected::Renewing));
        assert_eq!(answer(append(&task)).await, Err(Rejected::Renewing), "while there is no producer");
        assert!(task.producer.is_none() && task.renew_at > Instant::now());
        task.renew();
        assert_eq!((task.producer.is_some(), task.renewal.generation), (true, 2));
        assert!(append(&task).try_recv().is_err(), "the successor has it");
    }

    #[tokio::test]
    async fn a_late_complaint_about_the_predecessor_costs_the_successor_nothing() {
        let mut task = task();
        task.complained(Fatal { generation: 1, acked: false });
        task.renew();
        let mut in_flight = append(&task);
        task.complained(Fatal { generation: 1, acked: false });
        assert!(task.producer.is_some() && in_flight.try_recv().is_err());
    }

    #[tokio::test]
    async fn it_ends_when_nobody_can_send_to_it_any_more() {
        let (queue, appends) = mpsc::channel(1);
        let running = tokio::spawn(task().run(appends));
        drop(queue);
        timeout(LONG, running).await.expect("it ends").unwrap();
    }

    #[tokio::test]
    async fn what_nobody_waits_for_any_more_is_not_handed_to_kafka() {
        let task = task();
        drop(append(&task));
        let (answer, answered) = oneshot::channel();
        drop(answered);
        let before = task.producer.as_ref().unwrap().waiting();
        task.hand_on(Append { record: record("evt_2"), answer });
        assert_eq!(task.producer.as_ref().unwrap().waiting(), before);
    }
}
