//! What is said once all is up.

use std::io::Write;

use anstyle::{AnsiColor, Style};
use serde_json::{Map, Value};

use super::services::Addresses;
use super::services::url;

/// One line of JSON for a machine, a short table and the next commands for a person.
pub(super) fn say(addresses: &Addresses, brokers: &str, as_json: bool) -> std::io::Result<()> {
    let mut out = anstream::stdout().lock();
    let text = if as_json { json(addresses, brokers) } else { table(addresses, brokers) };
    out.write_all(text.as_bytes())?;
    out.flush()
}

fn json(addresses: &Addresses, brokers: &str) -> String {
    let mut line = Map::new();
    line.insert("ready".to_owned(), Value::Bool(true));
    let served = [("ingest", addresses.ingest), ("query", addresses.query)];
    let served = served.into_iter().filter_map(|(name, address)| Some((name.to_owned(), Value::from(url(address?)))));
    line.extend(served);
    line.insert("brokers".to_owned(), Value::from(brokers));
    format!("{}\n", Value::Object(line))
}

fn table(addresses: &Addresses, brokers: &str) -> String {
    let (bold, dim) = (Style::new().bold(), AnsiColor::BrightBlack.on_default());
    let ingest = addresses.ingest.map(|address| format!("{}/webhooks/stripe", url(address)));
    let query = addresses.query.map(|address| format!("{}/v1/customers/{{id}}/access", url(address)));
    let mut text = format!("\n{bold}Hooklog is ready.{bold:#} Ctrl-C stops it.\n\n");
    let rows = [("webhooks", ingest.clone()), ("questions", query), ("Kafka", Some(brokers.to_owned()))];
    for (name, value) in rows.into_iter().filter_map(|(name, value)| Some((name, value?))) {
        text += &format!("  {name:<10} {value}\n");
    }
    text += &format!("\n{dim}In another terminal:{dim:#}\n\n");
    for line in next_commands(ingest.as_deref()) {
        text += &format!("  {line}\n");
    }
    text += "\n";
    text
}

/// As the person would call it: by the path that this process was called by.
fn next_commands(ingest: Option<&str>) -> Vec<String> {
    let program = std::env::args().next().unwrap_or_else(|| "hooklog".to_owned());
    let mut lines = Vec::new();
    if let Some(url) = ingest {
        lines.push(format!("{program} send --events 1000 --duplicates 0.2    # made-up webhooks, some of them twice"));
        lines.push(format!("{program} audit --wait                           # each event once: proved from the log"));
        lines.push(format!("{program} tail events --from beginning           # what the log says"));
        lines.push(String::new());
        lines.push("# Stripe's own, with its command line: start hooklog with the secret, then forward".to_owned());
        lines.push(format!("HOOKLOG_STRIPE_SECRET=$(stripe listen --print-secret) {program} up"));
        lines.push(format!("stripe listen --forward-to {url}"));
    }
    lines
}
