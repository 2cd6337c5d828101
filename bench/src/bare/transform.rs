//! From a record of raw to the record of events: the same parse, key and headers as the processor's.

use anyhow::{Context, Result};
use hooklog_log::partition_for;
use hooklog_schemas::{Envelope, Offset, Partition, RawPosition, Subject, header, time};
use rdkafka::message::{BorrowedMessage, Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::BaseRecord;

use crate::topics;

/// What is new in a record of events; its value and time are raw's.
pub(crate) struct Event {
    pub(crate) key: String,
    pub(crate) headers: OwnedHeaders,
}

/// The record of events with this key and these headers that `input` becomes.
pub(crate) fn record<'a>(
    events: &'a str,
    key: &'a str,
    headers: OwnedHeaders,
    input: &'a BorrowedMessage<'_>,
) -> BaseRecord<'a, str, [u8]> {
    BaseRecord::to(events)
        .key(key)
        .payload(input.payload().unwrap_or_default())
        .partition(partition_for(key.as_bytes(), topics::PARTITIONS.cast_unsigned()).0)
        .timestamp(input.timestamp().to_millis().unwrap_or_default())
        .headers(headers)
}

/// Reads the envelope of `record` and gives it its subject and the headers of events.
pub(crate) fn event(record: &BorrowedMessage<'_>, log_id: &str) -> Result<Event> {
    let body = record.payload().context("a record of raw has no body")?;
    let event = Envelope::read(body).context("raw holds a body that is no event: load it again")?;
    let given = record.headers().context("a record of raw has no headers")?;
    let namespace = text(given, header::NAMESPACE)?;
    let position = RawPosition { partition: Partition(record.partition()), offset: Offset(record.offset()) };
    let headers = described(copied(given), &event, text(given, header::SOURCE)?)
        .insert(plain(header::POSITION, &position.to_string()))
        .insert(plain(header::LOG, log_id));
    Ok(Event { key: Subject::of(&event, namespace).to_string(), headers })
}

fn copied<H: Headers>(given: &H) -> OwnedHeaders {
    given.iter().fold(OwnedHeaders::new_with_capacity(18), OwnedHeaders::insert)
}

fn described(headers: OwnedHeaders, event: &Envelope<'_>, source: &str) -> OwnedHeaders {
    let created = event.created.and_then(time::rfc3339);
    let source = format!("/sources/{source}");
    let always = headers
        .insert(plain(header::CE_SPECVERSION, header::CE_SPECVERSION_VALUE))
        .insert(plain(header::CE_ID, &event.id))
        .insert(plain(header::CE_TYPE, event.kind.as_deref().unwrap_or(header::CE_TYPE_UNKNOWN)))
        .insert(plain(header::CE_SOURCE, &source))
        .insert(plain(header::CONTENT_TYPE, header::APPLICATION_JSON))
        .insert(plain(header::LIVEMODE, if event.livemode { "true" } else { "false" }));
    let where_there = [
        (header::CE_TIME, created.as_deref()),
        (header::CE_SUBJECT, event.object.id.as_deref()),
        (header::ACCOUNT, event.account.as_deref()),
    ];
    where_there
        .into_iter()
        .filter_map(|(key, value)| Some(plain(key, value?)))
        .fold(always, |headers, header| headers.insert(header))
}

fn plain<'a>(key: &'a str, value: &'a str) -> Header<'a, &'a str> {
    Header { key, value: Some(value) }
}

fn text<'a, H: Headers>(headers: &'a H, name: &str) -> Result<&'a str> {
    let value = headers.iter().find(|header| header.key == name).and_then(|header| header.value);
    std::str::from_utf8(value.with_context(|| format!("a record of raw has no {name}"))?)
        .with_context(|| format!("{name} is no text"))
}
