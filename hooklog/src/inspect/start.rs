//! Where `tail` begins.

use std::str::FromStr;

use hooklog_schemas::{Millis, time};

/// A place to begin in every partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    Beginning,
    End,
    /// At this offset of each partition.
    Offset(i64),
    /// At the first record of this moment or later.
    Time(Millis),
}

impl FromStr for Start {
    type Err = String;

    fn from_str(text: &str) -> Result<Start, String> {
        let moment = || time::parse(text).map(Start::Time);
        match text {
            "beginning" => Ok(Start::Beginning),
            "end" => Ok(Start::End),
            _ if text.bytes().all(|byte| byte.is_ascii_digit()) => {
                text.parse().map(Start::Offset).map_err(|error| error.to_string())
            }
            _ => moment().ok_or_else(|| {
                "begin at `beginning`, at `end`, at an offset, or at a moment such as 2026-01-01T00:00:00Z".to_owned()
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_four_ways_to_begin() {
        assert_eq!("beginning".parse(), Ok(Start::Beginning));
        assert_eq!("end".parse(), Ok(Start::End));
        assert_eq!("1234".parse(), Ok(Start::Offset(1234)));
        assert_eq!("2026-01-01T00:00:00Z".parse(), Ok(Start::Time(Millis(1_767_225_600_000))));
    }

    #[test]
    fn anything_else_is_told_what_would_do() {
        for text in ["", "-1", "yesterday", "99999999999999999999", "2026-01-01"] {
            assert!(text.parse::<Start>().is_err(), "{text}");
        }
    }
}
