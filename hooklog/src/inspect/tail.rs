//! `hooklog tail`: the records of a topic, decoded, as they are and as they come.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::ValueEnum;
use hooklog_log::connection::{ASK, Isolation};
use hooklog_log::reader::{self, Ended};
use hooklog_log::watermarks::{self, Watermarks};
use hooklog_log::{SimpleConsumer, native};
use hooklog_schemas::{NextOffset, Partition};
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{Offset, TopicPartitionList};
use serde_json::Value;

use super::conflicts::Marker;
use super::start::Start;
use super::{ignore_broken_pipe, line, status};
use crate::cluster::Cluster;
use crate::settings::Common;

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    topic: Topic,
    /// Where to begin: beginning, end, an offset of each partition, or a moment such as 2026-01-01T00:00:00Z
    #[arg(long, default_value = "end", value_name = "WHERE")]
    from: Start,
    /// Only records with this key: an event id on raw, a subject such as stripe/live/cus_1 on events
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// End after this many records
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// Go on with what comes; this is the default
    #[arg(long, overrides_with = "no_follow")]
    follow: bool,
    /// End with the last record that is there now
    #[arg(long)]
    no_follow: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Topic {
    Raw,
    Events,
    Control,
}

/// How long a poll may overlook Ctrl-C.
const POLL: Duration = Duration::from_millis(100);

type Reader = SimpleConsumer<Ended>;

/// Runs the command to its end.
pub(crate) fn tail(args: &Args, common: &Common) -> Result<ExitCode> {
    let cluster = Cluster::find(common)?;
    let topics = cluster.settings.topics();
    let (name, word) = match args.topic {
        Topic::Raw => (topics.raw(), "raw"),
        Topic::Events => (topics.events(), "events"),
        Topic::Control => (topics.control(), "control"),
    };
    let mut config = cluster.connection.reader_config(Isolation::Committed);
    config.set("enable.partition.eof", "true").set("statistics.interval.ms", reader::TELL_MS);
    let reader = SimpleConsumer::of(&config, Ended::default())?;
    let ends = ends_of(&cluster, &reader, &name)?;
    let begun = assign(&reader, &name, &ends, args.from)?;
    let unread = Unread::of(&begun, &ends);
    let known = if args.topic == Topic::Raw { status::told(&cluster) } else { Value::Null };
    let mut marker = (args.topic == Topic::Raw).then(|| Marker::new(cluster.window(), &known));
    let mut show = |record: &BorrowedMessage<'_>| {
        let first = marker.as_mut().and_then(|marker| marker.mark(record));
        if common.json { line::json(record, word, first) } else { line::text(record, word, first) }
    };
    let mut out = anstream::stdout().lock();
    let stopped = interrupted()?;
    ignore_broken_pipe(follow(args, &reader, unread, &stopped, &mut |record| writeln!(out, "{}", show(record)))?)
}

/// The ends that a reader of committed records can reach now.
fn ends_of(cluster: &Cluster, reader: &Reader, name: &str) -> Result<Vec<Watermarks>> {
    let ids = native::topic_ids(reader.client(), &[name], ASK);
    let ids = ids.map_err(|failure| hooklog_log::Error::Native { what: "the topic's id", failure })?;
    if ids.iter().all(Option::is_none) {
        return Err(hooklog_log::Error::NoTopic(name.to_owned()).into());
    }
    let metadata = reader.fetch_metadata(Some(name), ASK)?;
    let partitions = metadata.topics().first().map_or(0, |topic| topic.partitions().len());
    Ok(watermarks::all(&cluster.connection, name, u32::try_from(partitions)?, Isolation::Committed)?)
}

/// Gives where it begins.
fn assign(reader: &Reader, name: &str, ends: &[Watermarks], from: Start) -> Result<TopicPartitionList> {
    let mut list = TopicPartitionList::new();
    for (partition, ends) in (0..).zip(ends) {
        let at = match from {
            Start::Beginning => ends.earliest.0,
            Start::End | Start::Time(_) => ends.end.0,
            Start::Offset(offset) => offset.clamp(ends.earliest.0, ends.end.0),
        };
        list.add_partition_offset(name, partition, Offset::Offset(at))?;
    }
    if let Start::Time(moment) = from {
        list = at_time(reader, name, ends, moment.0)?;
    }
    reader.assign(&list).context("the topic cannot be read")?;
    Ok(list)
}

