//! The rules file, read strictly: a typing error that is silently ignored would give or take access.

use serde::Deserialize;
use toml::Spanned;

use super::{Invalid, MAX_BYTES, Rules, Verdict, normalise};

const DAY: i64 = 24 * 60 * 60;

/// Longer than any dunning; what is above is a slip of the keyboard.
const MAX_GRACE_DAYS: i64 = 3650;

const MAX_REASON: usize = 64;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: Spanned<i64>,
    status: Statuses,
    unknown_status: Spanned<Entry>,
    customer_deleted: Spanned<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Statuses {
    trialing: Spanned<Entry>,
    active: Spanned<Entry>,
    past_due: Spanned<Entry>,
    incomplete: Spanned<Entry>,
    incomplete_expired: Spanned<Entry>,
    canceled: Spanned<Entry>,
    unpaid: Spanned<Entry>,
    paused: Spanned<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    access: bool,
    reason: Spanned<String>,
    grace_days: Option<Spanned<i64>>,
}

/// Reads and checks the text.
pub(super) fn read(text: &str) -> Result<Rules, Invalid> {
    if text.len() > MAX_BYTES {
        return Err(Invalid(format!("the rules file has {} bytes; at most {MAX_BYTES} are read", text.len())));
    }
    let text = normalise(text);
    let file: File = toml::from_str(&text).map_err(|error| explain(&text, &error))?;
    let at = At(&text);
    if *file.version.get_ref() != 1 {
        return Err(at.wrong(&file.version, "this version of hooklog reads rules of `version = 1`"));
    }
    if file.customer_deleted.get_ref().access {
        let what = "customer.deleted revokes everything; write `access = false` under [customer_deleted]";
        return Err(at.wrong(&file.customer_deleted, what));
    }
    Ok(Rules {
        statuses: statuses(file.status, &at)?,
        unknown_status: at.verdict("unknown_status", file.unknown_status)?,
        customer_deleted: at.verdict("customer_deleted", file.customer_deleted)?,
        text,
    })
}

fn statuses(table: Statuses, at: &At<'_>) -> Result<Vec<(&'static str, Verdict)>, Invalid> {
    let entries = [
        ("trialing", table.trialing),
        ("active", table.active),
        ("past_due", table.past_due),
        ("incomplete", table.incomplete),
        ("incomplete_expired", table.incomplete_expired),
        ("canceled", table.canceled),
        ("unpaid", table.unpaid),
        ("paused", table.paused),
    ];
    entries.into_iter().map(|(status, entry)| Ok((status, at.verdict(status, entry)?))).collect()
}

fn explain(text: &str, error: &toml::de::Error) -> Invalid {
    let advice = match error.message() {
        message if message.starts_with("missing field") => {
            "; every status of Stripe's, [unknown_status] and [customer_deleted] need `access` and `reason`"
        }
        message if message.starts_with("unknown field") => "; correct the name or take it out, nothing is ignored here",
        _ => "",
    };
    let line = error.span().map_or(1, |span| line_of(text, span.start));
    Invalid(format!("line {line} of the rules: {}{advice}", error.message().trim_end()))
}

fn line_of(text: &str, byte: usize) -> usize {
    text.bytes().take(byte).filter(|byte| *byte == b'\n').count() + 1
}

/// The text, for errors to point into.
struct At<'a>(&'a str);

impl At<'_> {
    fn wrong<T>(&self, place: &Spanned<T>, what: &str) -> Invalid {
        Invalid(format!("line {} of the rules: {what}", line_of(self.0, place.span().start)))
    }

    fn verdict(&self, name: &str, entry: Spanned<Entry>) -> Result<Verdict, Invalid> {
        let Entry { access, reason, grace_days } = entry.into_inner();
        let code = reason.get_ref();
        if code.trim().is_empty() || code.len() > MAX_REASON || code.chars().any(char::is_control) {
            return Err(self.wrong(&reason, &format!("`reason` must be 1 to {MAX_REASON} printable characters")));
        }
        let grace = grace_days.map(|days| self.grace(name, access, &days)).transpose()?;
        Ok(Verdict { access, reason: reason.into_inner(), grace })
    }

    fn grace(&self, name: &str, access: bool, days: &Spanned<i64>) -> Result<i64, Invalid> {
        match *days.get_ref() {
            _ if name != "past_due" => {
                Err(self.wrong(days, "`grace_days` belongs under [status.past_due] only; take it out"))
            }
            _ if !access => Err(self.wrong(days, "`grace_days` limits an access; set `access = true` or take it out")),
            days if (0..=MAX_GRACE_DAYS).contains(&days) => Ok(days * DAY),
            _ => Err(self.wrong(days, &format!("`grace_days` must be a whole number from 0 to {MAX_GRACE_DAYS}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::DEFAULT;
    use super::*;

    #[track_caller]
    fn check(from: &str, to: &str, expected: &[&str]) {
        assert!(DEFAULT.contains(from), "{from:?} is not in the default rules");
        let error = read(&DEFAULT.replacen(from, to, 1)).unwrap_err().to_string();
        for part in expected {
            assert!(error.contains(part), "{part:?} is not in {error:?}");
        }
    }

    #[test]
    fn days_of_grace_become_seconds() {
        let rules = read(&DEFAULT.replace("# grace_days = 7", "grace_days = 7")).unwrap();
        assert_eq!(rules.of_status("past_due").grace, Some(7 * DAY));
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_line() {
        check(
            "access = true\nreason = \"trialing\"",
            "acces = true\nreason = \"trialing\"",
            &["line 14", "unknown field `acces`"],
        );
        check("[status.paused]", "[status.on_hold]", &["unknown field `on_hold`", "correct the name"]);
    }

    #[test]
    fn a_status_that_is_missing_is_named() {
        check(
            "[status.paused]\naccess = false\nreason = \"paused\"\n",
            "",
            &["line ", "missing field `paused`", "every status"],
        );
        check(
            "[customer_deleted]\naccess = false\nreason = \"customer_deleted\"",
            "",
            &["missing field `customer_deleted`"],
        );
    }

    #[test]
    fn a_value_of_another_type_is_refused() {
        check("access = true", "access = \"yes\"", &["line 14", "expected a boolean"]);
        check("# grace_days = 7", "grace_days = 1.5", &["line 26", "expected i64"]);
        check("version = 1", "version = 2", &["line 11", "version = 1"]);
    }

    #[test]
    fn a_deleted_customer_can_be_given_nothing() {
        check(
            "access = false\nreason = \"customer_deleted\"",
            "access = true\nreason = \"x\"",
            &["line ", "access = false"],
        );
    }

    #[test]
    fn grace_stands_only_where_it_means_something() {
        check("reason = \"active\"", "reason = \"active\"\ngrace_days = 3", &["line 20", "[status.past_due] only"]);
        check("# grace_days = 7", "grace_days = -1", &["line 26", "0 to 3650"]);
        check(
            "access = true\nreason = \"past_due\"\n#",
            "access = false\nreason = \"past_due\"\n",
            &["line 26", "access = true"],
        );
    }

    #[test]
    fn a_reason_is_a_short_code() {
        check("reason = \"unpaid\"", "reason = \"\"", &["`reason` must be"]);
        check("reason = \"unpaid\"", "reason = \"a\\nb\"", &["`reason` must be"]);
    }

    #[test]
    fn a_table_given_twice_and_an_endless_file_are_refused() {
        check("[status.paused]", "[status.unpaid]", &["line ", "duplicate key"]);
        assert!(read(&"#".repeat(MAX_BYTES + 1)).is_err());
    }
}
