//! Where to post and with which secret: from flags, the environment and what a running `hooklog up` left in its data
//! directory.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use hyper::Uri;
use secrecy::{ExposeSecret, SecretString};

use super::args::Args;

/// A webhook endpoint.
pub(super) struct Target {
    pub(super) uri: Uri,
    pub(super) secret: SecretString,
}

/// Reads one variable of the environment.
pub(super) type Environment<'a> = &'a dyn Fn(&str) -> Option<OsString>;

const PATH: &str = "/webhooks/stripe";
const NOBODY: &str = "http://127.0.0.1:8080";
const SECRET: &str = "HOOKLOG_STRIPE_SECRET";
const SECRET_FILE: &str = "HOOKLOG_STRIPE_SECRET_FILE";

/// The endpoint that `args` mean; the error says what to give.
pub(super) fn resolve(args: &Args, environment: Environment<'_>) -> Result<Target, String> {
    let data_dir = args.data_dir.clone().or_else(|| default_data_dir(environment));
    let uri = match &args.url {
        Some(url) => parse(url)?,
        None => parse(&running_ingest(data_dir.as_deref()).unwrap_or_else(|| NOBODY.to_owned()))?,
    };
    let secret = find_secret(args, environment, data_dir.as_deref(), source_of(&uri))?;
    Ok(Target { uri, secret })
}

fn parse(url: &str) -> Result<Uri, String> {
    let uri: Uri = url.parse().map_err(|error| format!("--url {url}: {error}"))?;
    match (uri.scheme_str(), uri.authority()) {
        (Some("http"), Some(authority)) if uri.path() == "/" => {
            let whole = format!("http://{authority}{PATH}");
            whole.parse().map_err(|error| format!("--url {url}: {error}"))
        }
        (Some("http"), Some(_)) => Ok(uri),
        (Some("https"), _) => {
            Err(format!("--url {url}: send speaks plain http only; post to ingest itself, behind the TLS proxy"))
        }
        _ => Err(format!("--url {url}: give a whole URL, like {NOBODY}{PATH}")),
    }
}

/// `/webhooks/{source}`: each source has its own secret.
fn source_of(uri: &Uri) -> &str {
    let name = uri.path().rsplit('/').next().unwrap_or_default();
    let is_plain = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    if is_plain { name } else { "stripe" }
}

/// The address that the `up` of this data directory listens on, if it wrote one.
fn running_ingest(data_dir: Option<&Path>) -> Option<String> {
    let text = fs::read(data_dir?.join("run.json")).ok()?;
    let run: serde_json::Value = serde_json::from_slice(&text).ok()?;
    let address = run.get("ingest").or_else(|| run.get("addresses")?.get("ingest"))?.as_str()?;
    Some(if address.contains("://") { address.to_owned() } else { format!("http://{address}") })
}

fn find_secret(
    args: &Args,
    environment: Environment<'_>,
    data_dir: Option<&Path>,
    source: &str,
) -> Result<SecretString, String> {
    let from_file = |path: PathBuf| read_secret(&path);
    let text =
        |value: OsString| value.into_string().map(SecretString::from).map_err(|_| format!("{SECRET} is not UTF-8"));
    let given = [
        ("--secret", args.secret.clone().map(Ok)),
        ("--secret-file", args.secret_file.clone().map(from_file)),
        (SECRET_FILE, environment(SECRET_FILE).map(PathBuf::from).map(from_file)),
        (SECRET, environment(SECRET).map(text)),
    ];
    let mut given = given.into_iter().filter_map(|(way, secret)| Some((way, secret?)));
    let Some((way, secret)) = given.next() else { return read_made(data_dir, source) };
    if let Some((second, _)) = given.next() {
        return Err(format!("the secret is given twice, by {way} and by {second}: give it one way"));
    }
    check(secret?, way)
}

/// The secret that `up` made for a source and keeps in its data directory.
fn read_made(data_dir: Option<&Path>, source: &str) -> Result<SecretString, String> {
    let path = data_dir.map(|data_dir| data_dir.join("secrets").join(source)).filter(|path| path.exists());
    let missing = || {
        format!(
            "no secret for {source}: give --secret, --secret-file or {SECRET}, or the --data-dir of a running `hooklog up`"
        )
    };
    let path = path.ok_or_else(missing)?;
    check(read_secret(&path)?, &path.display().to_string())
}

