//! How many replicas new topics get on a given cluster: three, or what somebody decided; never fewer because brokers happen to

//! be down.

use std::time::Duration;

use hooklog_log::Connection;
use hooklog_test_support::{Broker, Program, Refused, Site};

const HOOKLOG: &str = env!("CARGO_BIN_EXE_hooklog");

/// `hooklog ingest` with these flags, and nothing said of replicas elsewhere.
fn ingest(site: &Site, flags: &[&str]) -> Result<Program, Refused> {
    let mut command = site.command(&[&["ingest", "--ingest-addr", "127.0.0.1:0"], flags].concat());
    command.env_remove("HOOKLOG_REPLICATION").env("HOOKLOG_STRIPE_SECRET", "whsec_replication");
    Program::spawn(command)
}

/// The site's topics, and how many replicas their first partitions have.
fn topics(site: &Site, brokers: &str) -> Vec<(String, usize)> {
    let admin = Connection::to(brokers).admin().unwrap();
    let metadata = admin.inner().fetch_metadata(None, Duration::from_secs(30)).unwrap();
    let ours = metadata.topics().iter().filter(|topic| topic.name().starts_with(site.topics().prefix()));
    let mut ours: Vec<_> =
        ours.map(|topic| (topic.name().to_owned(), topic.partitions()[0].replicas().len())).collect();
    ours.sort();
    ours
}

#[test]
fn on_a_cluster_that_shows_one_broker_topics_are_made_only_once_somebody_says_how_many_replicas_are_meant() {
    let broker = Broker::shared(HOOKLOG);
    let site = Site::on(broker, HOOKLOG);
    let refused = ingest(&site, &[]).expect_err("two brokers may be down");
    assert_eq!(refused.code, Some(3), "{refused}");
    assert!(refused.stderr.contains("--replication"), "it names the way out: {refused}");
    assert_eq!(topics(&site, broker.address()), [], "nothing was made");

    assert!(ingest(&site, &["--replication", "1"]).unwrap().stop().success());
    let made = topics(&site, broker.address());
    assert_eq!(made.iter().map(|(_, replicas)| *replicas).collect::<Vec<_>>(), [1, 1, 1], "{made:?}");
    // What is there is there: a later start needs no flag, and one that wants more says so and goes on.
    assert!(ingest(&site, &[]).unwrap().stop().success());
    assert!(ingest(&site, &["--replication", "3"]).unwrap().stop().success());
    assert_eq!(topics(&site, broker.address()), made);
}

#[test]
fn a_service_beside_the_local_broker_needs_no_flag() {
    let site = Site::alone(HOOKLOG);
    let broker = Program::spawn(site.command(&["broker", "run", "--kafka-port", "0"])).unwrap();
    let brokers = broker.ready()["brokers"].as_str().unwrap().to_owned();
    assert!(ingest(&site, &[]).unwrap().stop().success());
    assert_eq!(topics(&site, &brokers).len(), 3);
    assert!(broker.stop().success());
}
