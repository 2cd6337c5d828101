//! Where a record stands in `raw`, as it is written into the header `hooklog_position` and into answers.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::ids::{Offset, Partition};

/// A record's place in the topic `raw`; as text `raw/<partition>/<offset>`, e.g. `raw/3/1234`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RawPosition {
    /// The partition of `raw`.
    pub partition: Partition,
    /// The record's offset there.
    pub offset: Offset,
}

/// The text is not a position.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{0}` is not a position: expected raw/<partition>/<offset>, e.g. raw/3/1234")]
pub struct NotAPosition(String);

impl fmt::Display for RawPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "raw/{}/{}", self.partition, self.offset)
    }
}

impl FromStr for RawPosition {
    type Err = NotAPosition;

    fn from_str(text: &str) -> Result<Self, NotAPosition> {
        parse(text).ok_or_else(|| NotAPosition(text.chars().take(80).collect()))
    }
}

fn parse(text: &str) -> Option<RawPosition> {
    let (partition, offset) = text.strip_prefix("raw/")?.split_once('/')?;
    Some(RawPosition { partition: Partition(number(partition)?.try_into().ok()?), offset: Offset(number(offset)?) })
}

/// Digits only: `+7`, `-7` and an empty text are numbers to `i64::from_str` or to a person, but nothing that we ever wrote.
fn number(text: &str) -> Option<i64> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_not_a_position_is_refused() {
        for text in [
            "",
            "raw",
            "raw/3",
            "raw//4",
            "raw/3/",
            "raw/-1/4",
            "raw/+1/4",
            "raw/3/4/5",
            "events/3/4",
            "raw/99999999999/1",
        ] {
            assert!(text.parse::<RawPosition>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_position_reads_back_as_written(partition in 0..i32::MAX, offset in 0..i64::MAX) {
            let position = RawPosition { partition: Partition(partition), offset: Offset(offset) };
            prop_assert_eq!(position.to_string().parse(), Ok(position));
        }
    }
}
