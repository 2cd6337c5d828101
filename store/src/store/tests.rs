use hooklog_schemas::ids::Span;
use hooklog_schemas::{NextOffset, Offset, Partition};

use super::*;
use crate::emission::{Emission, Verified};
use crate::registry::Registry;
use crate::writes::Keys;

const VIEW: Family = Family(0);
const SEEN: Family = Family(1);
const WIDTH: Span = Span::days(5);
const WINDOW: Span = Span::days(35);

fn layout() -> Layout {
    Layout(vec![("view", Kind::Plain), ("seen", Kind::Buckets { width: WIDTH, window: WINDOW })])
}

fn registry() -> Registry {
    Registry::with_memory(64 << 20)
}

fn source() -> TopicPartition {
    TopicPartition { topic: "raw".to_owned(), partition: Partition(2) }
}

fn day(n: i64) -> Millis {
    Millis(Span::days(n).0)
}

fn seen(writes: &mut Writes, key: &[u8], at: Millis) {
    writes.put(SEEN, at, key, &at.0.to_be_bytes());
}

fn get(store: &Store, family: Family, key: &[u8]) -> Option<Vec<u8>> {
    let mut keys = Keys::default();
    keys.push(family, key);
    store.multi_get(&keys).unwrap().remove(0)
}

#[test]
fn writes_and_their_position_are_there_after_opening_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let applied = Applied { next: NextOffset(7), stream_time: day(3), last: None };
    {
        let store = registry().open(&path, layout(), "test 1").unwrap();
        assert_eq!(store.applied(&source()).unwrap(), Applied::NOTHING);
        let mut writes = Writes::default();
        writes.put(VIEW, Millis::MIN, b"a", b"1");
        writes.put(VIEW, Millis::MIN, b"b", b"2");
        writes.delete(VIEW, b"a");
        seen(&mut writes, b"x", day(3));
        store.apply(&writes, &[(source(), applied)]).unwrap();
    }
    let store = registry().open(&path, layout(), "test 1").unwrap();
    assert_eq!(store.applied(&source()).unwrap(), applied);
    assert_eq!((get(&store, VIEW, b"a"), get(&store, VIEW, b"b")), (None, Some(b"2".to_vec())));
    assert_eq!(get(&store, SEEN, b"x"), Some(day(3).0.to_be_bytes().to_vec()));
    assert_eq!(store.applied_all().unwrap().len(), 1);
}

#[test]
fn a_store_of_another_kind_is_not_opened() {
    let dir = tempfile::tempdir().unwrap();
    let registry = registry();
    drop(registry.open(dir.path(), layout(), "fold=1").unwrap());
    assert!(matches!(registry.open(dir.path(), layout(), "fold=2"), Err(Error::Foreign { .. })));
    assert_eq!(registry.open_existing(dir.path(), layout()).unwrap().kind(), "fold=1");
}

#[test]
fn a_path_is_open_once_and_free_again_after_closing() {
    let dir = tempfile::tempdir().unwrap();
    let registry = registry();
    let store = registry.open(dir.path(), layout(), "x").unwrap();
    assert!(matches!(registry.open(dir.path(), layout(), "x"), Err(Error::Busy(_))));
    assert!(matches!(registry.discard(dir.path()), Err(Error::Busy(_))));
    assert!(registry.is_open(dir.path()) && !registry.is_open(&dir.path().join("other")));
    drop(store);
    assert!(!registry.is_open(dir.path()));
    drop(registry.open(dir.path(), layout(), "x").unwrap());
    registry.discard(dir.path()).unwrap();
    assert!(matches!(registry.open_existing(dir.path(), layout()), Err(Error::Damaged { .. })));
}

#[test]
fn the_newest_value_counts_across_buckets() {
    let dir = tempfile::tempdir().unwrap();
    let store = registry().open(dir.path(), layout(), "x").unwrap();
    for n in [1, 12, 23] {
        let mut writes = Writes::default();
        seen(&mut writes, b"x", day(n));
        store.apply(&writes, &[]).unwrap();
    }
    assert_eq!(get(&store, SEEN, b"x"), Some(day(23).0.to_be_bytes().to_vec()));
    assert_eq!(get(&store, SEEN, b"y"), None);
}

