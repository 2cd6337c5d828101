//! Texts into values, each with its own rule.

use std::net::SocketAddr;

/// Duplicates come up to 30 days after an event, by hand; a shorter window would take them for new.
pub(super) const SHORTEST_WINDOW: u32 = 31;
/// Buckets of five days for a year: as far as the duplicates' store was thought through.
const LONGEST_WINDOW: u32 = 366;

pub(super) fn brokers(text: &str) -> Result<String, String> {
    let all: Vec<&str> = text.split(',').map(str::trim).collect();
    match all.iter().find(|broker| !is_broker(broker)) {
        Some(wrong) => Err(format!("{wrong:?} is not host:port, e.g. 127.0.0.1:9092")),
        None => Ok(all.join(",")),
    }
}

fn is_broker(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, port)| {
        let spaceless = !host.is_empty() && !host.contains(|c: char| c.is_whitespace() || c == '/');
        spaceless && port.parse::<u16>().is_ok_and(|port| port > 0)
    })
}

pub(super) fn prefix(text: &str) -> Result<String, String> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if text.len() <= 100 && text.bytes().all(legal) {
        return Ok(text.to_owned());
    }
    Err(format!("{text:?} cannot begin a topic's name: use up to 100 of a-z, A-Z, 0-9, dot, - and _"))
}

pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| format!("{text:?} is not an address with a port, e.g. 127.0.0.1:8080 or [::1]:8080"))
}

pub(super) fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address = address(text)?;
    if address.ip().is_loopback() {
        return Ok(address);
    }
    Err(format!(
        "{address} would let everybody who reaches it read who has access to what: until there are tokens, use 127.0.0.1 or [::1]"
    ))
}

pub(super) fn port(text: &str) -> Result<u16, String> {
    text.parse().map_err(|_| format!("{text:?} is not a port, 0 to 65535"))
}

pub(super) fn partitions(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(count @ 1..=1000) => Ok(count),
        _ => Err(format!("{text:?} is not a partition count, 1 to 1000")),
    }
}

pub(super) fn replication(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(count @ 1..=9) => Ok(count),
        _ => Err(format!("{text:?} is not a number of replicas, 1 to 9")),
    }
}

pub(super) fn window(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(days @ SHORTEST_WINDOW..=LONGEST_WINDOW) => Ok(days),
        Ok(days) if days < SHORTEST_WINDOW => Err(format!(
            "{days} days are too short: Stripe sends an event again up to 30 days later; use {SHORTEST_WINDOW} or more, 35 is the default"
        )),
        _ => Err(format!("{text:?} is not a number of days, {SHORTEST_WINDOW} to {LONGEST_WINDOW}")),
    }
}

pub(super) fn tolerance(text: &str) -> Result<i64, String> {
    match text.parse() {
        Ok(hooklog_ingest::signature::TOLERANCE) => Ok(hooklog_ingest::signature::TOLERANCE),
        _ => Err(format!("is fixed at 300 s and cannot be {text}: remove the setting")),
    }
}
