//! Fills raw: the same records for the same seed, through an idempotent producer, in the form ingest gives them.

pub(crate) mod body;
mod draw;
pub(crate) mod sequence;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hooklog_log::partition_for;
use hooklog_schemas::header;
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};

use crate::clients;
use crate::topics::{self, Clock};
use body::Event;

const DEADLINE: Duration = Duration::from_secs(120);

/// What to fill.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// Addresses of the Kafka brokers
    #[arg(long)]
    pub(crate) brokers: String,
    /// Begins the name of every topic
    #[arg(long, default_value = "bench.")]
    pub(crate) prefix: String,
    /// Records to write, every tenth of them a duplicate
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(100..=20_000_000))]
    pub(crate) records: u64,
    /// The same seed gives the same records
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
}

/// Makes `<prefix>raw` anew and fills it.
///
/// # Errors
/// When the broker is not there, refuses the topic, or does not take every record.
pub(crate) fn run(args: &Args) -> Result<()> {
    let raw = format!("{}raw", args.prefix);
    topics::fresh(&args.brokers, &raw, Clock::Broker)?;
    let producer: ThreadedProducer<DefaultProducerContext> = clients::loader(&args.brokers).create()?;
    for position in 0..args.records {
        let event = body::event(args.seed, sequence::event_at(args.seed, position));
        send(&producer, &raw, &event)?;
    }
    producer.flush(DEADLINE).context("the broker did not take all records in time")?;
    check(args, &raw)
}

/// Queues one event as a record of raw, waiting while the queue is full.
pub(crate) fn send(producer: &ThreadedProducer<DefaultProducerContext>, raw: &str, event: &Event) -> Result<()> {
    let deadline = Instant::now() + DEADLINE;
    let mut record = record(raw, event);
    loop {
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) if Instant::now() < deadline => {
                record = back;
                producer.poll(Duration::from_millis(1));
            }
            Err((error, _)) => return Err(error).context("cannot write to raw"),
        }
    }
}

fn record<'a>(raw: &'a str, event: &'a Event) -> BaseRecord<'a, str, [u8]> {
    let key = event.id.as_str();
    BaseRecord::to(raw)
        .key(key)
        .payload(event.body.as_slice())
        .partition(partition_for(key.as_bytes(), topics::PARTITIONS.cast_unsigned()).0)
        .headers(headers(event))
}

fn headers(event: &Event) -> OwnedHeaders {
    let received = (event.created * 1_000 + 250).to_string();
    let signed = event.created.to_string();
    [
        (header::NAMESPACE, "stripe"),
        (header::SOURCE, "stripe"),
        (header::RECEIVED_AT, received.as_str()),
        (header::SIGNATURE_TIME, signed.as_str()),
        (header::ENCRYPTION, header::ENCRYPTION_NONE),
        (header::TRACEPARENT, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
    ]
    .into_iter()
    .fold(OwnedHeaders::new_with_capacity(6), |headers, (key, value)| {
        headers.insert(Header { key, value: Some(value) })
    })
}

fn check(args: &Args, raw: &str) -> Result<()> {
    let consumer: BaseConsumer = clients::observer(&args.brokers, "hooklog-bench-load").create()?;
    let held: i64 = topics::ends(&consumer, raw)?.iter().sum();
    ensure!(held == i64::try_from(args.records)?, "{raw} holds {held} records, not {}: load again", args.records);
    Ok(())
}
