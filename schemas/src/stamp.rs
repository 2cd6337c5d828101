//! What a committed offset carries in its metadata, so that an offset is never trusted blindly.
//!
//! Kafka forgets the offsets of an idle group, people reset groups, and topics are made anew under an old name. An offset
//! without our stamp, or with the stamp of another log or another fold, is not ours to resume from.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// The format of the stamp itself.
const FORMAT: &str = "hooklog/1";

/// Whose offset it is: which log it counts in, and which fold had taken in what is before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Kafka's topic id of the input.
    pub log: String,
    /// The version of the fold that committed it.
    pub fold: u32,
}

/// The metadata of an offset is not a stamp of ours.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("not a stamp of this format: expected `{FORMAT} log=<topic id> fold=<version>`")]
pub struct NotAStamp;

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{FORMAT} log={} fold={}", self.log, self.fold)
    }
}

impl FromStr for Stamp {
    type Err = NotAStamp;

    fn from_str(text: &str) -> Result<Self, NotAStamp> {
        parse(text).ok_or(NotAStamp)
    }
}

fn parse(text: &str) -> Option<Stamp> {
    let (log, fold) = text.strip_prefix(FORMAT)?.strip_prefix(" log=")?.split_once(" fold=")?;
    let plain = !log.is_empty() && !log.contains(' ');
    plain.then(|| Some(Stamp { log: log.to_owned(), fold: fold.parse().ok()? }))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_written_as_it_was_in_the_first_release() {
        let stamp = Stamp { log: "9dSlJzLqQ1q3mTqZ6m0n7A".to_owned(), fold: 1 };
        let text = "hooklog/1 log=9dSlJzLqQ1q3mTqZ6m0n7A fold=1";
        assert_eq!(stamp.to_string(), text);
        assert_eq!(text.parse(), Ok(stamp));
    }

    #[test]
    fn what_others_leave_in_the_metadata_is_no_stamp() {
        for text in [
            "",
            "hooklog/2 log=a fold=1",
            "hooklog/1 log= fold=1",
            "hooklog/1 log=a b fold=1",
            "hooklog/1 log=a fold=x",
            "{}",
        ] {
            assert_eq!(text.parse::<Stamp>(), Err(NotAStamp), "{text}");
        }
    }
}