#[test]
fn expired_buckets_go_and_the_rest_stays_also_after_opening_again() {
    let dir = tempfile::tempdir().unwrap();
    {
        let store = registry().open(dir.path(), layout(), "x").unwrap();
        let mut writes = Writes::default();
        seen(&mut writes, b"old", day(1));
        seen(&mut writes, b"new", day(40));
        store.apply(&writes, &[(source(), Applied { next: NextOffset(2), stream_time: day(46), last: None })]).unwrap();
        assert_eq!(store.drop_expired(day(45)).unwrap(), 0);
        assert_eq!(store.drop_expired(day(46)).unwrap(), 1);
    }
    let store = registry().open(dir.path(), layout(), "x").unwrap();
    assert_eq!(get(&store, SEEN, b"old"), None);
    assert!(get(&store, SEEN, b"new").is_some());
    assert_eq!(store.drop_expired(day(46)).unwrap(), 0);
}

#[test]
fn the_content_hash_ignores_buckets_and_what_fell_out_of_the_window() {
    let hash = |events: &[(&[u8], i64)], drop_at: Option<i64>| {
        let dir = tempfile::tempdir().unwrap();
        let store = registry().open(dir.path(), layout(), "x").unwrap();
        for (key, at) in events {
            let mut writes = Writes::default();
            seen(&mut writes, key, day(*at));
            store.apply(&writes, &[]).unwrap();
        }
        drop_at.map(|n| store.drop_expired(day(n)).unwrap());
        store.content_hash(day(46)).unwrap()
    };
    let whole = hash(&[(b"gone", 1), (b"a", 12), (b"b", 13), (b"a", 41)], None);
    assert_eq!(whole, hash(&[(b"gone", 1), (b"a", 12), (b"b", 13), (b"a", 41)], Some(46)));
    assert_eq!(whole, hash(&[(b"b", 13), (b"a", 41)], None));
    assert_ne!(whole, hash(&[(b"b", 13), (b"a", 42)], None));
    assert_ne!(whole, hash(&[(b"a", 41)], None));
}

#[test]
fn a_snapshot_stays_as_it_was_and_scans_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let store = registry().open(dir.path(), layout(), "x").unwrap();
    let put = |key: &[u8]| {
        let mut writes = Writes::default();
        writes.put(VIEW, Millis::MIN, key, b"v");
        store.apply(&writes, &[]).unwrap();
    };
    ["c/1", "c/2", "c/3", "d/1"].iter().for_each(|key| put(key.as_bytes()));
    let snapshot = store.snapshot();
    put(b"c/0");
    let keys = |from: &[u8], limit| {
        let entries = snapshot.scan(VIEW, b"c/", from, limit).unwrap();
        entries.into_iter().map(|(key, _)| String::from_utf8(key.to_vec()).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(keys(b"", 9), ["c/1", "c/2", "c/3"]);
    assert_eq!(keys(b"c/2", 1), ["c/2"]);
    assert_eq!(snapshot.get(VIEW, b"c/0").unwrap(), None);
    assert!(store.get(VIEW, b"c/0").unwrap().is_some());
}

#[test]
fn a_damaged_store_says_so() {
    let dir = tempfile::tempdir().unwrap();
    drop(registry().open(dir.path(), layout(), "x").unwrap());
    std::fs::write(dir.path().join("CURRENT"), "MANIFEST-no\n").unwrap();
    let error = registry().open(dir.path(), layout(), "x").err().unwrap();
    assert!(error.is_damage(), "{error:?}");
}

#[test]
fn a_store_whose_files_are_gone_is_damaged_and_no_new_one() {
    for kind in ["MANIFEST-", ".sst"] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store");
        {
            let store = registry().open(&path, layout(), "x").unwrap();
            let mut writes = Writes::default();
            seen(&mut writes, b"x", day(3));
            store
                .apply(&writes, &[(source(), Applied { next: NextOffset(7), stream_time: day(3), last: None })])
                .unwrap();
            store.flush().unwrap();
        }
        let files = std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path());
        let of_kind = files.filter(|file| file.file_name().unwrap().to_str().unwrap().contains(kind));
        assert!(of_kind.map(|file| std::fs::remove_file(file).unwrap()).count() > 0);
        let error = registry().open(&path, layout(), "x").err().expect(kind);
        assert!(error.is_damage(), "{kind}: {error:?}");
    }
}

