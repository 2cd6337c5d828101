//! From all that is said to one set of settings, or to everything that is wrong with it.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::common::{Common, Flags};
use super::file::{self, File};
use super::keys::{KEYS, Key, nearest};
use super::layers::{Given, Layers, Origin, ReadFile};
use super::problem::{Invalid, Problem};
use super::{Settings, kafka, sources, values};

/// Where the settings are looked for without `--config`.
const FILE: &str = "hooklog.toml";
/// Where rules are looked for without `--rules`.
const RULES: &str = "rules/default.toml";
/// Variables that are no settings but are read all the same.
const OTHER_VARIABLES: [&str; 4] =
    ["HOOKLOG_CONFIG", "HOOKLOG_LOG", "HOOKLOG_STRIPE_SECRET", "HOOKLOG_STRIPE_SECRET_FILE"];

/// One setting as `config check` shows it; secrets are redacted already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub key: String,
    pub value: String,
    pub from: Origin,
}

/// What came out of all layers.
#[derive(Debug)]
pub(crate) struct Resolved {
    /// Every setting, whether or not the whole is valid.
    pub rows: Vec<Row>,
    /// What is odd but stops nothing, e.g. a variable that nobody reads.
    pub warnings: Vec<String>,
    /// The settings, or everything that is wrong.
    pub settings: Result<Settings, Invalid>,
}

/// Reads the real environment and files; `flags` are [`Flags::of`] `common` and the command's own.
pub(crate) fn load(flags: &Flags) -> Resolved {
    // A variable that is not UTF-8 cannot be a setting; one of ours then shows up as wrong text, not as absent.
    let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
    let environment = std::env::vars_os().map(|(name, value)| (text(name), text(value))).collect();
    resolve(flags, &environment, &|path| std::fs::read_to_string(path))
}

/// The settings of a command that has no flags of its own.
///
/// # Errors
/// [`Invalid`] with everything that is wrong.
pub(crate) fn settings(common: &Common) -> Result<Settings, Invalid> {
    load(&Flags::of(common)).settings
}

pub(crate) fn resolve(flags: &Flags, environment: &BTreeMap<String, String>, read: ReadFile<'_>) -> Resolved {
    let mut problems = Vec::new();
    let file = configuration(flags, environment, read, &mut problems);
    let layers = Layers { flags, environment, file, read };
    let mut reading = Reading { layers: &layers, rows: Vec::new(), problems };
    let settings = reading.settings();
    let Reading { rows, problems, .. } = reading;
    let settings = match settings {
        Some(settings) if problems.is_empty() => Ok(settings),
        _ => Err(Invalid(problems)),
    };
    Resolved { rows, warnings: unread(&layers), settings }
}

/// The configuration file. One that is named must be there; the default one may be absent.
fn configuration(
    flags: &Flags,
    environment: &BTreeMap<String, String>,
    read: ReadFile<'_>,
    problems: &mut Vec<Problem>,
) -> File {
    let named = flags.config.clone().or_else(|| environment.get("HOOKLOG_CONFIG").map(PathBuf::from));
    let path = named.clone().unwrap_or_else(|| PathBuf::from(FILE));
    match read(&path) {
        Ok(text) => file::read(&path, &text, problems),
        Err(error) if named.is_none() && error.kind() == io::ErrorKind::NotFound => File::default(),
        Err(error) => {
            problems.push(Problem::new(path.display().to_string(), format!("cannot be read: {error}")));
            File::default()
        }
    }
}

struct Reading<'a> {
    layers: &'a Layers<'a>,
    rows: Vec<Row>,
    problems: Vec<Problem>,
}

