//! Properties that are passed to librdkafka: how to reach the cluster. How to read and write it is decided here, not there.

use std::collections::BTreeMap;
use std::fmt;

use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;

use super::layers::{Given, Layers};
use super::problem::Problem;
use super::resolve::Row;

/// Properties that carry Hooklog's guarantees, or that it sets itself.
const OURS: [(&str, &str); 17] = [
    ("bootstrap.servers", "use brokers"),
    ("metadata.broker.list", "use brokers"),
    ("acks", "Hooklog decides it"),
    ("request.required.acks", "Hooklog decides it"),
    ("enable.idempotence", "Hooklog decides it"),
    ("enable.gapless.guarantee", "Hooklog decides it"),
    ("transactional.id", "Hooklog decides it"),
    ("group.id", "Hooklog decides it; use prefix to keep installations apart"),
    ("group.instance.id", "Hooklog decides it"),
    ("isolation.level", "Hooklog decides it"),
    ("enable.auto.commit", "Hooklog decides it"),
    ("enable.auto.offset.store", "Hooklog decides it"),
    ("auto.offset.reset", "Hooklog decides it"),
    ("partitioner", "Hooklog decides it"),
    ("message.timeout.ms", "Hooklog decides it"),
    ("delivery.timeout.ms", "Hooklog decides it"),
    ("delivery.report.only.error", "Hooklog waits for the report of every success"),
];

/// Parts of names whose values nobody should see.
const SECRET: [&str; 6] = ["password", "secret", "pem", "token", "oauthbearer.config", "jaas"];

const VARIABLES: &str = "HOOKLOG_KAFKA_";

/// Properties for librdkafka. Its `Debug` shows their names only.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Properties(BTreeMap<String, String>);

impl Properties {
    pub(crate) fn all(&self) -> &BTreeMap<String, String> {
        &self.0
    }
}

impl fmt::Debug for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// `[kafka]` and `HOOKLOG_KAFKA_SASL_PASSWORD[_FILE]`, which is `sasl.password`.
pub(super) fn properties(layers: &Layers<'_>, rows: &mut Vec<Row>, problems: &mut Vec<Problem>) -> Properties {
    let mut all = BTreeMap::new();
    for (name, ways) in said(layers, problems) {
        let Some(given) = one(&name, ways, problems) else { continue };
        let at = format!("kafka.{name}");
        let value = match accepted(&name, &given.text) {
            Ok(()) if is_secret(&name) => "(redacted)".to_owned(),
            Ok(()) => given.text.clone(),
            Err(what) => {
                problems.push(Problem::new(&at, format!("{what} ({})", given.origin)));
                // A mistyped name may stand before a secret.
                "(refused)".to_owned()
            }
        };
        rows.push(Row { key: at, value, from: given.origin });
        all.insert(name, given.text);
    }
    Properties(all)
}

pub(super) fn is_secret(name: &str) -> bool {
    SECRET.iter().any(|part| name.contains(part)) || name == "ssl_key"
}

/// By property: everything that is said of it, the winner first.
fn said(layers: &Layers<'_>, problems: &mut Vec<Problem>) -> BTreeMap<String, Vec<Given>> {
    let mut said: BTreeMap<String, Vec<Given>> = BTreeMap::new();
    for variable in layers.environment.keys() {
        let Some(property) = variable.strip_prefix(VARIABLES) else { continue };
        if property == "PORT" || property == "PORT_FILE" {
            continue;
        }
        let (name, given) = match property.strip_suffix("_FILE") {
            Some(name) => (name, layers.file_of(variable, problems)),
            None => (property, layers.variable(variable)),
        };
        said.entry(name.to_lowercase().replace('_', ".")).or_default().extend(given);
    }
    for ways in said.values_mut() {
        ways.sort_by_key(|given| !matches!(given.origin, super::layers::Origin::FileOf { .. }));
    }
    for (name, entry) in &layers.file.kafka {
        let given = Given { text: entry.texts.join(","), origin: layers.line(entry.line) };
        said.entry(name.clone()).or_default().push(given);
    }
    said
}

/// The winner; a secret that is given in two ways has none.
fn one(name: &str, ways: Vec<Given>, problems: &mut Vec<Problem>) -> Option<Given> {
    if is_secret(name) && ways.len() > 1 {
        let ways: Vec<String> = ways.iter().map(|given| given.origin.to_string()).collect();
        problems.push(Problem::new(
            format!("kafka.{name}"),
            format!("is given in two ways, {}: keep one", ways.join(" and ")),
        ));
        return None;
    }
    ways.into_iter().next()
}

/// Asks librdkafka whether it knows the property and takes the value. Its answer can quote the value, so only its reason is used.
fn accepted(name: &str, value: &str) -> Result<(), String> {
    if let Some((_, instead)) = OURS.iter().find(|(ours, _)| *ours == name) {
        return Err(format!("cannot be set: {instead}"));
    }
    match ClientConfig::new().set(name, value).create_native_config() {
        Ok(_) => Ok(()),
        Err(KafkaError::ClientConfig(_, reason, ..)) if !is_secret(name) => {
            Err(format!("librdkafka refuses it: {reason}"))
        }
        Err(_) => Err("librdkafka refuses it: see the list of properties in its CONFIGURATION.md".to_owned()),
    }
}
