//! Webhook endpoints and their secrets, from `[sources.<name>]`, from files and from the environment.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use hooklog_ingest::{Secret, Source};
use hooklog_schemas::Namespace;
use zeroize::Zeroizing;

use super::file::Entry;
use super::layers::{Layers, Origin, line_end_off};
use super::problem::Problem;
use super::resolve::Row;

/// The source that exists when only its secret is given.
const STRIPE: &str = "stripe";
const STRIPE_VARIABLES: [&str; 2] = ["HOOKLOG_STRIPE_SECRET_FILE", "HOOKLOG_STRIPE_SECRET"];

const VARIABLES: &str = "HOOKLOG_SOURCES_";

/// Secrets as texts, wiped when dropped.
type Texts = Vec<Zeroizing<String>>;

/// All configured sources. None at all is fine here: `up` makes one.
pub(super) fn sources(layers: &Layers<'_>, rows: &mut Vec<Row>, problems: &mut Vec<Problem>) -> Vec<Source> {
    let configured = &layers.file.sources;
    let is_set = |variable: &String| layers.environment.contains_key(variable);
    let by_variable = variables(STRIPE).into_iter().map(|(variable, _)| variable).find(is_set);
    shared_variables(configured.keys(), problems);
    of_nobody(layers, problems);
    if let Some(variable) = &by_variable
        && !configured.is_empty()
        && !configured.contains_key(STRIPE)
    {
        let what = "would make a source stripe, but other sources are configured: add [sources.stripe] or unset it";
        problems.push(Problem::new(variable, what));
    }
    let none = BTreeMap::new();
    let stripe = (by_variable.is_some() && configured.is_empty()).then_some((STRIPE, &none));
    let all = configured.iter().map(|(name, keys)| (name.as_str(), keys)).chain(stripe);
    all.filter_map(|(name, keys)| source(layers, name, keys, rows, problems)).collect()
}

fn source(
    layers: &Layers<'_>,
    name: &str,
    keys: &BTreeMap<String, Entry>,
    rows: &mut Vec<Row>,
    problems: &mut Vec<Problem>,
) -> Option<Source> {
    let at = format!("sources.{name}");
    let namespace = namespace(layers, &at, name, keys, rows, problems);
    let before = problems.len();
    let (texts, origins) = secrets(layers, name, keys, problems)?;
    let shown = format!("{} (redacted)", texts.len());
    rows.push(Row {
        key: format!("{at}.secrets"),
        value: shown,
        from: origins.first().cloned().unwrap_or(Origin::Default),
    });
    if texts.iter().map(|text| text.as_str()).collect::<BTreeSet<_>>().len() < texts.len() {
        problems.push(Problem::new(&at, "one secret stands there twice: keep one"));
    }
    let secrets: Result<Vec<Secret>, _> = texts.into_iter().map(Secret::new).collect();
    match secrets.and_then(|secrets| Source::new(name, namespace.unwrap_or_default(), secrets)) {
        Ok(source) => Some(source),
        // An unreadable file is told already; that there is no secret then would only be noise.
        Err(hooklog_ingest::Error::NoSecret { .. }) if problems.len() > before => None,
        Err(error) => {
            problems.push(Problem::new(at, error.to_string()));
            None
        }
    }
}

fn namespace(
    layers: &Layers<'_>,
    at: &str,
    name: &str,
    keys: &BTreeMap<String, Entry>,
    rows: &mut Vec<Row>,
    problems: &mut Vec<Problem>,
) -> Option<Namespace> {
    let toml = || keys.get("namespace").map(|entry| (entry.texts.join(","), layers.line(entry.line)));
    let variable = layers.variable(&variable(name, "NAMESPACE")).map(|given| (given.text, given.origin));
    let default = || (Namespace::default().to_string(), Origin::Default);
    let (text, from) = variable.or_else(toml).unwrap_or_else(default);
    rows.push(Row { key: format!("{at}.namespace"), value: text.clone(), from });
    Namespace::new(text).map_err(|error| problems.push(Problem::new(format!("{at}.namespace"), error.to_string()))).ok()
}

