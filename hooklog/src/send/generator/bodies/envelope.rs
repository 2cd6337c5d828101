//! The event around an object: a snapshot event or a thin one.

use super::super::facts::Fact;
use super::super::ids::{Ids, Kind, mix};
use super::super::json::Json;
use super::super::model::Customer;
use super::Sheet;

/// What an event has beside its fact.
pub(in super::super) struct Envelope {
    pub(in super::super) serial: u64,
    pub(in super::super) at: i64,
    pub(in super::super) kind: Kind,
}

/// An event's bytes with the places that may still be touched.
pub(in super::super) struct Written {
    pub(in super::super) body: Vec<u8>,
    pub(in super::super) pending_webhooks_at: Option<usize>,
    pub(in super::super) metadata_at: Option<usize>,
}

/// Writes the event of `fact`.
pub(in super::super) fn write_event(ids: &Ids, customer: &Customer, envelope: &Envelope, fact: &Fact) -> Written {
    let mut json = Json::new(ids, 4_096);
    let mut pending_webhooks_at = None;
    json.element(|json| {
        if fact.is_thin() {
            write_thin(json, customer, envelope, fact);
        } else {
            pending_webhooks_at = Some(write_snapshot(json, customer, envelope, fact));
        }
    });
    Written { body: json.out, pending_webhooks_at, metadata_at: json.metadata_at }
}

/// Returns where the digit of `pending_webhooks` stands.
fn write_snapshot(json: &mut Json<'_>, customer: &Customer, envelope: &Envelope, fact: &Fact) -> usize {
    let party = customer.party;
    json.id("id", envelope.kind, envelope.serial);
    json.fields(r#""object":"event""#);
    if let Some(number) = party.connect_account {
        let account = json.ids.account(number);
        json.text("account", &account);
    }
    json.text("api_version", party.version.name());
    json.number("created", envelope.at);
    json.object("data", |json| Sheet { json, customer, at: envelope.at }.write_data(fact));
    json.flag("livemode", party.livemode);
    json.number("pending_webhooks", 1);
    let digit_at = json.out.len() - 1;
    write_request(json, envelope.serial);
    json.text("type", fact.kind());
    digit_at
}

/// A third of the events come of somebody's request, the others of time.
fn write_request(json: &mut Json<'_>, serial: u64) {
    json.object("request", |json| {
        if serial.is_multiple_of(3) {
            json.id("id", Kind::Request, serial);
            let (high, low) = (mix(serial), mix(!serial));
            let uuid = format!(
                "{:08x}-{:04x}-4{:03x}-9{:03x}-{:012x}",
                high >> 32,
                (high >> 16) & 0xffff,
                high & 0xfff,
                low & 0xfff,
                low >> 16
            );
            json.text("idempotency_key", &uuid);
        } else {
            json.fields(r#""id":null,"idempotency_key":null"#);
        }
    });
}

fn write_thin(json: &mut Json<'_>, customer: &Customer, envelope: &Envelope, fact: &Fact) {
    let Fact::Thin { serial, related } = fact else { return };
    json.id("id", envelope.kind, envelope.serial);
    json.fields(r#""object":"v2.core.event""#);
    json.text("type", fact.kind());
    json.text("created", &iso(envelope.at));
    json.flag("livemode", customer.party.livemode);
    match customer.party.connect_account.map(|number| json.ids.account(number)) {
        Some(account) => json.text("context", &account),
        None => json.null("context"),
    }
    json.object("data", Json::padding_here);
    json.null("reason");
    if *related {
        json.object("related_object", |json| {
            json.id("id", Kind::EventDestination, *serial);
            json.text("type", "v2.core.event_destination");
            json.id_within("url", "/v2/core/event_destinations/", Kind::EventDestination, *serial, "");
        });
    } else {
        json.null("related_object");
    }
}

/// Thin events have their time in ISO 8601 with milliseconds.
fn iso(at: i64) -> String {
    let time = jiff::Timestamp::from_second(at).expect("the generator's years are within four digits");
    time.strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string()
}
