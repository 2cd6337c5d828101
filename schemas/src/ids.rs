//! Numbers that must not be mistaken for one another.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A partition's number within its topic, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Partition(pub i32);

/// Where one record stands in its partition, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Offset(pub i64);

/// Where to resume: one past the last record that was dealt with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NextOffset(pub i64);

/// A moment, in milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Millis(pub i64);

impl Offset {
    /// Where to resume once this record is dealt with.
    pub fn next(self) -> NextOffset {
        NextOffset(self.0 + 1)
    }
}

impl NextOffset {
    /// The beginning of a partition that was never truncated.
    pub const ZERO: NextOffset = NextOffset(0);

    /// The first record that is still to be dealt with.
    pub fn offset(self) -> Offset {
        Offset(self.0)
    }
}

impl Millis {
    /// Before every record: the running maximum of an empty log.
    pub const MIN: Millis = Millis(i64::MIN);

    /// This moment less `span`, stopping at the beginning of time.
    pub fn before(self, span: Span) -> Millis {
        Millis(self.0.saturating_sub(span.0))
    }
}

/// A length of time, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Span(pub i64);

impl Span {
    /// `days` of 24 hours.
    pub const fn days(days: i64) -> Span {
        Span(days * 86_400_000)
    }

    /// `hours` of 60 minutes.
    pub const fn hours(hours: i64) -> Span {
        Span(hours * 3_600_000)
    }
}

macro_rules! shown_as_number {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}
shown_as_number!(Partition, Offset, NextOffset, Millis);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_offset_is_one_past_the_record() {
        assert_eq!(Offset(41).next(), NextOffset(42));
        assert_eq!(NextOffset(42).offset(), Offset(42));
    }

    #[test]
    fn going_back_before_the_first_moment_stays_there() {
        assert_eq!(Millis::MIN.before(Span::days(35)), Millis::MIN);
        assert_eq!(Millis(Span::days(35).0).before(Span::days(35)), Millis(0));
    }
}
