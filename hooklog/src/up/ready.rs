//! What is said once all is up.

use std::io::{ErrorKind, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use anstyle::{AnsiColor, Style};
use serde_json::{Map, Value};

use super::services::Addresses;
use super::services::url;
use crate::settings::Common;

/// How it is said, and to whom; once in the life of a process.
#[derive(Debug)]
pub(super) struct Ready {
    is_said: AtomicBool,
    json: bool,
    program: String,
    /// The flags by which other commands find what this one was told.
    flags: String,
}

impl Ready {
    /// By the path that this process was called by, with the flags that others need, too.
    pub(super) fn of(common: &Common) -> Ready {
        let program = std::env::args().next().unwrap_or_else(|| "hooklog".to_owned());
        Ready { is_said: AtomicBool::new(false), json: common.json, program: quoted(&program), flags: flags(common) }
    }

    /// One line of JSON for a machine, a short table and the next commands for a person.
    pub(super) fn say(&self, addresses: &Addresses, brokers: &str) -> std::io::Result<()> {
        if self.is_said.swap(true, Ordering::Relaxed) {
            tracing::info!("ready again");
            return Ok(());
        }
        let mut out = anstream::stdout().lock();
        let text = if self.json { json(addresses, brokers) } else { self.table(addresses, brokers) };
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            // That nobody reads this stops no webhook.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            said => said,
        }
    }

    fn table(&self, addresses: &Addresses, brokers: &str) -> String {
        let (bold, dim) = (Style::new().bold(), AnsiColor::BrightBlack.on_default());
        let ingest = addresses.ingest.map(|address| format!("{}/webhooks/stripe", url(address)));
        let query = addresses.query.map(|address| format!("{}/v1/customers/{{id}}/access", url(address)));
        let mut text = format!("\n{bold}Hooklog is ready.{bold:#} Ctrl-C stops it.\n\n");
        let rows = [("webhooks", ingest.clone()), ("questions", query), ("Kafka", Some(brokers.to_owned()))];
        for (name, value) in rows.into_iter().filter_map(|(name, value)| Some((name, value?))) {
            text += &format!("  {name:<10} {value}\n");
        }
        text += &format!("\n{dim}In another terminal:{dim:#}\n\n");
        for line in self.next_commands(ingest.as_deref()) {
            text += &format!("  {line}\n");
        }
        text += "\n";
        text
    }

    fn next_commands(&self, ingest: Option<&str>) -> Vec<String> {
        let Some(url) = ingest else { return Vec::new() };
        let Ready { program, flags, .. } = self;
        let command = |words: &str, why: &str| format!("{:<56} # {why}", format!("{program} {words}{flags}"));
        vec![
            command("send --events 1000 --duplicates 0.2", "made-up webhooks, some of them twice"),
            command("audit --wait", "each event once: proved from the log"),
            command("tail events --from beginning", "what the log says"),
            command("status", "how far everything is"),
            String::new(),
            "# Stripe's own, with its command line: start hooklog with the secret, then forward".to_owned(),
            format!("HOOKLOG_STRIPE_SECRET=$(stripe listen --print-secret) {program} up{flags}"),
            format!("stripe listen --forward-to {url}"),
        ]
    }
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

fn flags(common: &Common) -> String {
    let path = |path: &std::path::PathBuf| path.to_string_lossy().into_owned();
    let given = [
        ("--config", common.config.as_ref().map(path)),
        ("--brokers", common.brokers.clone()),
        ("--data-dir", common.data_dir.as_ref().map(path)),
        ("--prefix", common.prefix.clone()),
    ];
    given.into_iter().filter_map(|(flag, value)| Some(format!(" {flag} {}", quoted(&value?)))).collect()
}

/// As a shell takes it for one word.
fn quoted(text: &str) -> String {
    let plain = |letter: char| letter.is_alphanumeric() || "_-./:,=@%+".contains(letter);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_commands_find_what_this_one_was_told() {
        let common = Common { data_dir: Some("a b/c".into()), prefix: Some("x.".to_owned()), ..Common::default() };
        let ready = Ready {
            is_said: AtomicBool::new(false),
            json: false,
            program: "bin/hooklog".to_owned(),
            flags: flags(&common),
        };
        let commands = ready.next_commands(Some("http://127.0.0.1:1/webhooks/stripe"));
        let ours: Vec<_> = commands.iter().filter(|line| line.contains("bin/hooklog")).collect();
        assert!(ours.len() >= 4 && ours.iter().all(|line| line.contains("--data-dir 'a b/c' --prefix x.")), "{ours:?}");
        assert!(commands.iter().any(|line| line == "stripe listen --forward-to http://127.0.0.1:1/webhooks/stripe"));
    }

    #[test]
    fn a_word_for_a_shell_is_quoted_only_where_it_must_be() {
        assert_eq!(quoted("/a/b-1.c"), "/a/b-1.c");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }
}
