//! The short form of `make chaos`: the fault harness itself, with ten cycles that follow each other quickly.

use std::time::Duration;

use hooklog_faults::options::{Options, Scenario};
use hooklog_faults::reader::{Held, stable_ends};
use hooklog_faults::{Place, Standing, Stop, run};
use hooklog_test_support::{Broker, DEADLINE, unique_prefix};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

const HOOKLOG: &str = env!("CARGO_BIN_EXE_hooklog");
const CYCLES: u64 = 10;

#[test]
fn ten_kills_of_hooklog_its_broker_or_both_under_load_lose_and_double_nothing_and_each_time_it_is_ready_again() {
    let directory = tempfile::tempdir().unwrap();
    let usual = Options::of(Scenario::Crash);
    // What is stuck stays so; how quick it is on a busy machine is not judged here.
    let ready_within_s = DEADLINE.as_secs();
    let options = Options { cycles: CYCLES, check_every: 5, ready_within_s, hurry: true, rate: 300, ..usual };
    let place = Place { hooklog: HOOKLOG.into(), directory: directory.path().to_owned(), report: None };
    let report = run(options, place, &Stop::default()).unwrap();
    let said: Vec<_> = report.findings.iter().map(|finding| finding.hooklog.join("\n")).collect();
    assert_eq!(report.standing, Standing::Passed, "{}\n{}", said.join("\n"), report.table());
    assert_eq!((report.cycles.len() as u64, report.restarts["all"].count, report.checks), (CYCLES, CYCLES, 2));
    // A harness that posts nothing, or reads no transactions, finds nothing either.
    let (load, log) = (&report.load[&1], &report.logs[&1].judgement);
    assert!(load.acknowledged > 1_000 && load.answers.len() > 1, "{load:?}");
    assert!(log.transactions > 100 && log.markers > log.transactions, "{log:?}");
}

/// Or the harness would take events that a transaction keeps from readers for events that are not there yet.
#[test]
fn an_open_transaction_is_seen_by_the_harness_and_an_ended_one_is_not() {
    let (broker, topic) = (Broker::shared(HOOKLOG), format!("{}events", unique_prefix()));
    let admin: AdminClient<_> = broker.client().create().unwrap();
    let wanted = [NewTopic::new(&topic, 1, TopicReplication::Fixed(1))];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(admin.create_topics(&wanted, &AdminOptions::new())).unwrap();
    let producer: BaseProducer = broker.client().set("transactional.id", &topic).create().unwrap();
    producer.init_transactions(DEADLINE).unwrap();
    producer.begin_transaction().unwrap();
    producer.send(BaseRecord::<str, str>::to(&topic).partition(0).payload("{}")).unwrap();
    producer.flush(DEADLINE).unwrap();
    let look = |within| stable_ends(broker.address(), &topic, within).unwrap();
    assert_eq!(look(Duration::from_secs(1)), Err(Held { partition: 0, stable: 0, end: 1 }));
    producer.commit_transaction(DEADLINE).unwrap();
    assert_eq!(look(DEADLINE), Ok([(0, 2)].into()));
}