impl Reading<'_> {
    /// Every setting is read even where an earlier one is wrong; nothing comes of it then.
    fn settings(&mut self) -> Option<Settings> {
        let brokers = self.value("brokers", values::brokers);
        let prefix = self.value("prefix", values::prefix);
        let data_dir = self.data_dir();
        let ingest_addr = self.value("ingest_addr", values::address);
        let query_addr = self.value("query_addr", values::loopback);
        let kafka_port = self.value("kafka_port", values::port);
        let partitions = self.value("partitions", values::partitions);
        let replication = self.value("replication", values::replication);
        let rules = self.rules();
        let dedup_window_days = self.value("dedup_window_days", values::window);
        let signature_tolerance = self.value("signature_tolerance", values::tolerance);
        let kafka = kafka::properties(self.layers, &mut self.rows, &mut self.problems);
        let sources = sources::sources(self.layers, &mut self.rows, &mut self.problems);
        self.one_address_for_two(ingest_addr, query_addr);
        if brokers.is_none() {
            self.one_port_for_two(kafka_port, [ingest_addr, query_addr]);
        }
        Some(Settings {
            brokers,
            kafka,
            prefix: prefix?,
            data_dir: data_dir?,
            ingest_addr: ingest_addr?,
            query_addr: query_addr?,
            kafka_port: kafka_port?,
            partitions,
            replication,
            rules,
            dedup_window_days: dedup_window_days?,
            signature_tolerance: signature_tolerance?,
            sources,
        })
    }

    fn value<T>(&mut self, name: &str, parse: fn(&str) -> Result<T, String>) -> Option<T> {
        let key = KEYS.iter().find(|key| key.name == name).expect("every setting is in the table");
        let given = self.given(key)?;
        parse(&given.text)
            .map_err(|what| self.problems.push(Problem::new(name, format!("{what} ({})", given.origin))))
            .ok()
    }

    /// What is said of `key`, noted for `config check`.
    fn given(&mut self, key: &Key) -> Option<Given> {
        let before = self.problems.len();
        let said = self.layers.given(key, &mut self.problems);
        let default = key.default.map(|text| Given { text: text.to_owned(), origin: Origin::Default });
        // Something wrong was said: the default must not stand in for it.
        let given = if self.problems.len() > before { said } else { said.or(default) };
        let (value, from) = match &given {
            Some(given) => (given.text.clone(), given.origin.clone()),
            None => (key.absent.to_owned(), Origin::Default),
        };
        self.rows.push(Row { key: key.name.to_owned(), value, from });
        given
    }

    fn path(&mut self, name: &str) -> Option<PathBuf> {
        let key = KEYS.iter().find(|key| key.name == name).expect("every setting is in the table");
        let given = self.given(key)?;
        let path = self.layers.path(&given);
        if let Some(row) = self.rows.last_mut() {
            row.value = path.display().to_string();
        }
        Some(path)
    }

    fn data_dir(&mut self) -> Option<PathBuf> {
        let before = self.problems.len();
        if let Some(path) = self.path("data_dir") {
            return Some(path);
        }
        if self.problems.len() > before {
            return None;
        }
        let home = data_home(self.layers.environment);
        match (&home, self.rows.last_mut()) {
            (Some(path), Some(row)) => row.value = path.display().to_string(),
            _ => self.problems.push(Problem::new("data_dir", "neither HOME nor XDG_DATA_HOME is set: give --data-dir")),
        }
        home
    }

    fn rules(&mut self) -> Option<PathBuf> {
        let before = self.problems.len();
        let Some(path) = self.path("rules") else {
            return (self.problems.len() == before).then(|| self.rules_beside()).flatten();
        };
        self.layers.contents(&path, "rules", &mut self.problems).map(|_| path)
    }

    /// In a checkout of ours the rules are there to be edited.
    fn rules_beside(&mut self) -> Option<PathBuf> {
        (self.layers.read)(Path::new(RULES)).ok()?;
        if let Some(row) = self.rows.last_mut() {
            row.value = RULES.to_owned();
        }
        Some(std::path::absolute(RULES).unwrap_or_else(|_| RULES.into()))
    }

    fn one_address_for_two(&mut self, ingest: Option<std::net::SocketAddr>, query: Option<std::net::SocketAddr>) {
        if ingest.is_some_and(|address| address.port() != 0 && Some(address) == query) {
            self.problems.push(Problem::new("query_addr", "is the same as ingest_addr: give each its own port"));
        }
    }

    /// `up`'s own broker listens on the loopback, too.
    fn one_port_for_two(&mut self, kafka: Option<u16>, others: [Option<std::net::SocketAddr>; 2]) {
        let taken = |address: std::net::SocketAddr| {
            kafka.is_some_and(|port| port != 0 && port == address.port())
                && (address.ip().is_unspecified() || address.ip() == std::net::Ipv4Addr::LOCALHOST)
        };
        if others.into_iter().flatten().any(taken) {
            let what = "is the port of ingest_addr or query_addr, too: give each its own";
            self.problems.push(Problem::new("kafka_port", what));
        }
    }
}

/// `hooklog` in the XDG data home.
fn data_home(environment: &BTreeMap<String, String>) -> Option<PathBuf> {
    // The XDG specification has relative paths ignored.
    let absolute = |name: &str| environment.get(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let home = absolute("XDG_DATA_HOME").or_else(|| absolute("HOME").map(|home| home.join(".local/share")));
    home.map(|home| home.join("hooklog"))
}

/// Variables that look like settings and are none. Not an error: an orchestrator sets some by itself for a service called
/// hooklog.
fn unread(layers: &Layers<'_>) -> Vec<String> {
    let mut known: Vec<String> = KEYS.iter().flat_map(|key| [key.variable(), key.variable() + "_FILE"]).collect();
    known.extend(OTHER_VARIABLES.map(str::to_owned));
    let stripe = "stripe".to_owned();
    for name in layers.file.sources.keys().chain([&stripe]) {
        known.extend(["SECRETS", "SECRETS_FILE", "NAMESPACE"].map(|key| sources::variable(name, key)));
    }
    let ours =
        layers.environment.keys().filter(|name| name.starts_with("HOOKLOG_") && !name.starts_with("HOOKLOG_KAFKA_"));
    let stray = ours.filter(|name| !known.contains(name));
    stray
        .map(|name| match nearest(name, known.iter().map(|known| known.as_str())) {
            Some(near) => format!("{name} is no setting and is not read; did you mean {near}?"),
            None => format!("{name} is no setting and is not read"),
        })
        .collect()
}