fn read_secret(path: &Path) -> Result<SecretString, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(SecretString::from(text.trim_end_matches(['\r', '\n']).to_owned()))
}

fn check(secret: SecretString, way: &str) -> Result<SecretString, String> {
    // Several, while one is rolled: any of them signs.
    let first = secret.expose_secret().split([',', '\n']).next().unwrap_or_default();
    let secret = SecretString::from(first.trim_end_matches('\r').to_owned());
    let text = secret.expose_secret();
    if text.is_empty() || text.contains(char::is_whitespace) {
        return Err(format!(
            "the secret from {way} is empty or holds white space: a Stripe secret is one word, whsec_..."
        ));
    }
    Ok(secret)
}

fn default_data_dir(environment: Environment<'_>) -> Option<PathBuf> {
    let path = |name| environment(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = || path("XDG_DATA_HOME").or_else(|| path("HOME").map(|home| home.join(".local/share")));
    path("HOOKLOG_DATA_DIR").or_else(|| home().map(|home| home.join("hooklog")))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        args: Args,
    }

    fn resolved(flags: &[&str], variables: &[(&str, &str)]) -> Result<(String, String), String> {
        let args = Command::parse_from([&["send"], flags].concat()).args;
        let environment =
            |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value));
        let target = resolve(&args, &environment)?;
        Ok((target.uri.to_string(), target.secret.expose_secret().to_owned()))
    }

    fn data_dir(run: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a temporary directory");
        fs::create_dir(dir.path().join("secrets")).expect("it is new");
        fs::write(dir.path().join("secrets/stripe"), "whsec_made\n").expect("it is ours");
        fs::write(dir.path().join("run.json"), run).expect("it is ours");
        dir
    }

    #[test]
    fn a_running_up_is_found_through_its_data_directory() {
        let dir = data_dir(r#"{"ingest":"http://127.0.0.1:4711"}"#);
        let flag = dir.path().to_str().expect("UTF-8");
        let expected = ("http://127.0.0.1:4711/webhooks/stripe".to_owned(), "whsec_made".to_owned());
        assert_eq!(resolved(&["--data-dir", flag], &[]), Ok(expected.clone()));
        assert_eq!(resolved(&[], &[("HOOKLOG_DATA_DIR", flag)]), Ok(expected));
    }

    #[test]
    fn flags_win_over_what_is_running() {
        let dir = data_dir("{}");
        let flag = dir.path().to_str().expect("UTF-8");
        let flags = ["--data-dir", flag, "--url", "http://h:1/webhooks/other", "--secret", "whsec_flag"];
        assert_eq!(resolved(&flags, &[]), Ok(("http://h:1/webhooks/other".to_owned(), "whsec_flag".to_owned())));
        let (url, _) = resolved(&flags[..2], &[]).expect("the secret is there");
        assert_eq!(url, "http://127.0.0.1:8080/webhooks/stripe");
    }

    #[test]
    fn a_secret_given_twice_is_refused() {
        let complaint = resolved(&["--secret", "whsec_a"], &[(SECRET, "whsec_b")]).expect_err("given twice");
        assert!(complaint.contains("--secret") && complaint.contains(SECRET), "{complaint}");
        assert!(!complaint.contains("whsec_a"), "{complaint}");
    }

    #[test]
    fn what_cannot_work_is_said_before_anything_is_sent() {
        assert!(resolved(&["--url", "https://x/", "--secret", "s"], &[]).expect_err("https").contains("plain http"));
        assert!(resolved(&["--url", "x", "--secret", "s"], &[]).expect_err("no URL").contains("whole URL"));
        assert!(resolved(&[], &[]).expect_err("no secret").contains("--secret-file"));
        assert!(resolved(&["--secret", "two words"], &[]).expect_err("white space").contains("white space"));
        assert!(resolved(&[], &[(SECRET, "")]).expect_err("empty").contains("empty"));
    }
}
