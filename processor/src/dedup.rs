//! The fold that removes duplicates. Pure: no Kafka, no store, no clock.
//!
//! A record is a duplicate if and only if the same identity was seen at a time later than its own time less the window,
//! and a duplicate refreshes that time. So a decision depends on one window of the log alone, and restoring can start there.

mod outgoing;
mod seen;

use hooklog_schemas::ids::Span;
use hooklog_schemas::{DedupKey, Millis, Namespace, RawPosition, header};
use hooklog_store::layout::Kind;
use hooklog_store::{Family, Keys, Layout};
use hooklog_task::{Effects, Fold, Input, Record, Suspect, View};

use seen::Seen;

/// What is promised: more than the 30 days within which Stripe lets people resend an event.
/// <https://docs.stripe.com/webhooks#manual-retries>
pub const WINDOW: Span = Span::days(35);
/// How much log time one bucket of the store covers.
const BUCKET: Span = Span::days(5);
/// Goes up whenever the same records could leave other writes behind.
///
/// 2: the value of an identity names its first record, too.
const VERSION: u32 = 2;
/// Identity to [`Seen`].
const SEEN: Family = Family(0);

/// Removes duplicates and keys by subject.
#[derive(Clone, Debug)]
pub struct Dedup {
    /// How long an identity is remembered.
    pub window: Span,
    /// The pinned partition count of `events`.
    pub partitions: u32,
    /// Kafka's id of `raw`: every output names the log that its position is about.
    pub log: String,
}

impl Fold for Dedup {
    fn version(&self) -> u32 {
        VERSION
    }

    fn window(&self) -> Option<Span> {
        Some(self.window)
    }

    fn layout(&self) -> Layout {
        Layout(vec![("seen", Kind::Buckets { width: BUCKET, window: self.window })])
    }

    fn reads(&self, input: &Input<'_>, keys: &mut Keys) {
        keys.push(SEEN, &identity(input).0);
    }

    fn fold<'a>(&self, input: &Input<'a>, view: &mut View<'_>, effects: &mut Effects<'a>) {
        let seen = view.get(0).and_then(Seen::of_bytes);
        let identity: [u8; 16] = view.key(0).try_into().expect("asked for in `reads`");
        let this = Seen::of(input);
        let now = match seen.filter(|seen| is_duplicate(Some(seen.last), input.time, self.window)) {
            // A duplicate refreshes the time; the first record stays the first.
            Some(seen) => {
                if seen.body != this.body {
                    effects.suspects.push(Suspect { first: seen.first, again: this.first });
                }
                Seen { last: this.last, ..seen }
            }
            None => {
                effects.produce.push(self.outgoing(input));
                this
            }
        };
        view.put(SEEN, input.time, &identity, &now.to_bytes());
    }

    fn outputs<'a>(&self, input: &Input<'a>) -> Vec<Record<'a>> {
        vec![self.outgoing(input)]
    }
}

impl Dedup {
    /// What goes out to `events` for `input` where it is no duplicate.
    pub fn outgoing<'a>(&self, input: &Input<'a>) -> Record<'a> {
        outgoing::record(self, input)
    }
}

/// Whether a record at `time` repeats one that was last `seen`.
pub fn is_duplicate(seen: Option<Millis>, time: Millis, window: Span) -> bool {
    seen.is_some_and(|seen| seen > time.before(window))
}

/// Who the record says it is. Ingest keys every record by its event's id; one that somebody else wrote without a key is its
/// own event rather than everybody's.
fn identity(input: &Input<'_>) -> DedupKey {
    match input.key {
        Some(id) => DedupKey::of(namespace(input).as_bytes(), id),
        None => DedupKey::of(namespace(input).as_bytes(), position(input).to_string().as_bytes()),
    }
}

fn namespace<'a>(input: &Input<'a>) -> &'a str {
    input.text_header(header::NAMESPACE).unwrap_or(Namespace::DEFAULT)
}

fn position(input: &Input<'_>) -> RawPosition {
    RawPosition { partition: input.partition, offset: input.offset }
}

#[cfg(test)]
mod tests;
