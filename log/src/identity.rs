//! Whether a topic is still the one that it was when this process started.
//!
//! Kafka gives a topic that is deleted and created again another id. librdkafka sees that and resets nothing: a consumer goes
//! on at its old offset in the new log, a producer writes to it. So whoever reads or writes compares the ids for itself.

use std::fmt;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rdkafka::admin::AdminClient;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use thiserror::Error;

use crate::connection::{AtEnds, Connection};
use crate::error::Error;
use crate::native::{self, TopicId};
use crate::provision::Pinned;

/// Between two looks.
pub const EVERY: Duration = Duration::from_secs(2);
/// How long one look may take.
pub const PATIENCE: Duration = Duration::from_secs(2);
/// A broker that is there answers in a few milliseconds. Only so long is it asked for an id before it is known to be there.
const AT_ONCE: Duration = Duration::from_millis(200);
/// A topic is gone for good once every look of so long a time has found it absent, and at least so many looks did. A broker
/// that has only just started may know of a topic a moment later than it answers.
const GONE_FOR: Duration = Duration::from_secs(5);
const GONE_LOOKS: u32 = 3;
/// Between two looks at a topic that is absent.
const SOON: Duration = Duration::from_millis(500);

/// A topic is not the one that it was.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "topic {topic} (id {pinned}) {what}. Restore it from a backup of the cluster, or use another --prefix; where it was made anew on purpose, stop every hooklog of this prefix and start again: the start says what follows from it",
    pinned = .pinned.0, what = happened(.found.as_ref())
)]
pub struct OtherLog {
    /// The topic's full name.
    pub topic: String,
    /// Its id when this process started.
    pub pinned: TopicId,
    /// Its id now; none where there is no such topic any more.
    pub found: Option<TopicId>,
}

fn happened(found: Option<&TopicId>) -> String {
    match found {
        Some(TopicId(found)) => {
            format!(
                "was deleted and made anew under the running process: there is another topic of that name now (id {found})"
            )
        }
        None => "was deleted under the running process".to_owned(),
    }
}

/// What one look found of one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It is there.
    Id(TopicId),
    /// The cluster says that there is no such topic.
    Absent,
    /// The cluster did not say.
    Unknown(String),
}

/// What is to be made of a look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every topic was the same one at the moment of the look, and so at every moment before: ids do not come back.
    Same,
    /// The cluster did not say; why.
    Unknown(String),
    /// This topic is not there, perhaps only for the moment.
    Absent(String),
    /// A topic is another one, or gone for good.
    Other(OtherLog),
}

impl Verdict {
    fn rank(&self) -> u8 {
        match self {
            Verdict::Same => 0,
            Verdict::Unknown(_) => 1,
            Verdict::Absent(_) => 2,
            Verdict::Other(_) => 3,
        }
    }
}

/// Topics by the ids that they must keep, and since when one is absent. Pure.
#[derive(Clone, Debug)]
pub struct Identity(Vec<Kept>);

#[derive(Clone, Debug)]
struct Kept {
    topic: String,
    id: TopicId,
    /// Since when every look has found it absent, and how many did.
    absent: Option<(Instant, u32)>,
}

impl Identity {
    /// Of topics as they were when this process started.
    pub fn of<'p>(topics: impl IntoIterator<Item = &'p Pinned>) -> Identity {
        let kept = |pinned: &Pinned| Kept { topic: pinned.name.clone(), id: pinned.id.clone(), absent: None };
        Identity(topics.into_iter().map(kept).collect())
    }

    /// Judges a look that found `seen`, in the order of the topics. The worst of them counts.
    pub fn judge(&mut self, seen: &[Seen], now: Instant) -> Verdict {
        let each = self.0.iter_mut().zip(seen).map(|(kept, seen)| kept.judge(seen, now));
        each.fold(Verdict::Same, |worst, next| if next.rank() > worst.rank() { next } else { worst })
    }

    fn names(&self) -> Vec<&str> {
        self.0.iter().map(|kept| kept.topic.as_str()).collect()
    }
}

impl Kept {
    fn judge(&mut self, seen: &Seen, now: Instant) -> Verdict {
        let (since, looks) = self.absent.take().unwrap_or((now, 0));
        match seen {
            Seen::Id(id) if *id == self.id => Verdict::Same,
            Seen::Id(id) => self.other(Some(id.clone())),
            Seen::Unknown(why) => Verdict::Unknown(why.clone()),
            Seen::Absent if looks + 1 >= GONE_LOOKS && now.duration_since(since) >= GONE_FOR => self.other(None),
            Seen::Absent => {
                self.absent = Some((since, looks.saturating_add(1)));
                Verdict::Absent(self.topic.clone())
            }
        }
    }

    fn other(&self, found: Option<TopicId>) -> Verdict {
        Verdict::Other(OtherLog { topic: self.topic.clone(), pinned: self.id.clone(), found })
    }
}

/// Looks at topics with a client of its own.
pub struct Looker {
    client: AdminClient<AtEnds>,
    identity: Identity,
    /// Whether the last look was answered.
    is_answered: bool,
}

