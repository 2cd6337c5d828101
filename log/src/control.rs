//! The topic `control`: what all instances must agree on, a record each. Compacted, so each fact has a key of its own.
//!
//! | key | value |
//! |---|---|
//! | `pinned/<topic>` | a partition count ([`crate::provision`]) |
//! | `window/<raw's topic id>/<number>/<writer>` | a dedup window and where in `raw` it began |
//! | `former/<topic id>/<raw's topic id>` | the first one is a `raw` of before, which the second one was adopted for |

use std::collections::BTreeSet;
use std::time::Duration;

use hooklog_schemas::{Partition, WindowBegin, Windows};
use rdkafka::message::Message;
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::util::Timeout;

use crate::connection::{ASK, Connection, Isolation};
use crate::error::Error;
use crate::native::TopicId;
use crate::reader::{OffsetRange, Reader};
use crate::topics::Topics;
use crate::watermarks;

const CONTROL: Partition = Partition(0);
/// The value of a record whose key says all.
const FORMAT: &str = "hooklog/1";

/// What `control` tells of a log's past.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// The dedup windows of this log.
    pub windows: Windows,
    /// Topic ids of logs that were `raw` before this one, and whose events stand in `events`.
    pub former: BTreeSet<String>,
}

impl History {
    /// Reads that of `log`.
    ///
    /// # Errors
    /// Where `control` cannot be read.
    pub fn read(connection: &Connection, topics: &Topics, log: &TopicId) -> Result<History, Error> {
        Ok(History::of(&records(connection, topics)?, log))
    }

    fn of(records: &[(String, String)], log: &TopicId) -> History {
        let begin = |(key, value): &(String, String)| {
            let (of, _) = key.strip_prefix("window/")?.split_once('/')?;
            (of == log.0).then(|| value.parse::<WindowBegin>().ok())?
        };
        let former = |(key, _): &(String, String)| {
            let (former, _) = key.strip_prefix("former/")?.split_once('/')?;
            (former != log.0).then(|| former.to_owned())
        };
        History {
            windows: Windows::of(records.iter().filter_map(begin)),
            former: records.iter().filter_map(former).collect(),
        }
    }
}

/// Records that a window begins. `writer` is nobody else's. Somebody else may have been faster: [`History::read`] tells.
/// Blocks: not for a thread of a runtime.
///
/// # Errors
/// Where it is not acknowledged.
pub fn begin_window(
    connection: &Connection,
    topics: &Topics,
    log: &TopicId,
    begin: &WindowBegin,
    writer: &str,
) -> Result<(), Error> {
    let key = format!("window/{}/{}/{writer}", log.0, begin.number);
    append_now(connection, topics, &key, &begin.to_string())
}

/// Records that `former` was `raw` before `log`. Blocks as [`begin_window`] does.
///
/// # Errors
/// Where it is not acknowledged.
pub fn note_former(connection: &Connection, topics: &Topics, former: &str, log: &TopicId) -> Result<(), Error> {
    append_now(connection, topics, &format!("former/{former}/{}", log.0), FORMAT)
}

fn append_now(connection: &Connection, topics: &Topics, key: &str, value: &str) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::Runtime)?;
    runtime.block_on(append(connection, topics, &[(key.to_owned(), value.to_owned())]))
}

/// Every record that is text, in order.
pub(crate) fn records(connection: &Connection, topics: &Topics) -> Result<Vec<(String, String)>, Error> {
    let ends = watermarks::of(connection, &topics.control(), CONTROL, Isolation::Committed)?;
    let span = OffsetRange { topic: topics.control(), partition: CONTROL, from: ends.earliest, to: ends.end };
    let mut reader = Reader::open(connection, Isolation::Committed, span)?;
    let mut records = Vec::new();
    let text = |bytes: Option<&[u8]>| bytes.and_then(|bytes| std::str::from_utf8(bytes).ok()).map(str::to_owned);
    while let Some(record) = reader.next()? {
        records.extend(text(record.key()).zip(text(record.payload())));
    }
    Ok(records)
}

/// Writes records, each after the one before it is acknowledged.
pub(crate) async fn append(
    connection: &Connection,
    topics: &Topics,
    records: &[(String, String)],
) -> Result<(), Error> {
    let mut config = connection.client();
    config.set("enable.idempotence", "true").set("message.timeout.ms", ASK.as_millis().to_string());
    let producer: FutureProducer = config.create().map_err(Error::Client)?;
    let control = topics.control();
    for (key, value) in records {
        let record = FutureRecord::to(&control).partition(CONTROL.0).key(key).payload(value);
        let sent = producer.send(record, Timeout::After(Duration::from_secs(1))).await;
        sent.map_err(|(error, _)| connection.unreachable("to write to `control`")(error))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use hooklog_schemas::NextOffset;
    use hooklog_schemas::ids::Span;

    #[test]
    fn a_log_has_its_own_windows_and_all_logs_of_before() {
        let record = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let records = [
            record("pinned/raw", "4"),
            record("window/old/0/a", "hooklog/1 n=0 window=9 from=0"),
            record("window/new/0/a", "hooklog/1 n=0 window=5 from=0"),
            record("window/new/1/b", "garbage"),
            record("window/new/1/a", "hooklog/1 n=1 window=7 from=3"),
            record("former/old/new", FORMAT),
            record("former/new/newer", FORMAT),
        ];
        let history = History::of(&records, &TopicId("new".to_owned()));
        let begin = |number, window, from| WindowBegin { number, window: Span(window), from: vec![NextOffset(from)] };
        assert_eq!(history.windows, Windows::of([begin(0, 5, 0), begin(1, 7, 3)]));
        assert_eq!(history.former, BTreeSet::from(["old".to_owned()]), "a log is not its own past");
    }
}
