use std::collections::BTreeMap;

use hooklog_schemas::Offset;
use proptest::prelude::*;
use serde_json::json;

use super::super::family::{any_scope, scope};
use super::*;
use crate::fold::bodies::Body;
use crate::fold::scope::Scope;

/// A store in memory that answers only what the first phase asked for.
#[derive(Clone, Debug, Default, PartialEq)]
struct Memory(BTreeMap<(u8, Vec<u8>), Vec<u8>>);

struct Asked<'a> {
    memory: &'a Memory,
    keys: Keys,
}

impl LookUp for Asked<'_> {
    fn value(&self, family: Family, key: &[u8]) -> Option<&[u8]> {
        let asked = (0..self.keys.len()).any(|n| self.keys.get(n) == (family, key));
        assert!(asked, "{family:?} {key:?} was read without being asked for");
        self.memory.0.get(&(family.0, key.to_vec())).map(Vec::as_slice)
    }
}

impl Memory {
    fn fold(&mut self, batch: &[Record<'_>]) {
        let mut keys = Keys::default();
        reads(batch, &mut keys);
        let mut writes = Writes::default();
        fold(batch, &Asked { memory: self, keys }, &mut writes).unwrap();
        for write in writes.iter() {
            self.0.insert((write.family.0, write.key.to_vec()), write.value.unwrap().to_vec());
        }
    }

    fn tally(&self, partition: i32) -> Tally {
        let bytes = self.0.get(&(TALLIES.0, tally_key(Partition(partition)).to_vec()));
        bytes.map(|bytes| Tally::from_bytes(bytes).unwrap()).unwrap_or_default()
    }
}

/// Bodies as records, every third one on partition 1.
fn records<'a>(values: &'a [(String, Vec<u8>)]) -> Vec<Record<'a>> {
    let record = |(at, (key, value)): (usize, &'a (String, Vec<u8>))| {
        let partition = Partition(i32::from(at % 3 == 2));
        Record { partition, offset: Offset(at as i64), key: key.as_bytes(), value }
    };
    values.iter().enumerate().map(record).collect()
}

fn stripe(body: &Body) -> (String, Vec<u8>) {
    ("stripe/live/cus_1".to_owned(), body.0.to_string().into_bytes())
}

fn history() -> Vec<(String, Vec<u8>)> {
    let mut all = vec![
        stripe(&Body::subscription("evt_1", "created", 10, "incomplete")),
        stripe(&Body::subscription("evt_2", "updated", 10, "active").before(json!({"status": "incomplete"}))),
        stripe(&Body::subscription("evt_3", "updated", 30, "active").with("id", json!("sub_2"))),
        stripe(&Body::customer("evt_4", "updated", 40)),
        stripe(&Body::subscription("evt_5", "updated", 30, "past_due")),
        stripe(&Body::customer("evt_6", "deleted", 50)),
        ("elsewhere".to_owned(), stripe(&Body::customer("evt_7", "deleted", 50)).1),
        ("stripe/live/x".to_owned(), b"{\"id\":\"evt_8\"}".to_vec()),
        ("stripe/live/x".to_owned(), b"not JSON".to_vec()),
    ];
    all.push(stripe(&Body::subscription("evt_9", "updated", 60, "active").with("customer", json!(null))));
    all
}

#[test]
fn states_and_the_index_of_a_customer_are_written_under_their_scope() {
    let history = history();
    let mut memory = Memory::default();
    memory.fold(&records(&history));
    let found: Vec<(Scope, &[u8])> = memory
        .0
        .keys()
        .filter(|(family, _)| *family == OF_CUSTOMER.0)
        .map(|(_, key)| scope(key.strip_prefix(&any_scope("cus_1")[..]).unwrap()).unwrap())
        .collect();
    let live = Scope { test: false, connect: false, name: "stripe".into() };
    assert_eq!(found, [(live.clone(), &b"sub_1"[..]), (live, &b"sub_2"[..])]);
    assert_eq!(memory.0.keys().filter(|(family, _)| *family == CUSTOMERS.0).count(), 1);
}

#[test]
fn nothing_is_skipped_silently() {
    let history = history();
    let mut memory = Memory::default();
    memory.fold(&records(&history));
    let counts = |partition| {
        let tally = memory.tally(partition).0;
        tally.into_iter().map(|(why, count)| (why, count.records, count.first)).collect::<Vec<_>>()
    };
    assert_eq!(
        counts(0),
        [(NOT_NEEDED.to_owned(), 1, 7), ("the record's key does not fit its event".to_owned(), 1, 6)]
    );
    assert_eq!(counts(1), [("the body is no event".to_owned(), 1, 8)]);
}

#[test]
fn damaged_bytes_stop_the_fold() {
    let history = history();
    let mut memory = Memory::default();
    memory.fold(&records(&history));
    memory.0.values_mut().for_each(|value| value.push(0xff));
    let (batch, mut keys) = (records(&history), Keys::default());
    reads(&batch, &mut keys);
    let outcome = fold(&batch, &Asked { memory: &memory, keys }, &mut Writes::default());
    assert_eq!(outcome, Err(Unreadable::Damaged));
}

proptest! {
    /// I10: fold(a ++ b) = fold(a); fold(b).
    #[test]
    fn folding_does_not_depend_on_how_records_are_cut_into_batches(
        (history, cuts) in (Just(history()).prop_shuffle(), prop::collection::vec(1..5usize, 1..10)),
    ) {
        let records = records(&history);
        let mut whole = Memory::default();
        whole.fold(&records);
        let mut pieces = Memory::default();
        let mut rest = &records[..];
        for cut in cuts.iter().cycle() {
            let (batch, later) = rest.split_at(rest.len().min(*cut));
            pieces.fold(batch);
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(pieces, whole);
    }
}
