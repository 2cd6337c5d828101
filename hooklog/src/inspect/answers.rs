//! `hooklog access`, `hooklog subscription`: what the query API answers, as a table or passed through.

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use comfy_table::{Table, presets};
use hyper::StatusCode;
use serde_json::Value;

use super::http::{Server, encoded};
use super::ignore_broken_pipe;
use crate::admin;
use crate::cluster::nothing_runs;
use crate::datadir::RunFile;
use crate::http::Answer;
use crate::settings::{self, Common};

/// The answer is no.
const NO: u8 = 1;

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct AccessArgs {
    /// The customer's id, cus_...
    customer: String,
    #[command(flatten)]
    narrow: Narrow,
}

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct SubscriptionArgs {
    /// The subscription's id, sub_...
    id: String,
    #[command(flatten)]
    narrow: Narrow,
}

/// What both questions can be narrowed by.
#[derive(Clone, Debug, Default, clap::Args)]
struct Narrow {
    /// true for live mode, false for test mode [default: live first, then test]
    #[arg(long, value_name = "BOOL")]
    livemode: Option<bool>,
    /// The Connect account
    #[arg(long, value_name = "ACCT")]
    account: Option<String>,
    /// The moment that is asked about, RFC 3339 [default: now]
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// The query API's address [default: the running `hooklog up`'s]
    #[arg(long, value_name = "URL")]
    url: Option<String>,
}

/// Runs `hooklog access` to its end: 0 where there is access, 1 where there is none.
pub(crate) fn access(args: &AccessArgs, common: &Common) -> Result<ExitCode> {
    let path = format!("/v1/customers/{}/access{}", encoded(&args.customer), args.narrow.query());
    answered(&args.narrow.server(common)?.get(&path)?, &format!("customer {}", args.customer), common)
}

/// Runs `hooklog subscription` to its end: 0 where it gives access, 1 where it gives none.
pub(crate) fn subscription(args: &SubscriptionArgs, common: &Common) -> Result<ExitCode> {
    let path = format!("/v1/subscriptions/{}{}", encoded(&args.id), args.narrow.query());
    answered(&args.narrow.server(common)?.get(&path)?, &format!("subscription {}", args.id), common)
}

impl Narrow {
    fn query(&self) -> String {
        let livemode = self.livemode.map(|livemode| livemode.to_string());
        let given = [("livemode", livemode), ("account", self.account.clone()), ("at", self.at.clone())];
        let pairs = given.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", encoded(&value?))));
        let pairs: Vec<String> = pairs.collect();
        if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) }
    }

    fn server(&self, common: &Common) -> Result<Server> {
        if let Some(url) = &self.url {
            return Server::of_url(url);
        }
        let data_dir = settings::settings(common)?.data_dir;
        let query = RunFile::find(&admin::home(&data_dir)?)?.and_then(|run| run.query);
        Server::of_url(&query.ok_or_else(|| nothing_runs(&data_dir))?)
    }
}

fn answered(answer: &Answer, subject: &str, common: &Common) -> Result<ExitCode> {
    let parsed = answer.json();
    let known = answer.status == StatusCode::OK && parsed.is_object();
    if !known && answer.status != StatusCode::NOT_FOUND {
        bail!("the query API says {}: {}", answer.status, said(&parsed, &answer.body));
    }
    let mut out = anstream::stdout().lock();
    let written = match common.json {
        true => writeln!(out, "{}", answer.body.trim_end()),
        false if known => writeln!(out, "{}", table(&parsed)),
        false => writeln!(out, "{subject} is not known: {}", said(&parsed, &answer.body)),
    };
    ignore_broken_pipe(written).context("standard output cannot be written")?;
    Ok(if known && parsed["access"] == true { ExitCode::SUCCESS } else { ExitCode::from(NO) })
}

/// Of problem details (RFC 9457), what people read.
fn said(parsed: &Value, body: &str) -> String {
    let text = parsed["detail"].as_str().or(parsed["title"].as_str()).unwrap_or(body);
    text.chars().filter(|letter| !letter.is_control()).take(300).collect()
}

/// What the answer says in the order in which it says it; of a list of objects each on a line.
fn table(answer: &Value) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    for (name, value) in answer.as_object().into_iter().flatten() {
        let lines: Vec<String> = match value {
            Value::Array(all) if all.iter().any(Value::is_object) => all.iter().map(in_short).collect(),
            Value::Array(all) => vec![all.iter().map(flat).collect::<Vec<_>>().join(", ")],
            value => vec![flat(value)],
        };
        table.add_row([name.clone(), lines.join("\n")]);
    }
    table
}

/// Of an object in a list what tells it from the others, and whether it gives access; `--json` has the rest.
fn in_short(value: &Value) -> String {
    let told =
        ["id", "status", "access", "reason", "until"].into_iter().filter_map(|name| Some((name, value.get(name)?)));
    told.filter(|(_, value)| !value.is_null())
        .map(|(name, value)| format!("{name} {}", flat(value)))
        .collect::<Vec<_>>()
        .join("; ")
}

fn flat(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Bool(yes) => if *yes { "yes" } else { "no" }.to_owned(),
        Value::String(text) => text.chars().filter(|letter| !letter.is_control()).collect(),
        Value::Number(number) => number.to_string(),
        Value::Array(all) => all.iter().map(flat).collect::<Vec<_>>().join(", "),
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| format!("{name} {}", flat(value))).collect::<Vec<_>>().join("; ")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_question_is_narrowed_by_what_was_given_and_by_nothing_else() {
        assert_eq!(Narrow::default().query(), "");
        let narrow = Narrow {
            livemode: Some(false),
            account: Some("acct_1".into()),
            at: Some("2026-01-01T00:00:00+01:00".into()),
            url: None,
        };
        assert_eq!(narrow.query(), "?livemode=false&account=acct_1&at=2026-01-01T00%3A00%3A00%2B01%3A00");
    }

    #[test]
    fn the_table_says_why() {
        let answer = json!({
            "id": "sub_1", "access": false, "reason": "past_due", "until": null, "because": ["evt_1", "evt_2"],
            "subscriptions": [{"id": "sub_1", "access": true}, {"id": "sub_2", "access": false}],
        });
        let text = table(&answer).to_string();
        let lines: Vec<String> =
            text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        for expected in ["access no", "reason past_due", "until -", "because evt_1, evt_2", "id sub_2; access no"] {
            assert!(lines.iter().any(|line| line == expected), "{expected} is not in {text}");
        }
    }
}
