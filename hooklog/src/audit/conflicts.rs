//! Which repeat says something else than the record that it repeats. Pure: in the order of [`super::window`].
//!
//! The first record of an identity counts, whatever comes later under its id; that the later one was another event must not
//! go unseen.

use hooklog_schemas::Offset;
use hooklog_schemas::content::Digest;

use super::window::Verdict;

/// The record that counts of the identity that is gone through.
#[derive(Default)]
pub(super) struct Conflicts {
    first: Option<Digest>,
}

impl Conflicts {
    /// Takes the next record; the offset of the first one of its identity, where this one contradicts it.
    pub(super) fn judge(&mut self, verdict: Verdict, content: Digest) -> Option<Offset> {
        match (verdict, &self.first) {
            (Verdict::Repeat { of }, Some(first)) => content.contradicts(first).then_some(of),
            _ => {
                self.first = Some(content);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(total: u8) -> Digest {
        Digest::of(format!(r#"{{"id":"evt_1","data":{{"object":{{"total":{total}}}}}}}"#).as_bytes())
    }

    #[test]
    fn every_repeat_is_held_against_the_first_one_and_an_expired_one_begins_anew() {
        let (mut conflicts, repeat) = (Conflicts::default(), |of| Verdict::Repeat { of: Offset(of) });
        let all = [
            (Verdict::First, 1),
            (repeat(0), 1),
            (repeat(0), 2),
            (repeat(0), 1),
            (Verdict::Expired, 2),
            (repeat(4), 2),
            (repeat(4), 1),
            (Verdict::First, 9),
            (Verdict::Unsure, 8),
            (repeat(8), 9),
        ];
        let found = all.map(|(verdict, total)| conflicts.judge(verdict, said(total)).map(|of| of.0));
        assert_eq!(found, [None, None, Some(0), None, None, None, Some(4), None, None, Some(8)]);
    }
}
