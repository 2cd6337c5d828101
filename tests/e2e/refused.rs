//! One record whose event `events` never takes: its partition stops there, loudly, and no other does.

use hooklog_task::metric_names::{COMMITTED, STOPPED, TRANSACTIONS};
use hooklog_test_support::records::committed;
use hooklog_test_support::settings::{AS_MADE, alter};
use hooklog_test_support::{Broker, Feed, Site, wait_until};

const HOOKLOG: &str = env!("CARGO_BIN_EXE_hooklog");
/// Enough for the events of a feed, and for markers.
const SMALLER: [(&str, &str); 1] = [("max.message.bytes", "60000")];

/// What cannot be compressed to less than the limit.
fn large_event() -> String {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut letter = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b'0' + state.to_be_bytes()[0] % 64)
    };
    let noise: String = (0..200_000).map(|_| letter()).filter(char::is_ascii_alphanumeric).collect();
    format!(
        r#"{{"id":"evt_large","object":"event","type":"customer.updated","created":1767225600,"livemode":true,"data":{{"object":{{"object":"customer","id":"cus_1","description":"{noise}"}}}}}}"#
    )
}

#[test]
fn an_event_that_is_too_large_for_its_topic_stops_its_partition_alone_with_its_position() {
    let site = Site::on(Broker::shared(HOOKLOG), HOOKLOG);
    let up = site.up();
    let raw = site.topics().raw();
    let feed = Feed::start(up.brokers(), &raw, 4, "small");
    wait_until("something is committed", || (up.metric(TRANSACTIONS, COMMITTED) > 0.0).then_some(()));
    alter(up.brokers(), &site.topics().events(), &SMALLER);
    let answer = up.post(large_event().as_bytes());
    assert_eq!(answer.status, 200, "{answer:?}");
    let position = answer.json()["position"].as_str().unwrap().to_owned();
    let mut place = position.split('/').skip(1).map(|number| number.parse::<i64>().unwrap());
    let (partition, offset) = (i32::try_from(place.next().unwrap()).unwrap(), place.next().unwrap());

    let stopped = |partition: i32| up.metric(STOPPED, &format!("task=\"processor\",partition=\"{partition}\""));
    wait_until("its partition stops", || (stopped(partition) == 1.0).then_some(()));
    let next = || committed(up.brokers(), &site.group(), &raw);
    assert_eq!(next()[&partition].0, offset, "what lies before it is committed, and nothing behind it");
    let before = next();
    wait_until("the others go on", || {
        let now = next();
        (0..4).filter(|other| *other != partition).all(|other| now[&other].0 > before[&other].0).then_some(())
    });
    assert!((0..4).filter(|other| *other != partition).all(|other| stopped(other) == 0.0));
    let status = site.run(&["status", "--json"]);
    assert!(status.stdout.contains(&format!("offset {offset} ")), "{status:?}");

    alter(up.brokers(), &site.topics().events(), &AS_MADE);
    wait_until("it goes on by itself", || (next()[&partition].0 > offset).then_some(()));
    let sent = feed.stop();
    assert_eq!(site.is_exact(up.brokers()), sent + 1);
    assert!(up.program.stop().success());
}
