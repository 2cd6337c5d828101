//! The reader of a span, against the real broker: whatever the partition's end is at the moment, it gives all of the span.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use hooklog_log::connection::Isolation;
use hooklog_log::reader::{OffsetRange, Reader};
use hooklog_log::{Connection, Error, watermarks};
use hooklog_schemas::{NextOffset, Partition};
use hooklog_test_support::{Broker, unique_prefix, wait_until};
use rdkafka::admin::{AdminOptions, NewTopic, TopicReplication};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

const HOOKLOG: &str = env!("CARGO_BIN_EXE_hooklog");
const ANSWER: Duration = Duration::from_secs(30);
/// Longer than a reader that is wrong waits at an end, and than the client takes to tell of one.
const A_WHILE: Duration = Duration::from_secs(2);
const P0: Partition = Partition(0);

fn connection() -> Connection {
    Connection::to(Broker::shared(HOOKLOG).address())
}

/// A topic of one partition.
fn topic() -> String {
    let (name, admin) = (format!("{}span", unique_prefix()), connection().admin().unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let new = NewTopic::new(&name, 1, TopicReplication::Fixed(1));
    let made = runtime.block_on(admin.create_topics(&[new], &AdminOptions::new().request_timeout(Some(ANSWER))));
    made.unwrap().remove(0).unwrap();
    wait_until("it has a leader", || watermarks::of(&connection(), &name, P0, Isolation::Committed).ok());
    name
}

/// `count` records in one batch, there when this returns.
fn append(producer: &BaseProducer, topic: &str, count: usize) {
    for _ in 0..count {
        producer.send(BaseRecord::<(), str>::to(topic).partition(0).payload("x")).map_err(|(e, _)| e).unwrap();
    }
    producer.flush(ANSWER).unwrap();
}

fn plain() -> BaseProducer {
    connection().client().set("linger.ms", "50").create().unwrap()
}

/// A producer with an open transaction.
fn in_transaction(id: &str) -> BaseProducer {
    let producer: BaseProducer = connection().client().set("transactional.id", id).create().unwrap();
    producer.init_transactions(ANSWER).unwrap();
    producer.begin_transaction().unwrap();
    producer
}

fn reader(topic: &str, from: i64, to: i64, silence: Duration) -> Reader {
    let span = OffsetRange { topic: topic.to_owned(), partition: P0, from: NextOffset(from), to: NextOffset(to) };
    Reader::open(&connection(), Isolation::Committed, span).unwrap().with_silence(silence)
}

/// The offsets that are given until the span is done.
fn all(mut reader: Reader) -> Result<Vec<i64>, Error> {
    let mut offsets = Vec::new();
    while let Some(record) = reader.next()? {
        offsets.push(record.offset());
    }
    Ok(offsets)
}

#[test]
fn a_span_that_ends_behind_what_the_replica_has_now_is_read_whole_once_the_replica_has_it() {
    let (topic, producer) = (topic(), plain());
    append(&producer, &topic, 3);
    let mut reader = reader(&topic, 0, 6, ANSWER);
    let (given, offsets) = mpsc::channel();
    let reading = thread::spawn(move || {
        while let Some(record) = reader.next().unwrap() {
            given.send(record.offset()).unwrap();
        }
        reader.position()
    });
    let first: Vec<_> = (0..3).map(|_| offsets.recv_timeout(ANSWER).unwrap()).collect();
    // It meets the partition's end, which is not the span's.
    assert_eq!(offsets.recv_timeout(A_WHILE), Err(RecvTimeoutError::Timeout), "the span was ended early");
    append(&producer, &topic, 5);
    assert_eq!((first, offsets.iter().collect::<Vec<_>>()), (vec![0, 1, 2], vec![3, 4, 5]));
    assert_eq!(reading.join().unwrap(), NextOffset(6));
}

#[test]
fn a_span_whose_end_never_comes_is_an_error_and_not_an_end() {
    let topic = topic();
    append(&plain(), &topic, 3);
    let silence = Duration::from_secs(1);
    let mut reader = reader(&topic, 0, 6, silence);
    for offset in 0..3 {
        assert_eq!(reader.next().unwrap().unwrap().offset(), offset);
    }
    let began = Instant::now();
    assert!(matches!(reader.next(), Err(Error::Read { partition: P0, .. })));
    assert!(began.elapsed() >= silence);
    assert_eq!(reader.position(), NextOffset(3));
}

/// Aborted records are given to nobody, and move the client's position only with the marker behind them.
#[test]
fn a_span_that_ends_between_aborted_records_and_their_marker_is_done_without_waiting_for_it() {
    let topic = topic();
    let (aborts, stays) = (format!("{topic}.aborts"), format!("{topic}.stays"));
    append(&plain(), &topic, 1);
    let aborted = in_transaction(&aborts);
    append(&aborted, &topic, 2);
    let open = in_transaction(&stays);
    append(&open, &topic, 1);
    aborted.abort_transaction(ANSWER).unwrap();
    let end = wait_until("the stable end is where the open transaction begins", || {
        let ends = watermarks::of(&connection(), &topic, P0, Isolation::Committed).ok()?;
        (ends.end > NextOffset(1)).then_some(ends.end)
    });
    assert_eq!(end, NextOffset(3));
    let began = Instant::now();
    assert_eq!(all(reader(&topic, 0, 3, ANSWER)).unwrap(), [0]);
    assert!(began.elapsed() < ANSWER / 2);
    assert_eq!(all(reader(&topic, 1, 3, ANSWER)).unwrap(), [] as [i64; 0]);
    open.commit_transaction(ANSWER).unwrap();
    // Record 3, the marker of the abort at 4, that of the commit at 5.
    assert_eq!(all(reader(&topic, 0, 6, ANSWER)).unwrap(), [0, 3]);
}
