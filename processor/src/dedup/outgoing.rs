//! What goes out to `events` for a record of `raw`: the body as it came, keyed by its subject.

use std::borrow::Cow;

use hooklog_log::partition_for;
use hooklog_schemas::{Envelope, Subject, header, time};
use hooklog_task::{Input, Record};

use super::{Dedup, namespace, position};

/// How many headers are added.
const OURS_AT_MOST: usize = 11;

/// `raw`'s headers in their order, then ours. The body is read for these and written on untouched; one that cannot be read,
/// which ingest would have refused, goes out under its own id.
pub(super) fn record<'a>(dedup: &Dedup, input: &Input<'a>) -> Record<'a> {
    let event = Envelope::read(input.value).unwrap_or_else(|_| unreadable(input));
    let key = Subject::of(&event, namespace(input)).to_string();
    let mut headers = Vec::with_capacity(input.headers.len() + OURS_AT_MOST);
    headers.extend(input.headers.iter().map(|(name, value)| (*name, Cow::Borrowed(*value))));
    headers.extend(cloud_event(&event, input));
    headers.extend(ours(dedup, event, input));
    Record {
        partition: partition_for(key.as_bytes(), dedup.partitions),
        key,
        value: input.value,
        time: input.time,
        headers,
    }
}

/// An event that says nothing but its id.
fn unreadable<'a>(input: &Input<'a>) -> Envelope<'a> {
    let id = match input.key {
        Some(key) => String::from_utf8_lossy(key),
        None => Cow::Owned(position(input).to_string()),
    };
    Envelope { id, ..Envelope::default() }
}

type Header<'a> = (&'a str, Cow<'a, [u8]>);

/// CloudEvents 1.0, binary mode.
/// <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md>
fn cloud_event<'a>(event: &Envelope<'a>, input: &Input<'a>) -> impl Iterator<Item = Header<'a>> {
    let source = input.text_header(header::SOURCE).unwrap_or("unknown");
    let kind = event.kind.clone().unwrap_or(Cow::Borrowed(header::CE_TYPE_UNKNOWN));
    let about = if event.thin { event.related.clone() } else { event.object.id.clone() };
    let time = event.created.and_then(time::rfc3339);
    [
        Some((header::CE_SPECVERSION, Cow::Borrowed(header::CE_SPECVERSION_VALUE.as_bytes()))),
        Some((header::CE_ID, bytes(event.id.clone()))),
        Some((header::CE_TYPE, bytes(kind))),
        Some((header::CE_SOURCE, owned(format!("/sources/{source}")))),
        time.map(|time| (header::CE_TIME, owned(time))),
        about.map(|id| (header::CE_SUBJECT, bytes(id))),
        Some((header::CONTENT_TYPE, Cow::Borrowed(header::APPLICATION_JSON.as_bytes()))),
    ]
    .into_iter()
    .flatten()
}

fn ours<'a>(dedup: &Dedup, event: Envelope<'a>, input: &Input<'a>) -> impl Iterator<Item = Header<'a>> {
    let livemode: &[u8] = if event.livemode { b"true" } else { b"false" };
    [
        Some((header::POSITION, owned(position(input).to_string()))),
        Some((header::LOG, owned(dedup.log.clone()))),
        event.account.map(|account| (header::ACCOUNT, bytes(account))),
        Some((header::LIVEMODE, Cow::Borrowed(livemode))),
    ]
    .into_iter()
    .flatten()
}

fn owned<'a>(text: String) -> Cow<'a, [u8]> {
    Cow::Owned(text.into_bytes())
}

fn bytes(text: Cow<'_, str>) -> Cow<'_, [u8]> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => owned(text),
    }
}
