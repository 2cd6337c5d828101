//! The parameters of a question. An unknown one is refused: a misspelled `livemode` must not be answered as if it were not
//! there.

use hooklog_schemas::time;

use super::problem::Problem;
use crate::views::find::Narrowed;

/// Name and value, in the order of the query.
pub(crate) type Pairs = Vec<(String, String)>;

/// Parameters of questions about access.
pub(crate) const ABOUT_ACCESS: &[&str] = &["livemode", "account", "at"];
/// Parameters of questions that are answered in pages.
pub(crate) const ABOUT_PAGES: &[&str] = &["livemode", "account", "at", "limit", "after"];

const DEFAULT_LIMIT: usize = 20;
const MAX_LIMIT: usize = 100;

/// What is asked beside an id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    /// Which scopes.
    pub(crate) narrowed: Narrowed,
    /// At which moment, epoch seconds.
    pub(crate) at: i64,
    /// How many in a page.
    pub(crate) limit: usize,
    /// After which id a page begins.
    pub(crate) after: Option<String>,
}

impl Asked {
    /// Reads parameters, of which only the `known` ones may occur, each once.
    pub(crate) fn read(pairs: Pairs, known: &[&str], now: i64) -> Result<Self, Problem> {
        let mut asked = Self { narrowed: Narrowed::default(), at: now, limit: DEFAULT_LIMIT, after: None };
        for (n, (name, value)) in pairs.iter().enumerate() {
            if !known.contains(&name.as_str()) {
                return Err(Problem::bad(format!("`{name}` is not known here; there are {}", known.join(", "))));
            }
            if pairs[..n].iter().any(|(earlier, _)| earlier == name) {
                return Err(Problem::bad(format!("`{name}` is given twice; give it once")));
            }
            asked.set(name, value)?;
        }
        Ok(asked)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), Problem> {
        match name {
            "livemode" => self.narrowed.livemode = Some(livemode(value)?),
            "account" => self.narrowed.account = Some(text(name, value)?),
            "at" => self.at = moment(value)?,
            "limit" => self.limit = limit(value)?,
            _ => self.after = Some(text(name, value)?),
        }
        Ok(())
    }
}

fn livemode(value: &str) -> Result<bool, Problem> {
    value.parse().map_err(|_| Problem::bad("`livemode` must be true or false"))
}

fn text(name: &str, value: &str) -> Result<String, Problem> {
    match value.len() {
        1..=255 => Ok(value.to_owned()),
        _ => Err(Problem::bad(format!("`{name}` must have 1 to 255 bytes"))),
    }
}

fn moment(value: &str) -> Result<i64, Problem> {
    let seconds = value.parse().ok().or_else(|| time::parse(value).map(|moment| moment.0.div_euclid(1000)));
    seconds.ok_or_else(|| {
        Problem::bad("`at` must be RFC 3339 (2026-01-31T12:00:00Z, with + written as %2B) or epoch seconds")
    })
}

fn limit(value: &str) -> Result<usize, Problem> {
    let limit = value.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
    limit.ok_or_else(|| Problem::bad(format!("`limit` must be a whole number from 1 to {MAX_LIMIT}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Asked, Problem> {
        let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Asked::read(pairs, ABOUT_PAGES, 7)
    }

    #[test]
    fn a_moment_is_given_as_text_or_as_epoch_seconds_and_is_now_by_default() {
        assert_eq!(read(&[("at", "2026-01-01T01:00:00+01:00")]).unwrap().at, 1_767_225_600);
        assert_eq!(read(&[("at", "-5")]).unwrap().at, -5);
        assert_eq!(read(&[]).unwrap().at, 7);
    }

    #[test]
    fn what_cannot_be_understood_is_refused_with_what_to_write() {
        let cases = [
            (&[("livemod", "true")][..], "`livemod` is not known here; there are livemode"),
            (&[("livemode", "yes")], "true or false"),
            (&[("livemode", "true"), ("livemode", "false")], "given twice"),
            (&[("at", "tomorrow")], "RFC 3339"),
            (&[("limit", "0")], "1 to 100"),
            (&[("limit", "101")], "1 to 100"),
            (&[("account", "")], "1 to 255"),
        ];
        for (pairs, expected) in cases {
            let problem = format!("{:?}", read(pairs).unwrap_err());
            assert!(problem.contains(expected), "{problem}");
        }
    }
}
