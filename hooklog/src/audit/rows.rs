//! What is kept of a record between the passes: byte strings that sort by what they begin with.

use hooklog_schemas::content::Digest;
use hooklog_schemas::{DedupKey, Millis, Offset, Partition};

use super::again::Emitted;
use super::fingerprint::Fingerprint;
use super::lacking::Lacking;
use super::matching::{Event, Judged};
use super::window::Verdict;

pub(super) const RAW: usize = 89;
pub(super) const JUDGED: usize = 74;
pub(super) const EVENT: usize = 77;
pub(super) const EMITTED: usize = 44;
pub(super) const PLACE: usize = 20;
pub(super) const LACKING: usize = 33;

/// A record of `raw` before it is judged; sorts by identity, then by offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unjudged {
    pub(super) identity: DedupKey,
    pub(super) offset: Offset,
    pub(super) time: Millis,
    pub(super) hidden: bool,
    pub(super) fingerprint: Fingerprint,
    pub(super) content: Digest,
}

impl Unjudged {
    pub(super) fn to_row(self) -> [u8; RAW] {
        let mut row = [0; RAW];
        let out = put(&mut row, self.identity.0);
        let out = put(out, self.offset.0.to_be_bytes());
        let out = put(out, self.time.0.to_be_bytes());
        let out = put(out, [u8::from(self.hidden)]);
        let out = put(out, self.fingerprint.to_bytes());
        put(out, self.content.to_bytes());
        row
    }

    pub(super) fn of_row(row: &[u8; RAW]) -> Self {
        let (identity, rest) = take(row);
        let (offset, rest) = number(rest);
        let (time, rest) = number(rest);
        let ([hidden], rest) = take(rest);
        let (fingerprint, rest) = take(rest);
        let (content, _) = take(rest);
        Self {
            identity: DedupKey(identity),
            offset: Offset(offset),
            time: Millis(time),
            hidden: hidden == 1,
            fingerprint: Fingerprint::of_bytes(&fingerprint),
            content: Digest::of_bytes(content),
        }
    }
}

impl Judged {
    /// Sorts by offset.
    pub(super) fn to_row(self) -> [u8; JUDGED] {
        let (word, of) = match self.verdict {
            Verdict::First => (0, 0),
            Verdict::Expired => (1, 0),
            Verdict::Unsure => (3, 0),
            Verdict::Repeat { of } => (2, of.0),
        };
        let mut row = [0; JUDGED];
        let out = put(&mut row, self.offset.0.to_be_bytes());
        let out = put(out, [word]);
        let out = put(out, of.to_be_bytes());
        let out = put(out, self.time.0.to_be_bytes());
        let out = put(out, [u8::from(self.hidden)]);
        let out = put(out, self.fingerprint.to_bytes());
        put(out, self.identity.0);
        row
    }

    pub(super) fn of_row(row: &[u8; JUDGED]) -> Self {
        let (offset, rest) = number(row);
        let ([word], rest) = take(rest);
        let (of, rest) = number(rest);
        let (time, rest) = number(rest);
        let ([hidden], rest) = take(rest);
        let (fingerprint, rest) = take(rest);
        let (identity, _) = take(rest);
        let verdict = match word {
            0 => Verdict::First,
            1 => Verdict::Expired,
            3 => Verdict::Unsure,
            _ => Verdict::Repeat { of: Offset(of) },
        };
        let (offset, time, hidden) = (Offset(offset), Millis(time), hidden == 1);
        Self {
            identity: DedupKey(identity),
            offset,
            verdict,
            time,
            hidden,
            fingerprint: Fingerprint::of_bytes(&fingerprint),
        }
    }
}

impl Lacking {
    /// Sorts by offset.
    pub(super) fn to_row(self) -> [u8; LACKING] {
        let mut row = [0; LACKING];
        let out = put(&mut row, self.offset.0.to_be_bytes());
        let out = put(out, self.time.0.to_be_bytes());
        let out = put(out, [u8::from(self.is_expired)]);
        put(out, self.identity.0);
        row
    }

    pub(super) fn of_row(row: &[u8; LACKING]) -> Self {
        let (offset, rest) = number(row);
        let (time, rest) = number(rest);
        let ([is_expired], rest) = take(rest);
        let (identity, _) = take(rest);
        let (identity, is_expired) = (DedupKey(identity), is_expired == 1);
        Self { identity, offset: Offset(offset), time: Millis(time), is_expired }
    }
}

impl Event {
    /// Sorts by the record that the event names, then by where the event stands.
    pub(super) fn to_row(self) -> [u8; EVENT] {
        let mut row = [0; EVENT];
        let out = put(&mut row, self.record.0.to_be_bytes());
        let out = put(out, self.partition.0.to_be_bytes());
        let out = put(out, self.offset.0.to_be_bytes());
        let out = put(out, [u8::from(self.out_of_order)]);
        let out = put(out, self.fingerprint.to_bytes());
        let out = put(out, self.identity.0);
        put(out, self.time.0.to_be_bytes());
        row
    }

