use super::*;
use Registration::{Absent, Active, Fenced};
use proptest::prelude::*;

/// As Apache Kafka 4.3.1 wrote them: the registration of a broker that has yet to catch up, and what followed.
const REGISTERED: &str = "0100040000000100\
    56080bf541574b97b3a2efcc8e4e0b32000000000000000c02064b41464b410a3132372e302e302e315264000000080e73686172652e7665727369\
    6f6e0000000100116d657461646174612e76657273696f6e0007001e0021656c696769626c652e6c65616465722e7265706c696361732e7665727369\
    6f6e0000000100147472616e73616374696f6e2e76657273696f6e00000002001073747265616d732e76657273696f6e00000001000e67726f75702e\
    76657273696f6e00000001000e6b726166742e76657273696f6e000000010000010001001102d758b6c8cedb62db2e4daf1666b9d87d";
const LOG_DIRS: &str = "01110300000001000000000000000c01030101";
const UNFENCED: &str = "01110000000001000000000000000c010001ff";
const FENCED: &str = "01110000000001000000000000000c01000101";
const NO_OP: &str = "01140000";

fn batch(base: i64, values: &[&str]) -> Vec<u8> {
    let mut bytes = base.to_be_bytes().to_vec();
    bytes.extend([0; HEADER - 8]);
    bytes[57..61].copy_from_slice(&i32::try_from(values.len()).unwrap().to_be_bytes());
    for (n, value) in values.iter().enumerate() {
        let value = hex::decode(value).unwrap();
        let mut record = vec![0, 0];
        record.extend([u8::try_from(n * 2).unwrap(), 1]);
        record.extend(varint(value.len() as u64 * 2));
        record.extend(value);
        record.push(0);
        bytes.extend(varint(record.len() as u64 * 2));
        bytes.extend(record);
    }
    let length = i32::try_from(bytes.len() - PREFIX).unwrap();
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    bytes
}

/// A log in which the controller takes the broker 1 for alive.
pub(in crate::broker) fn active() -> Vec<u8> {
    batch(0, &[REGISTERED, UNFENCED])
}

fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

fn known(values: &[&str]) -> Registration {
    after(Absent, &batch(0, values), 0, 1).unwrap()
}

#[test]
fn a_broker_is_active_from_when_it_was_let_in_until_it_was_fenced() {
    assert_eq!(known(&[NO_OP]), Absent);
    assert_eq!(known(&[REGISTERED, LOG_DIRS]), Fenced);
    assert_eq!(known(&[REGISTERED, LOG_DIRS, UNFENCED]), Active);
    assert_eq!(known(&[REGISTERED, UNFENCED, NO_OP, FENCED]), Fenced);
    assert_eq!(known(&[REGISTERED, UNFENCED, FENCED, REGISTERED, UNFENCED]), Active);
    assert_eq!(known(&[REGISTERED, UNFENCED, "0101000000000100"]), Absent, "it was unregistered");
}

#[test]
fn other_brokers_and_control_batches_say_nothing() {
    let batch = batch(0, &[REGISTERED, UNFENCED]);
    assert_eq!(after(Absent, &batch, 0, 2), Ok(Absent));
    let mut control = batch;
    control[22] |= 0x20;
    assert_eq!(after(Absent, &control, 0, 1), Ok(Absent));
}

#[test]
fn what_is_in_the_snapshot_already_is_not_counted_again() {
    let batch = batch(10, &[REGISTERED, UNFENCED, FENCED]);
    assert_eq!(after(Active, &batch, 13, 1), Ok(Active));
    assert_eq!(after(Active, &batch, 12, 1), Ok(Fenced));
}

fn log(files: &[(&str, Vec<u8>)]) -> (tempfile::TempDir, MetadataLog) {
    let dir = tempfile::tempdir().unwrap();
    let log = MetadataLog::of(dir.path());
    fs::create_dir_all(&log.directory).unwrap();
    files.iter().for_each(|(name, bytes)| fs::write(log.directory.join(name), bytes).unwrap());
    (dir, log)
}

#[test]
fn the_log_is_read_on_from_where_it_was_read_to() {
    let first = "00000000000000000000.log";
    let (_dir, mut log) = log(&[(first, batch(0, &[REGISTERED, UNFENCED]))]);
    assert_eq!(log.look(1), Some(Active));
    let mut cut = fs::read(log.directory.join(first)).unwrap();
    let whole = batch(2, &[FENCED]);
    cut.extend(&whole[..whole.len() - 1]);
    fs::write(log.directory.join(first), &cut).unwrap();
    assert_eq!(log.look(1), Some(Active), "half a batch is none");
    cut.push(whole[whole.len() - 1]);
    fs::write(log.directory.join(first), &cut).unwrap();
    assert_eq!(log.look(1), Some(Fenced));
    fs::write(log.directory.join("00000000000000000003.log"), batch(3, &[REGISTERED, UNFENCED])).unwrap();
    assert_eq!(log.look(1), Some(Active));
}

#[test]
fn the_newest_snapshot_is_where_reading_begins() {
    let (_dir, mut log) = log(&[
        ("00000000000000000000-0000000000.checkpoint", batch(0, &[REGISTERED])),
        ("00000000000000000009-0000000002.checkpoint", batch(0, &[REGISTERED, UNFENCED])),
        ("00000000000000000005.log", batch(5, &[FENCED])),
        ("00000000000000000006.snapshot", vec![1, 2, 3]),
    ]);
    assert_eq!(log.look(1), Some(Active));
}

#[test]
fn where_there_is_no_log_there_is_no_broker_and_a_strange_one_tells_nothing() {
    assert_eq!(MetadataLog::of(Path::new("/nowhere")).look(1), Some(Absent));
    let mut strange = batch(0, &[REGISTERED]);
    let last = strange.len() - 1;
    strange[61] = 0xff;
    strange[last] = 0xff;
    let (_dir, mut log) = log(&[("00000000000000000000.log", strange)]);
    assert_eq!(log.look(1), None);
}

#[test]
fn what_cannot_be_read_tells_nothing_however_often_it_is_looked_at_until_it_can_be() {
    let name = "00000000000000000009-0000000002.checkpoint";
    let (_dir, mut log) = log(&[("00000000000000000009.log", batch(9, &[NO_OP]))]);
    let snapshot = log.directory.join(name);
    // Reading it is an error of the system.
    fs::create_dir(&snapshot).unwrap();
    assert_eq!([log.look(1), log.look(1)], [None, None]);
    fs::remove_dir(&snapshot).unwrap();
    let mut strange = batch(0, &[REGISTERED]);
    strange[61] = 0xff;
    fs::write(&snapshot, strange).unwrap();
    assert_eq!([log.look(1), log.look(1)], [None, None], "the log behind a snapshot does not stand for it");
    fs::write(&snapshot, active()).unwrap();
    assert_eq!([log.look(1), log.look(1)], [Some(Active), Some(Active)]);
}

proptest! {
    #[test]
    fn no_bytes_at_all_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = after(Absent, &bytes, 0, 1);
        let _ = with(Absent, Bytes(&bytes), 1);
    }
}
