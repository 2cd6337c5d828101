//! What the outputs say of their inputs: where no committed offset can be believed, they can.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;
use std::time::{Duration, Instant};

use hooklog_log::connection::{Connection, Isolation};
use hooklog_log::provision::Pinned;
use hooklog_log::reader::{OffsetRange, Reader};
use hooklog_log::watermarks::{self, Watermarks};
use hooklog_schemas::{Millis, NextOffset, Offset, Partition, RawPosition, header};
use hooklog_store::Verified;
use rdkafka::message::{BorrowedMessage, Headers, Message};
use tokio_util::sync::CancellationToken;

use crate::error::Error;
use crate::input;
use crate::rewritten::Origin;

/// How much of an output partition is read at first, from its end backwards; twice as much each time that was not enough.
const FIRST_CHUNK: i64 = 4096;
/// How long an open transaction may hide what is behind it: its timeout, the broker's clean-up, room to spare.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(100);

/// What committed outputs name as their inputs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outputs {
    /// The latest record of each input partition that has an output.
    pub latest: BTreeMap<Partition, Origin>,
    /// Another log that outputs name, if any does.
    pub other_log: Option<String>,
    /// Input partitions of which an output partition that lost its beginning holds nothing any more.
    pub blind: BTreeSet<Partition>,
}

/// Finds the highest input position of each of `wanted` among the committed records of `output` that name `log`.
///
/// Positions of one input partition only grow within an output partition (I9), so each is read backwards in chunks until
/// every wanted partition was met or its beginning is reached. What `hooklog repair` emitted stands behind outputs of later
/// records: it counts, and ends no search.
///
/// `verified` says up to where the outputs of an input partition were verified; those are not looked at again. They may be of
/// records that the input has lost since, where a person has accepted that.
///
/// # Errors
/// [`Error::Log`] where the topic cannot be read.
pub fn highest_positions(
    connection: &Connection,
    output: &Pinned,
    log: &str,
    wanted: &BTreeSet<Partition>,
    verified: &BTreeMap<Partition, Verified>,
) -> Result<Outputs, Error> {
    let (mut found, stop) = (Outputs::default(), &CancellationToken::new());
    for (partition, ends) in (0..).zip(decided(connection, output, stop)?) {
        let (mut here, mut met) = (Outputs::default(), BTreeSet::new());
        let (mut to, mut size) = (ends.end, FIRST_CHUNK);
        while to > ends.earliest && !wanted.is_subset(&met) {
            if stop.is_cancelled() {
                return Err(Error::Cancelled);
            }
            let from = NextOffset((to.0 - size).max(ends.earliest.0));
            let span = OffsetRange { topic: output.name.clone(), partition: Partition(partition), from, to };
            read_chunk(connection, span, (log, verified), &mut here, &mut met, stop)?;
            (to, size) = (from, size * 2);
        }
        if ends.earliest > NextOffset::ZERO {
            here.blind = wanted.difference(&met).copied().collect();
        }
        found.join(here);
    }
    Ok(found)
}

/// The committed ends, once all that was written when this was called is decided: an open transaction, of a worker that
/// is dead perhaps, hides what others committed behind it.
fn decided(connection: &Connection, output: &Pinned, stop: &CancellationToken) -> Result<Vec<Watermarks>, Error> {
    let all = |isolation| watermarks::all(connection, &output.name, output.partitions, isolation);
    let (written, deadline) = (all(Isolation::Uncommitted)?, Instant::now() + PATIENCE);
    loop {
        let decided = all(Isolation::Committed)?;
        let open = (0..).zip(decided.iter().zip(&written)).find(|(_, (decided, written))| decided.end < written.end);
        let Some((open, _)) = open else { return Ok(decided) };
        if stop.is_cancelled() {
            return Err(Error::Cancelled);
        }
        if Instant::now() >= deadline {
            let reason = "a transaction stays open; kafka-transactions.sh find-hanging tells whose it is".to_owned();
            let error = hooklog_log::Error::Read { topic: output.name.clone(), partition: Partition(open), reason };
            return Err(error.into());
        }
        std::thread::sleep(PAUSE);
    }
}

fn read_chunk(
    connection: &Connection,
    span: OffsetRange,
    (log, verified): (&str, &BTreeMap<Partition, Verified>),
    found: &mut Outputs,
    met: &mut BTreeSet<Partition>,
    stop: &CancellationToken,
) -> Result<(), Error> {
    let output = usize::try_from(span.partition.0).expect("partitions count from 0");
    let begin = |partition| verified.get(&partition)?.outputs.get(output).copied();
    each_output(connection, span, log, stop, |named| match named {
        Named::OfAnotherLog(named) => found.other_log = Some(named.to_owned()),
        Named::Ours { position, at, .. } if begin(position.partition).is_some_and(|begin| at < begin.offset()) => {
            met.insert(position.partition);
        }
        Named::Ours { position, time, is_repaired, .. } => {
            found.note(position.partition, Origin { offset: position.offset, time });
            if !is_repaired {
                met.insert(position.partition);
            }
        }
        Named::Nothing => {}
    })
}

/// What an output says of its input.
pub(super) enum Named<'m> {
    /// A record of the log that was asked for.
    Ours {
        position: RawPosition,
        /// Where it stands itself.
        at: Offset,
        /// Its own time.
        time: Millis,
        /// Whether `hooklog repair` wrote it.
        is_repaired: bool,
    },
    OfAnotherLog(&'m str),
    Nothing,
}

/// Reads the committed outputs of `span`, and says of each what it names.
pub(super) fn each_output(
    connection: &Connection,
    span: OffsetRange,
    log: &str,
    stop: &CancellationToken,
    mut take: impl FnMut(Named<'_>),
) -> Result<(), Error> {
    let mut reader = Reader::open(connection, Isolation::Committed, span)?;
    while let Some(message) = reader.next()? {
        if stop.is_cancelled() {
            return Err(Error::Cancelled);
        }
        take(named(&message, log));
    }
    Ok(())
}

fn named<'m>(message: &'m BorrowedMessage<'_>, log: &str) -> Named<'m> {
    match (text(message, header::LOG), text(message, header::POSITION).map(RawPosition::from_str)) {
        (Some(other), _) if other != log => Named::OfAnotherLog(other),
        (Some(_), Some(Ok(position))) => Named::Ours {
            position,
            at: Offset(message.offset()),
            time: input::time(message),
            is_repaired: text(message, header::REPAIRED).is_some(),
        },
        _ => Named::Nothing,
    }
}

fn text<'a>(message: &'a BorrowedMessage<'_>, name: &str) -> Option<&'a str> {
    let header = message.headers()?.iter().find(|header| header.key == name)?;
    std::str::from_utf8(header.value?).ok()
}

impl Outputs {
    fn note(&mut self, partition: Partition, origin: Origin) {
        let latest = self.latest.entry(partition).or_insert(origin);
        *latest = origin.max(*latest);
    }

    fn join(&mut self, other: Outputs) {
        other.latest.into_iter().for_each(|(partition, origin)| self.note(partition, origin));
        self.other_log = self.other_log.take().or(other.other_log);
        self.blind.extend(other.blind);
    }
}
