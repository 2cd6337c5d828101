//! Moments as text: Stripe's two forms of `created` read, RFC 3339 written.

use jiff::Timestamp;

use crate::ids::Millis;

/// `moment` as RFC 3339 in UTC with no more digits than it needs, or `None` outside the years that RFC 3339 can write.
pub fn rfc3339(moment: Millis) -> Option<String> {
    let timestamp = Timestamp::from_millisecond(moment.0).ok()?;
    (timestamp.as_second() >= YEAR_0).then(|| timestamp.to_string())
}

/// RFC 3339 cannot write a year before 0000.
const YEAR_0: i64 = -62_167_219_200;

/// Reads `created` of a thin event, ISO 8601 with an offset, to the millisecond.
pub fn parse(text: &str) -> Option<Millis> {
    text.parse::<Timestamp>().ok().map(|t| Millis(t.as_millisecond()))
}

/// Whole seconds since the epoch, as a snapshot event writes them; `None` where no calendar reaches.
pub fn from_seconds(seconds: i64) -> Option<Millis> {
    Timestamp::from_second(seconds).ok().map(|t| Millis(t.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_seconds_carry_no_fraction() {
        assert_eq!(rfc3339(Millis(1_767_225_600_000)).as_deref(), Some("2026-01-01T00:00:00Z"));
        assert_eq!(rfc3339(Millis(1_767_225_600_246)).as_deref(), Some("2026-01-01T00:00:00.246Z"));
    }

    #[test]
    fn a_thin_events_created_is_read_to_the_millisecond() {
        assert_eq!(parse("2026-01-01T01:00:00.246+01:00"), Some(Millis(1_767_225_600_246)));
        assert_eq!(parse("yesterday"), None);
    }

    #[test]
    fn moments_beyond_the_calendar_have_no_text() {
        assert_eq!(from_seconds(i64::MAX), None);
        assert_eq!(rfc3339(Millis(i64::MAX)), None);
        assert_eq!(rfc3339(Millis((YEAR_0 - 1) * 1000)), None);
    }
}