fn at_time(reader: &Reader, name: &str, ends: &[Watermarks], millis: i64) -> Result<TopicPartitionList> {
    let mut asked = TopicPartitionList::new();
    for (partition, _) in (0..).zip(ends) {
        asked.add_partition_offset(name, partition, Offset::Offset(millis))?;
    }
    let found =
        reader.offsets_for_times(asked, ASK).context("the broker does not say which records are of that time")?;
    let mut list = TopicPartitionList::new();
    for (partition, ends) in (0..).zip(ends) {
        let at = found.find_partition(name, partition).map(|element| element.offset());
        // Where nothing is so young, it begins with what comes next.
        let at = if let Some(Offset::Offset(at)) = at { at } else { ends.end.0 };
        list.add_partition_offset(name, partition, Offset::Offset(at))?;
    }
    Ok(list)
}

/// Shows records until it was enough. The outer error is Kafka's, the inner one the output's.
fn follow(
    args: &Args,
    reader: &Reader,
    mut unread: Unread,
    stopped: &AtomicBool,
    show: &mut dyn FnMut(&BorrowedMessage<'_>) -> io::Result<()>,
) -> Result<io::Result<()>> {
    let mut left = args.limit.unwrap_or(u64::MAX);
    while left > 0 && !stopped.load(Ordering::Relaxed) && !(args.no_follow && unread.is_empty()) {
        let polled = reader.poll(POLL);
        if let Some(Ok(record)) = &polled {
            unread.goes_on(Partition(record.partition()));
        }
        match polled {
            Some(Ok(record)) if args.no_follow && unread.ends_before(&record) => {}
            Some(Ok(record)) if args.key.as_deref().is_none_or(|key| record.key() == Some(key.as_bytes())) => {
                if let Err(error) = show(&record) {
                    return Ok(Err(error));
                }
                left -= 1;
            }
            Some(Ok(_)) => {}
            None => unread.look(reader),
            Some(Err(KafkaError::PartitionEOF(partition))) => unread.ends(Partition(partition)),
            Some(Err(error)) if is_passing(&error) => tracing::debug!(%error, "waiting for the brokers"),
            Some(Err(error)) => return Err(error).context("the topic cannot be read on"),
        }
    }
    Ok(Ok(()))
}

/// The partitions whose ends, as they were when the command was given, are not reached, and these ends. A replica that lags
/// ends earlier: that it has nothing more to give says nothing.
struct Unread(BTreeMap<Partition, End>);

struct End {
    topic: String,
    offset: NextOffset,
    /// Whether the client met an end of the partition since its last record.
    is_met: bool,
}

impl Unread {
    fn of(begun: &TopicPartitionList, ends: &[Watermarks]) -> Unread {
        let unread = begun.elements().into_iter().zip(ends).filter_map(|(element, ends)| {
            let is_there = matches!(element.offset(), Offset::Offset(begun) if begun >= ends.end.0);
            let end = || End { topic: element.topic().to_owned(), offset: ends.end, is_met: false };
            (!is_there).then(|| (Partition(element.partition()), end()))
        });
        Unread(unread.collect())
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `record` came after the command was given: then its partition is read.
    fn ends_before(&mut self, record: &BorrowedMessage<'_>) -> bool {
        let partition = Partition(record.partition());
        if self.0.get(&partition).is_some_and(|end| record.offset() < end.offset.0) {
            return false;
        }
        self.0.remove(&partition);
        true
    }

    /// A record of `partition` was given.
    fn goes_on(&mut self, partition: Partition) {
        self.0.entry(partition).and_modify(|end| end.is_met = false);
    }

    /// The client met an end of `partition`.
    fn ends(&mut self, partition: Partition) {
        self.0.entry(partition).and_modify(|end| end.is_met = true);
    }

    /// Forgets what `reader` has passed, when nothing was polled. What the client's statistics tell counts only behind an end
    /// that was met: they overtake records that are queued. See [`reader::Reader`].
    fn look(&mut self, reader: &Reader) {
        self.0.retain(|partition, end| {
            let stands = reader::stands(reader, &end.topic, *partition);
            let ended = end.is_met.then(|| reader.context().at(*partition)).flatten();
            stands.max(ended).is_none_or(|at| at < end.offset)
        });
    }
}

fn is_passing(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        error.rdkafka_error_code(),
        Some(Code::AllBrokersDown | Code::BrokerTransportFailure | Code::OperationTimedOut | Code::Resolve)
    )
}

/// Set on Ctrl-C and SIGTERM, by a thread of its own.
fn interrupted() -> Result<Arc<AtomicBool>> {
    let stopped = Arc::new(AtomicBool::new(false));
    let (flag, runtime) = (Arc::clone(&stopped), tokio::runtime::Builder::new_current_thread().enable_all().build()?);
    let watch = async move {
        use tokio::signal::unix::{SignalKind, signal};
        let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
        else {
            return;
        };
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        flag.store(true, Ordering::Relaxed);
    };
    std::thread::Builder::new().name("signals".into()).spawn(move || runtime.block_on(watch))?;
    Ok(stopped)
}
