//! A broker whose clock is wrong: its records would make every known event look old (I4).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hooklog_log::partition_for;
use hooklog_task::metric_names::STOPPED;
use hooklog_test_support::records::{committed, ends, records};
use hooklog_test_support::settings::alter;
use hooklog_test_support::{Broker, Site, wait_until};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};

const HOOKLOG: &str = env!("CARGO_BIN_EXE_hooklog");
const ANSWER: Duration = Duration::from_secs(30);
const PARTITIONS: u32 = 4;
const AHEAD_MS: i64 = 2 * 3_600_000;
/// `raw` as it would look to us where the broker's clock ran ahead.
const TIMES_AS_GIVEN: [(&str, &str); 2] =
    [("message.timestamp.type", "CreateTime"), ("message.timestamp.after.max.ms", "9223372036854775807")];

#[expect(clippy::disallowed_methods, reason = "a record of the future has to be one")]
fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// The first id of this name whose records go to `partition`, or to any other one.
fn id(name: &str, partition: i32, there: bool) -> String {
    let mut ids = (0..).map(|n| format!("evt_{name}_{n}"));
    ids.find(|id| (partition_for(id.as_bytes(), PARTITIONS).0 == partition) == there).unwrap()
}

fn write(site: &Site, partition: i32, id: &str, time: i64) {
    let producer: ThreadedProducer<DefaultProducerContext> = Broker::shared(HOOKLOG).client().create().unwrap();
    let (raw, body) = (site.topics().raw(), format!("{{\"id\":\"{id}\"}}"));
    let record = BaseRecord::to(&raw).partition(partition).key(id).payload(&body).timestamp(time);
    producer.send(record).map_err(|(error, _)| error).unwrap();
    producer.flush(ANSWER).unwrap();
}

#[test]
fn a_record_from_the_future_stops_its_partition_loudly_and_the_others_go_on() {
    let site = Site::on(Broker::shared(HOOKLOG), HOOKLOG);
    let up = site.up();
    let (brokers, raw, partition) = (up.brokers(), site.topics().raw(), 2);
    let body = |id: &str| format!("{{\"id\":\"{id}\"}}").into_bytes();
    assert_eq!(up.post(&body(&id("before", partition, true))).status, 200);
    site.processed(brokers);
    assert_eq!(up.metric(STOPPED, "processor"), 0.0);

    alter(brokers, &raw, &TIMES_AS_GIVEN);
    let future = id("future", partition, true);
    write(&site, partition, &future, now() + AHEAD_MS);
    let at = ends(brokers, &raw)[&partition] - 1;
    let line = up.says("more than an hour ahead");
    assert!(line.contains("ERROR") && line.contains(&format!("at offset {at}")), "{line}");
    assert!(up.metric(STOPPED, &format!("partition=\"{partition}\"")) > 0.0);

    // Behind it in its partition, and in another one.
    let (behind, elsewhere) = (id("behind", partition, true), id("elsewhere", partition, false));
    assert_eq!(up.post(&body(&behind)).status, 200);
    assert_eq!(up.post(&body(&elsewhere)).status, 200);
    let ids = || {
        let events = records(brokers, &site.topics().events());
        events.iter().map(|event| event.header("ce_id").unwrap().to_owned()).collect::<Vec<_>>()
    };
    wait_until("another partition goes on", || ids().contains(&elsewhere).then_some(()));
    assert!(!ids().contains(&future) && !ids().contains(&behind), "{:?}", ids());
    assert_eq!(committed(brokers, &site.group(), &raw)[&partition].0, at, "it stands before the record");

    let status = site.run(&["status", "--json"]).json();
    let lines = status["partitions"].as_array().unwrap();
    let stopped: Vec<_> = lines.iter().filter(|line| !line["stopped"].is_null()).collect();
    assert_eq!((stopped.len(), stopped[0]["partition"].as_i64()), (1, Some(i64::from(partition))), "{status}");
    assert!(stopped[0]["stopped"].as_str().unwrap().contains("more than an hour ahead"), "{status}");
    assert!(up.program.stop().success());
}
