//! Buckets of log time: their names, and when one can go. Pure.

use hooklog_schemas::Millis;
use hooklog_schemas::ids::Span;

/// Which bucket of `width` a moment falls into. Before the first moment there is only one.
pub(crate) fn number(at: Millis, width: Span) -> i64 {
    at.0.div_euclid(width.0)
}

/// The column family of bucket `number` of `family`: `<family>@<number>`.
pub(crate) fn name(family: &str, number: i64) -> String {
    format!("{family}@{number}")
}

/// The bucket that the column family `name` is, if it is one of `family`.
pub(crate) fn parse(family: &str, name: &str) -> Option<i64> {
    name.strip_prefix(family)?.strip_prefix('@')?.parse().ok()
}

/// Whether bucket `number` can go at this stream time: everything in it fell out of `window` at least one bucket ago.
/// The margin frees space late rather than deciding anything: what is in the window is decided by values alone.
pub(crate) fn is_over(number: i64, stream_time: Millis, width: Span, window: Span) -> bool {
    let end = (number + 1).saturating_mul(width.0);
    stream_time.0 > end.saturating_add(window.0).saturating_add(width.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WIDTH: Span = Span::days(5);
    const WINDOW: Span = Span::days(35);

    #[test]
    fn a_bucket_goes_only_after_the_window_and_one_more_bucket() {
        let end = Millis(WIDTH.0);
        let due = end.0 + WINDOW.0 + WIDTH.0;
        assert!(!is_over(0, Millis(due), WIDTH, WINDOW));
        assert!(is_over(0, Millis(due + 1), WIDTH, WINDOW));
        assert!(!is_over(0, Millis::MIN, WIDTH, WINDOW));
    }

    proptest! {
        #[test]
        fn names_read_back(n in -1_000_000_i64..1_000_000) {
            prop_assert_eq!(parse("seen", &name("seen", n)), Some(n));
            prop_assert_eq!(parse("see", &name("seen", n)), None);
        }

        #[test]
        fn nothing_that_is_in_the_window_is_in_a_bucket_that_goes(at in 0_i64..10_000_000_000_000, later in 0_i64..10_000_000_000) {
            let stream_time = Millis(at + later);
            let in_window = at > stream_time.before(WINDOW).0;
            prop_assert!(!(in_window && is_over(number(Millis(at), WIDTH), stream_time, WIDTH, WINDOW)));
        }
    }
}
