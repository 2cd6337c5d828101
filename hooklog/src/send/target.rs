//! Where to post and with which secret: flags first, then what a running `hooklog up` left in its data directory, then the
//! settings that `hooklog up` would have.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use hooklog_ingest::{Secret, Source};
use hyper::Uri;
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::args::Args;
use crate::datadir::RunFile;
use crate::settings::{Settings, unreadable};

/// A webhook endpoint.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) uri: Uri,
    pub(super) secret: Secret,
}

/// The source that there is where none is configured.
const STRIPE: &str = "stripe";

/// The endpoint that `args` and `settings` mean; the error says what to give.
pub(super) fn resolve(args: &Args, settings: &Settings) -> Result<Target, String> {
    let uri = match &args.url {
        Some(url) => parse(url, settings)?,
        None => parse(&own_ingest(settings)?, settings)?,
    };
    let secret = find_secret(args, settings, source_of(&uri))?;
    Ok(Target { uri, secret })
}

fn parse(url: &str, settings: &Settings) -> Result<Uri, String> {
    let uri: Uri = url.parse().map_err(|error| format!("--url {url}: {error}"))?;
    match (uri.scheme_str(), uri.authority()) {
        (Some("http"), Some(authority)) if uri.path() == "/" => {
            let whole = format!("http://{authority}/webhooks/{}", default_source(settings)?);
            whole.parse().map_err(|error| format!("--url {url}: {error}"))
        }
        (Some("http"), Some(_)) => Ok(uri),
        (Some("https"), _) => {
            Err(format!("--url {url}: send speaks plain http only; post to ingest itself, behind the TLS proxy"))
        }
        _ => Err(format!("--url {url}: give a whole URL, like http://127.0.0.1:8080/webhooks/stripe")),
    }
}

/// Where nobody names one.
fn default_source(settings: &Settings) -> Result<&str, String> {
    let names: Vec<&str> = settings.sources.iter().map(Source::name).collect();
    match names.as_slice() {
        [] => Ok(STRIPE),
        [one] => Ok(one),
        many if many.contains(&STRIPE) => Ok(STRIPE),
        many => {
            Err(format!("there are several sources, {}: choose with --url http://.../webhooks/NAME", many.join(", ")))
        }
    }
}

/// `/webhooks/{source}`: each source has its own secret.
fn source_of(uri: &Uri) -> &str {
    let name = uri.path().rsplit('/').next().unwrap_or_default();
    let is_plain = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    if is_plain { name } else { STRIPE }
}

/// Of the `up` that runs on the data directory, else where the settings let it listen.
fn own_ingest(settings: &Settings) -> Result<String, String> {
    let run = RunFile::find(&settings.data_dir).map_err(|error| error.to_string())?;
    if let Some(address) = run.and_then(|run| run.ingest) {
        return Ok(address);
    }
    match settings.ingest_addr {
        any if any.port() == 0 => Err(format!(
            "no hooklog runs on {}, and ingest_addr leaves the port to the system: start `hooklog up`, or give --url",
            settings.data_dir.display()
        )),
        address => Ok(format!("http://{}", dialled(address))),
    }
}

/// An address that stands for all of the machine's is reached by the one of its own.
fn dialled(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

fn find_secret(args: &Args, settings: &Settings, source: &str) -> Result<Secret, String> {
    let configured = settings.sources.iter().find(|configured| configured.name() == source);
    let flag = args.secret.as_ref().map(|text| first_of(text, "--secret"));
    let file = args.secret_file.as_deref().map(|path| read_secret(path, "--secret-file"));
    let set = configured.and_then(|source| source.secrets().first()).map(|secret| Ok(secret.clone()));
    let given = [("--secret", flag), ("--secret-file", file), ("the settings (see `hooklog config check`)", set)];
    let mut given = given.into_iter().filter_map(|(way, secret)| Some((way, secret?)));
    let Some((way, secret)) = given.next() else { return read_made(&settings.data_dir, source) };
    if let Some((second, _)) = given.next() {
        return Err(format!("the secret of {source} is given twice, by {way} and by {second}: give it one way"));
    }
    secret
}

/// The secret that `up` made for a source, or was given, and keeps in its data directory.
fn read_made(data_dir: &Path, source: &str) -> Result<Secret, String> {
    let path = data_dir.join("secrets").join(source);
    if path.exists() {
        return read_secret(&path, &path.display().to_string());
    }
    Err(format!(
        "no secret for {source}: give --secret, --secret-file or HOOKLOG_STRIPE_SECRET, the --config that it stands in, or the --data-dir of a running `hooklog up`"
    ))
}

fn read_secret(path: &Path, way: &str) -> Result<Secret, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{way}: {}", unreadable(path, &error)))?;
    first_of(&SecretString::from(text), way)
}

/// Several, while one is rolled: any of them signs.
fn first_of(text: &SecretString, way: &str) -> Result<Secret, String> {
    let first = text.expose_secret().split([',', '\n']).next().unwrap_or_default();
    let first = Zeroizing::new(first.trim_end_matches('\r').to_owned());
    Secret::new(first).map_err(|error| format!("the secret from {way} cannot be: {error}"))
}

#[cfg(test)]
mod tests;