#[test]
fn what_a_crash_left_of_a_discarded_store_is_in_nobodys_way() {
    let dir = tempfile::tempdir().unwrap();
    let (path, left) = (dir.path().join("p1"), dir.path().join("p1.discarded"));
    let registry = registry();
    std::fs::create_dir(&left).unwrap();
    std::fs::write(left.join("CURRENT"), "x").unwrap();
    drop(registry.open(&path, layout(), "x").unwrap());
    assert!(!left.exists());
    std::fs::create_dir(&left).unwrap();
    std::fs::write(left.join("CURRENT"), "x").unwrap();
    registry.discard(&path).unwrap();
    assert!(!left.exists() && !path.exists());
    registry.discard(&path).unwrap();
}

fn emission(from: i64, outputs: &[(i64, i32)]) -> Emission {
    let outputs = outputs.iter().map(|(offset, partition)| (Offset(*offset), Partition(*partition))).collect();
    Emission { from: NextOffset(from), stream_time: day(1), outputs }
}

#[test]
fn what_batches_emitted_is_remembered_with_their_position_until_it_is_verified() {
    let dir = tempfile::tempdir().unwrap();
    let store = registry().open(&dir.path().join("store"), layout(), "test 1").unwrap();
    let other = TopicPartition { partition: Partition(21), ..source() };
    let at = |next| Applied { next: NextOffset(next), stream_time: day(3), last: None };
    let apply = |source: &TopicPartition, next, emission: Option<&Emission>| {
        store.apply_emitting(&Writes::default(), (source, at(next)), emission).unwrap();
    };
    let (first, second, third) = (emission(0, &[(0, 3), (4, 0)]), emission(5, &[(5, 1)]), emission(300, &[(300, 2)]));
    apply(&source(), 5, Some(&first));
    apply(&source(), 300, Some(&second));
    apply(&source(), 301, Some(&third));
    apply(&source(), 302, Some(&emission(301, &[])));
    apply(&other, 7, Some(&emission(0, &[(6, 3)])));
    assert_eq!(store.applied(&source()).unwrap(), at(302));
    assert_eq!(store.emissions(&source(), NextOffset::ZERO).unwrap(), [first, second.clone(), third.clone()]);
    assert_eq!(store.emissions(&source(), NextOffset(5)).unwrap(), [second, third.clone()]);

    assert_eq!(store.verified(&source()).unwrap(), None);
    let verified = Verified { next: NextOffset(300), outputs: vec![NextOffset(8); 4] };
    store.set_verified(&source(), &verified).unwrap();
    assert_eq!(store.verified(&source()).unwrap(), Some(verified));
    assert_eq!(store.emissions(&source(), NextOffset::ZERO).unwrap(), [third]);
    assert_eq!(store.emissions(&other, NextOffset::ZERO).unwrap().len(), 1);
    assert_eq!(store.verified(&other).unwrap(), None);

    store.forget_verified(&source()).unwrap();
    assert_eq!(
        (store.verified(&source()).unwrap(), store.emissions(&source(), NextOffset::ZERO).unwrap()),
        (None, vec![])
    );
    assert_eq!(store.emissions(&other, NextOffset::ZERO).unwrap().len(), 1);
    assert_eq!(store.applied(&source()).unwrap(), at(302));
}

#[test]
fn a_store_of_before_outputs_were_remembered_is_opened_and_has_none() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let families = ["meta", "view"].map(|name| rocksdb::ColumnFamilyDescriptor::new(name, Options::default()));
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    drop(Db::open_cf_descriptors(&options, &path, families).unwrap());
    let store = registry().open(&path, layout(), "test 1").unwrap();
    assert_eq!(store.emissions(&source(), NextOffset::ZERO).unwrap(), []);
    assert_eq!(store.verified(&source()).unwrap(), None);
}
