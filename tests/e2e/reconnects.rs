//! What Hooklog does to a broker's address while no broker is there: it tries again with pauses.

use std::collections::HashMap;
use std::fs;
use std::net::TcpStream;

use hooklog_log::Connection;
use hooklog_log::identity::{Looker, Verdict};
use hooklog_log::native::TopicId;
use hooklog_log::provision::Pinned;
use hooklog_test_support::anew::create;
use hooklog_test_support::{Broker, unique_prefix, wait_until};

const BINARY: &str = env!("CARGO_BIN_EXE_hooklog");
/// Looks while the broker is away, each of about two seconds.
const LOOKS: usize = 4;
/// Without pauses each look makes more than that. Other tests on this machine make some, too.
const AT_MOST: u64 = 10_000;

#[test]
fn looks_at_topic_ids_connect_with_pauses_while_the_broker_is_away() {
    let broker = Broker::start(BINARY);
    let address = broker.address().to_owned();
    let name = format!("{}looked-at", unique_prefix());
    let id = TopicId(create(&address, &name, 1, &HashMap::new()));
    let mut looker = Looker::new(&Connection::to(&address), [&Pinned { name, partitions: 1, id }]).unwrap();
    wait_until("the topic is seen", || (looker.look() == Verdict::Same).then_some(()));
    drop(broker);
    wait_until("nobody listens there", || TcpStream::connect(&address).is_err().then_some(()));
    let before = refused_connects();
    for look in 0..LOOKS {
        assert!(matches!(looker.look(), Verdict::Unknown(_)), "look {look}");
    }
    let refused = refused_connects() - before;
    assert!((1..=AT_MOST).contains(&refused), "{refused} connects were refused during {LOOKS} looks");
}

/// Connects of this machine that were refused, since it was started.
fn refused_connects() -> u64 {
    let counters = fs::read_to_string("/proc/net/snmp").expect("Linux counts");
    let mut tcp = counters.lines().filter_map(|line| line.strip_prefix("Tcp: ")).map(|line| line.split(' '));
    let (names, values) = tcp.next().zip(tcp.next()).expect("names and values");
    let failed = names.zip(values).find(|(name, _)| *name == "AttemptFails");
    failed.and_then(|(_, value)| value.trim().parse().ok()).expect("a count of failed attempts")
}