    pub(super) fn of_row(row: &[u8; EVENT]) -> Self {
        let (record, rest) = number(row);
        let (partition, rest) = take(rest);
        let (offset, rest) = number(rest);
        let ([out_of_order], rest) = take(rest);
        let (fingerprint, rest) = take(rest);
        let (identity, rest) = take(rest);
        let (time, _) = number(rest);
        Self {
            record: Offset(record),
            partition: Partition(i32::from_be_bytes(partition)),
            offset: Offset(offset),
            out_of_order: out_of_order == 1,
            again: false,
            identity: DedupKey(identity),
            time: Millis(time),
            fingerprint: Fingerprint::of_bytes(&fingerprint),
        }
    }

    pub(super) fn place(&self) -> Place {
        Place { record: self.record, partition: self.partition, offset: self.offset }
    }
}

/// Where an event stands; sorts as [`Event`] does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) record: Offset,
    pub(super) partition: Partition,
    pub(super) offset: Offset,
}

impl Place {
    pub(super) fn to_row(self) -> [u8; PLACE] {
        let mut row = [0; PLACE];
        let out = put(&mut row, self.record.0.to_be_bytes());
        let out = put(out, self.partition.0.to_be_bytes());
        put(out, self.offset.0.to_be_bytes());
        row
    }

    pub(super) fn of_row(row: &[u8; PLACE]) -> Self {
        let (record, rest) = number(row);
        let (partition, rest) = take(rest);
        let (offset, _) = number(rest);
        Self { record: Offset(record), partition: Partition(i32::from_be_bytes(partition)), offset: Offset(offset) }
    }
}

impl Emitted {
    /// Sorts by identity, then by record, then by place.
    pub(super) fn to_row(self) -> [u8; EMITTED] {
        let mut row = [0; EMITTED];
        let out = put(&mut row, self.identity.0);
        let out = put(out, self.place().to_row());
        put(out, self.time.0.to_be_bytes());
        row
    }

    pub(super) fn of_row(row: &[u8; EMITTED]) -> Self {
        let (identity, rest) = take(row);
        let (place, rest) = take(rest);
        let (time, _) = number(rest);
        let Place { record, partition, offset } = Place::of_row(&place);
        Self { identity: DedupKey(identity), record, partition, offset, time: Millis(time) }
    }

    pub(super) fn place(&self) -> Place {
        Place { record: self.record, partition: self.partition, offset: self.offset }
    }
}

fn put<const N: usize>(row: &mut [u8], field: [u8; N]) -> &mut [u8] {
    let (here, rest) = row.split_at_mut(N);
    here.copy_from_slice(&field);
    rest
}

fn take<const N: usize>(row: &[u8]) -> ([u8; N], &[u8]) {
    let (field, rest) = row.split_first_chunk().expect("rows are as long as their fields");
    (*field, rest)
}

fn number(row: &[u8]) -> (i64, &[u8]) {
    let (bytes, rest) = take(row);
    (i64::from_be_bytes(bytes), rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fingerprint(n: u64) -> Fingerprint {
        Fingerprint { id: n, value: [n.to_le_bytes()[0]; 16], rest: !n }
    }

    proptest! {
        #[test]
        fn rows_read_back_as_written(offset in 0..i64::MAX, of in 0..i64::MAX, time: i64, partition in 0..i32::MAX, n: u64, word in 0_usize..4) {
            let (offset, of, time, fingerprint) = (Offset(offset), Offset(of), Millis(time), fingerprint(n));
            let (identity, hidden) = (DedupKey([n.to_le_bytes()[1]; 16]), word == 2);
            let content = Digest::of(&n.to_le_bytes());
            let unjudged = Unjudged { identity, offset, time, hidden, fingerprint, content };
            prop_assert_eq!(Unjudged::of_row(&unjudged.to_row()), unjudged);
            let verdict = [Verdict::First, Verdict::Expired, Verdict::Repeat { of }, Verdict::Unsure][word];
            let judged = Judged { identity, offset, verdict, time, hidden, fingerprint };
            prop_assert_eq!(Judged::of_row(&judged.to_row()), judged);
            let partition = Partition(partition);
            let event = Event { record: of, partition, offset, out_of_order: word == 1, again: false, identity, time, fingerprint };
            prop_assert_eq!(Event::of_row(&event.to_row()), event);
            let lacking = Lacking { identity, offset, time, is_expired: word == 1 };
            prop_assert_eq!(Lacking::of_row(&lacking.to_row()), lacking);
            let emitted = Emitted { identity, record: of, partition, offset, time };
            prop_assert_eq!(Emitted::of_row(&emitted.to_row()), emitted);
            prop_assert_eq!(Place::of_row(&event.place().to_row()), emitted.place());
        }

        #[test]
        fn rows_sort_as_their_offsets_do(a in 0..i64::MAX, b in 0..i64::MAX) {
            let row = |offset| Judged { identity: DedupKey([0; 16]), offset: Offset(offset), verdict: Verdict::First, time: Millis(0), hidden: false, fingerprint: fingerprint(0) }.to_row();
            prop_assert_eq!(row(a).cmp(&row(b)), a.cmp(&b));
        }
    }
}
