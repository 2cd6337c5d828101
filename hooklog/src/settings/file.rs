//! `hooklog.toml`, flattened to texts with the lines they stand on.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::{KEYS, TABLES, nearest};
use super::problem::Problem;

/// A value and its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// More than one where the file has a list.
    pub texts: Vec<String>,
    pub line: usize,
}

/// What the file says.
#[derive(Debug, Default)]
pub(super) struct File {
    pub path: PathBuf,
    /// By setting.
    pub settings: BTreeMap<String, Entry>,
    /// By librdkafka's name.
    pub kafka: BTreeMap<String, Entry>,
    /// By source, then by key.
    pub sources: BTreeMap<String, BTreeMap<String, Entry>>,
}

const SOURCE_KEYS: [&str; 3] = ["namespace", "secrets", "secret_files"];

/// Reads `text`. What is wrong goes to `problems`; the rest is read all the same, so that all is told at once.
pub(super) fn read(path: &Path, text: &str, problems: &mut Vec<Problem>) -> File {
    let mut reading = Reading { path, text, problems };
    let mut file = File { path: path.to_owned(), ..File::default() };
    match DeTable::parse(text) {
        Ok(table) => reading.top(table.into_inner(), &mut file),
        // The parser's own text shows the line, which may hold a secret.
        Err(error) => {
            let span = error.span().unwrap_or_default();
            let what = error.message().to_owned();
            reading.problem(&span, what);
        }
    }
    file
}

struct Reading<'a> {
    path: &'a Path,
    text: &'a str,
    problems: &'a mut Vec<Problem>,
}

impl Reading<'_> {
    fn top(&mut self, table: DeTable<'_>, file: &mut File) {
        for (name, value) in table {
            let span = name.span();
            match (name.get_ref().as_ref(), value.get_ref()) {
                ("kafka", DeValue::Table(properties)) => self.properties("", properties, &mut file.kafka),
                ("sources", DeValue::Table(sources)) => self.sources(sources, &mut file.sources),
                ("kafka" | "sources", _) => self.problem(&span, format!("{} is a table", name.get_ref())),
                (known, _) if KEYS.iter().any(|key| key.name == known) => {
                    let known = known.to_owned();
                    self.keep(known, &value, &mut file.settings);
                }
                (unknown, _) => {
                    let known = KEYS.iter().map(|key| key.name).chain(TABLES);
                    self.unknown(unknown, &span, known);
                }
            }
        }
    }

    /// `security.protocol = "x"` is a table `security` to TOML and one name to Kafka.
    fn properties(&mut self, prefix: &str, table: &DeTable<'_>, into: &mut BTreeMap<String, Entry>) {
        for (name, value) in table {
            let name = format!("{prefix}{}", name.get_ref());
            match value.get_ref() {
                DeValue::Table(inner) => self.properties(&format!("{name}."), inner, into),
                _ => self.keep(name, value, into),
            }
        }
    }

    fn sources(&mut self, table: &DeTable<'_>, into: &mut BTreeMap<String, BTreeMap<String, Entry>>) {
        for (name, value) in table {
            let DeValue::Table(source) = value.get_ref() else {
                self.problem(&name.span(), format!("write [sources.{}] and its settings below", name.get_ref()));
                continue;
            };
            let keys = into.entry(name.get_ref().to_string()).or_default();
            for (key, value) in source {
                if SOURCE_KEYS.contains(&key.get_ref().as_ref()) {
                    self.keep(key.get_ref().to_string(), value, keys);
                } else {
                    self.unknown(key.get_ref(), &key.span(), SOURCE_KEYS);
                }
            }
        }
    }

    fn keep(&mut self, name: String, value: &Spanned<DeValue<'_>>, into: &mut BTreeMap<String, Entry>) {
        match texts(value.get_ref()) {
            Some(texts) => {
                let line = self.line(&value.span());
                into.insert(name, Entry { texts, line });
            }
            None => {
                self.problem(&value.span(), format!("{name} must be a text, a number, true, false or a list of texts"))
            }
        }
    }

    fn unknown<'k>(&mut self, name: &str, span: &Range<usize>, known: impl IntoIterator<Item = &'k str>) {
        let known: Vec<&str> = known.into_iter().collect();
        let hint = match nearest(name, known.iter().copied()) {
            Some(near) => format!("did you mean {near}?"),
            None => format!("known are {}", known.join(", ")),
        };
        self.problem(span, format!("there is no setting {name}: {hint}"));
    }

    fn problem(&mut self, span: &Range<usize>, what: String) {
        let at = format!("{}:{}", self.path.display(), self.line(span));
        self.problems.push(Problem::new(at, what));
    }

    fn line(&self, span: &Range<usize>) -> usize {
        self.text.bytes().take(span.start).filter(|byte| *byte == b'\n').count() + 1
    }
}

fn texts(value: &DeValue<'_>) -> Option<Vec<String>> {
    match value {
        DeValue::Array(items) => items.iter().map(|item| text(item.get_ref())).collect(),
        one => text(one).map(|text| vec![text]),
    }
}

fn text(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Boolean(yes) => Some(yes.to_string()),
        DeValue::Integer(number) => Some(number.to_string()),
        DeValue::Float(number) => Some(number.to_string()),
        DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}