impl Looker {
    /// For `topics` as they were when this process started.
    ///
    /// # Errors
    /// [`Error::Client`] where a property is wrong.
    pub fn new<'p>(connection: &Connection, topics: impl IntoIterator<Item = &'p Pinned>) -> Result<Looker, Error> {
        let mut config = connection.client();
        // A broker that comes back is to be found within about a second, not after the default ten.
        config.set("reconnect.backoff.ms", "50").set("reconnect.backoff.max.ms", "1000");
        let client = config.create_with_context(AtEnds).map_err(Error::Client)?;
        Ok(Looker { client, identity: Identity::of(topics), is_answered: true })
    }

    /// Looks now. Blocks up to about twice [`PATIENCE`].
    ///
    /// A broker that does not answer at once is asked for metadata before it is asked for ids again. While the controller is
    /// away, a waiting admin request makes librdkafka 2.12 connect thousands of times a second: it sends `OP_CONNECT` at every
    /// change of the broker's state, and that resets `reconnect.backoff.ms`. A question for metadata keeps the pauses.
    pub fn look(&mut self) -> Verdict {
        let names = self.identity.names();
        let at_once = self.is_answered.then(|| seen(&self.client, &names, AT_ONCE)).filter(|seen| are_known(seen));
        let seen = at_once.unwrap_or_else(|| match reach(&self.client, &names) {
            Ok(()) => seen(&self.client, &names, PATIENCE),
            Err(error) => unknown(&names, &error),
        });
        self.is_answered = are_known(&seen);
        self.identity.judge(&seen, Instant::now())
    }

    /// Looks until an absent topic is there again or gone for good.
    fn settle(mut self) -> Option<OtherLog> {
        loop {
            match self.look() {
                Verdict::Other(other) => return Some(other),
                Verdict::Absent(_) => thread::sleep(SOON),
                Verdict::Same | Verdict::Unknown(_) => return None,
            }
        }
    }
}

fn seen(client: &AdminClient<AtEnds>, names: &[&str], within: Duration) -> Vec<Seen> {
    match native::describe_topics(client.inner(), names, within) {
        Ok(described) => described.into_iter().map(Seen::from).collect(),
        Err(failure) => unknown(names, &failure),
    }
}

fn reach(client: &AdminClient<AtEnds>, names: &[&str]) -> Result<(), KafkaError> {
    client.inner().fetch_metadata(names.first().copied(), PATIENCE).map(drop)
}

fn unknown(names: &[&str], why: &dyn fmt::Display) -> Vec<Seen> {
    vec![Seen::Unknown(format!("Kafka does not answer: {why}")); names.len()]
}

fn are_known(seen: &[Seen]) -> bool {
    seen.iter().all(|seen| !matches!(seen, Seen::Unknown(_)))
}

impl From<Result<TopicId, RDKafkaErrorCode>> for Seen {
    fn from(described: Result<TopicId, RDKafkaErrorCode>) -> Seen {
        match described {
            Ok(id) => Seen::Id(id),
            Err(RDKafkaErrorCode::UnknownTopicOrPartition) => Seen::Absent,
            Err(code) => Seen::Unknown(format!("Kafka does not tell the topic's id: {code}")),
        }
    }
}

/// A thread that looks every [`EVERY`] until it is ended, or until a topic is another one.
#[must_use = "a watch that is dropped ends"]
pub struct Watch {
    /// Dropped to end the thread.
    end: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<Looker>>,
    found: Arc<OnceLock<OtherLog>>,
}

impl Watch {
    /// Starts it; `on_other` is called once, from the thread, when a topic is another one: it stops the work on it.
    ///
    /// # Errors
    /// [`Error::Client`] where a property is wrong, [`Error::Runtime`] where there is no thread.
    pub fn start<'p>(
        connection: &Connection,
        topics: impl IntoIterator<Item = &'p Pinned>,
        on_other: impl FnOnce() + Send + 'static,
    ) -> Result<Watch, Error> {
        let looker = Looker::new(connection, topics)?;
        let (end, ended) = mpsc::channel();
        let found = Arc::new(OnceLock::new());
        let slot = Arc::clone(&found);
        let work = move || watch(looker, &ended, &slot, on_other);
        let thread = thread::Builder::new().name("topic-ids".to_owned()).spawn(work).map_err(Error::Runtime)?;
        Ok(Watch { end: Some(end), thread: Some(thread), found })
    }

    /// Ends it, and gives `outcome`, how the work on the topics ended, unless another log explains that. Work that failed is
    /// looked after: it may have met the new log, or its absence, before the thread did.
    ///
    /// # Errors
    /// [`Error::OtherLog`], or what `outcome` holds.
    pub fn end<E: From<Error>>(mut self, outcome: Result<(), E>) -> Result<(), E> {
        drop(self.end.take());
        let looker = self.thread.take().and_then(|thread| thread.join().ok());
        let found = self.found.get().cloned();
        match found.or_else(|| outcome.as_ref().err().and(looker).and_then(Looker::settle)) {
            Some(other) => Err(Error::OtherLog(other).into()),
            None => outcome,
        }
    }
}

fn watch(
    mut looker: Looker,
    ended: &mpsc::Receiver<()>,
    found: &OnceLock<OtherLog>,
    on_other: impl FnOnce(),
) -> Looker {
    let mut stops = Stops(Some(on_other));
    while ended.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
        match looker.look() {
            Verdict::Same => {}
            Verdict::Unknown(why) => tracing::debug!(why, "it is not known whether the topics are still the same"),
            Verdict::Absent(topic) => tracing::warn!(topic, "the topic is not there"),
            Verdict::Other(other) => {
                tracing::error!("{other}");
                // Set first: who is stopped asks why.
                let _ = found.set(other);
                stops.now();
                break;
            }
        }
    }
    looker
}

/// Stops the work on the topics, on a panic of the watch too: nobody would notice another topic any more.
struct Stops<F: FnOnce()>(Option<F>);

impl<F: FnOnce()> Stops<F> {
    fn now(&mut self) {
        self.0.take().into_iter().for_each(|stop| stop());
    }
}

impl<F: FnOnce()> Drop for Stops<F> {
    fn drop(&mut self) {
        if thread::panicking() {
            tracing::error!("the watch of the topics' ids died: the work on them is stopped");
            self.now();
        }
    }
}

#[cfg(test)]
mod tests;