/// The source's secrets, if they are given in one way: all of them in `hooklog.toml`, or all by one variable.
fn secrets(
    layers: &Layers<'_>,
    name: &str,
    keys: &BTreeMap<String, Entry>,
    problems: &mut Vec<Problem>,
) -> Option<(Texts, Vec<Origin>)> {
    let mut ways: Vec<(Texts, Origin)> = Vec::new();
    for (variable, is_file) in variables(name) {
        let given = if is_file { layers.file_of(&variable, problems) } else { layers.variable(&variable) };
        ways.extend(given.map(|given| (split(&given.text, if is_file { '\n' } else { ',' }), given.origin)));
    }
    ways.extend(in_toml(layers, name, keys, problems));
    if ways.len() > 1 {
        let ways: Vec<String> = ways.iter().map(|(_, origin)| origin.to_string()).collect();
        let what = format!("the secrets are given in two ways, {}: keep one", ways.join(" and "));
        problems.push(Problem::new(format!("sources.{name}"), what));
        return None;
    }
    Some(ways.pop().map_or_else(Default::default, |(texts, origin)| (texts, vec![origin])))
}

fn in_toml(
    layers: &Layers<'_>,
    name: &str,
    keys: &BTreeMap<String, Entry>,
    problems: &mut Vec<Problem>,
) -> Option<(Texts, Origin)> {
    let written = keys.get("secrets");
    let files = keys.get("secret_files");
    let line = written.or(files)?.line;
    let mut texts: Texts = written.iter().flat_map(|entry| entry.texts.iter().cloned().map(Zeroizing::new)).collect();
    if texts.iter().any(|text| text.contains(',')) {
        let what = "a secret has a comma in it: write several as a list, secrets = [\"whsec_...\", \"whsec_...\"]";
        problems.push(Problem::new(format!("sources.{name}.secrets"), what));
    }
    let folder = layers.file.path.parent().unwrap_or(Path::new(""));
    for path in files.iter().flat_map(|entry| &entry.texts) {
        let at = format!("sources.{name}.secret_files");
        let text = layers.contents(&folder.join(path), &at, problems);
        texts.extend(text.map(|text| Zeroizing::new(line_end_off(&text).to_owned())));
    }
    Some((texts, layers.line(line)))
}

/// Several secrets, while one is rolled, stand on lines of a file or between commas of a variable.
fn split(text: &str, at: char) -> Texts {
    text.split(at).map(|part| Zeroizing::new(line_end_off(part).to_owned())).collect()
}

/// The variables that can give a source's secrets, and whether each names a file.
fn variables(name: &str) -> Vec<(String, bool)> {
    let mut all = vec![(variable(name, "SECRETS_FILE"), true), (variable(name, "SECRETS"), false)];
    if name == STRIPE {
        all.extend(STRIPE_VARIABLES.map(|variable| (variable.to_owned(), variable.ends_with("_FILE"))));
    }
    all
}

/// The variable that stands for a key of `[sources.<name>]`.
pub(super) fn variable(name: &str, key: &str) -> String {
    format!("{VARIABLES}{}_{key}", name.to_uppercase().replace('-', "_"))
}

/// Secrets for a source that there is not: left alone, its webhooks would all be refused.
fn of_nobody(layers: &Layers<'_>, problems: &mut Vec<Problem>) {
    let configured = layers.file.sources.keys().map(String::as_str).chain([STRIPE]);
    let known: BTreeSet<String> = configured.flat_map(variables).map(|(variable, _)| variable).collect();
    for variable in layers.environment.keys() {
        let rest = variable.strip_prefix(VARIABLES).unwrap_or_default();
        let is_secret = ["_SECRETS", "_SECRETS_FILE"].iter().any(|end| rest.ends_with(end));
        if is_secret && !known.contains(variable) {
            let what = "is for a source that is not configured: add its [sources.<name>] to hooklog.toml, or unset it";
            problems.push(Problem::new(variable, what));
        }
    }
}

/// `a-b` and `a_b` would be given one secret by one variable.
fn shared_variables<'a>(names: impl Iterator<Item = &'a String>, problems: &mut Vec<Problem>) {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(variable(name, "")) {
            let what = "differs from another source only by - and _, and environment variables cannot tell: rename one";
            problems.push(Problem::new(format!("sources.{name}"), what));
        }
    }
}
