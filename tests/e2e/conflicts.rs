//! An id that comes again with another content: the first one stays, and nobody is left in the dark. And the store that this

//! takes: it is built beside the one of the version before, and nothing is doubled or lost by that.

use std::fs;

use hooklog_log::Connection;
use hooklog_log::committed::{Committed, overwrite};
use hooklog_schemas::{NextOffset, Partition};
use hooklog_test_support::records::committed;
use hooklog_test_support::{Broker, Site, Up, wait_until};
use serde_json::Value;

const HOOKLOG: &str = env!("CARGO_BIN_EXE_hooklog");

const CONFLICTS: &str = "hooklog_processor_conflicts_total";
const UNCHECKED: &str = "hooklog_processor_conflicts_unchecked_total";

/// An event as it is rendered for a version of the API, delivered with so many webhooks pending.
fn body(version: &str, kind: &str, pending: u32, object: &str) -> String {
    format!(
        r#"{{"id":"evt_1","object":"event","api_version":"{version}","created":1780300800,"livemode":true,
        "pending_webhooks":{pending},"type":"{kind}","data":{{"object":{{"object":"invoice","id":"in_1",{object}}}}}}}"#
    )
}

/// Posts it, and where it stands in `raw`.
fn post(up: &Up, body: &str) -> String {
    let answer = up.post(body.as_bytes());
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["position"].as_str().unwrap().to_owned()
}

/// The records of `raw` that are marked: their place and the one of the first.
fn marked(site: &Site) -> Vec<(String, String)> {
    let done = site.run(&["tail", "raw", "--from", "beginning", "--no-follow", "--json"]);
    let records = done.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let pair = |record: Value| {
        let place = format!("raw/{}/{}", record["partition"], record["offset"]);
        Some((place, record["conflict_with"].as_str()?.to_owned()))
    };
    records.filter_map(pair).collect()
}

#[test]
fn what_comes_again_with_another_content_is_counted_told_and_changes_nothing() {
    let site = Site::on(Broker::shared(HOOKLOG), HOOKLOG);
    let up = site.up();
    let first = post(&up, &body("2024-06-20", "invoice.paid", 2, r#""total":7,"paid":true"#));
    post(&up, &body("2024-06-20", "invoice.paid", 1, r#""paid" : true, "total":7.0"#));
    post(&up, &body("2025-03-31.basil", "invoice.paid", 1, r#""total":7,"parent":{}"#));
    let other = post(&up, &body("2024-06-20", "invoice.voided", 2, r#""total":7,"paid":true"#));
    let another = post(&up, &body("2024-06-20", "invoice.paid", 2, r#""total":8,"paid":true"#));
    wait_until("both are found", || (up.metric(CONFLICTS, "") >= 2.0).then_some(()));
    assert_eq!(site.is_exact(up.brokers()), 1, "the first one, and no other");

    assert_eq!((up.metric(CONFLICTS, ""), up.metric(UNCHECKED, "")), (2.0, 0.0));
    let status = site.run(&["status", "--over", "0.1", "--json"]).json();
    let told: Vec<_> = status["conflicts"]["last"].as_array().unwrap().iter().collect();
    assert_eq!(status["conflicts"]["found"], 2, "{status}");
    assert!(told.iter().zip([&other, &another]).all(|(one, again)| one["again"] == **again && one["first"] == *first));
    assert_eq!(marked(&site), [(other.clone(), first.clone()), (another.clone(), first.clone())]);
    let counts = site.audit();
    assert_eq!(
        (&counts["conflicts"], &counts["unique"], &counts["raw"]),
        (&2.into(), &1.into(), &5.into()),
        "{counts}"
    );

    // The next process has not seen them come, and the log tells all the same; what comes now is held against the first one,
    // not against the last.
    assert!(up.program.stop().success());
    let up = site.up();
    post(&up, &body("2024-06-20", "invoice.voided", 0, r#""total":7,"paid":true"#));
    wait_until("it is found", || (up.metric(CONFLICTS, "") >= 1.0).then_some(()));
    post(&up, &body("2024-06-20", "invoice.paid", 0, r#""total":7,"paid":true"#));
    assert_eq!(site.is_exact(up.brokers()), 1);
    assert_eq!((up.metric(CONFLICTS, ""), site.audit()["conflicts"].clone()), (1.0, 3.into()));
}

#[test]
fn who_sends_a_file_hears_that_it_or_the_log_says_another_thing_under_its_id() {
    let site = Site::on(Broker::shared(HOOKLOG), HOOKLOG);
    let up = site.up();
    let of = |version, kind, object| body(version, kind, 1, object).replace('\n', " ");
    let bodies = [
        of("2024-06-20", "invoice.paid", r#""total":7"#),
        of("2025-03-31.basil", "invoice.paid", r#""parent":{}"#),
        of("2024-06-20", "invoice.voided", r#""total":7"#),
    ];
    let file = site.file("bodies.ndjson");
    fs::write(&file, bodies.join("\n")).unwrap();
    let done = site.run(&["send", "--json", "--retry", "--file", &file.to_string_lossy()]);
    assert_eq!(done.code, Some(0), "all are acknowledged: {done:?}");
    assert_eq!((&done.json()["conflicts"], &done.json()["conflicts_in_log"]), (&1.into(), &0.into()), "{done:?}");
    assert!(done.stderr.contains("evt_1"), "{done:?}");
    assert_eq!(site.is_exact(up.brokers()), 1);

    // The same id in another file, and the log holds it otherwise.
    fs::write(&file, of("2024-06-20", "invoice.finalized", r#""total":7"#)).unwrap();
    let done = site.run(&["send", "--json", "--retry", "--file", &file.to_string_lossy()]);
    assert_eq!((&done.json()["conflicts"], &done.json()["conflicts_in_log"]), (&0.into(), &1.into()), "{done:?}");
    assert!(done.stderr.contains("evt_1"), "{done:?}");
}

/// What version 1 of the fold left behind: its stores, and offsets with its stamp.
fn as_the_version_before_left_it(site: &Site, brokers: &str) {
    let stores = site.stores();
    let name = stores.file_name().unwrap().to_str().unwrap();
    assert!(name.contains("-fold-2-"), "{name}");
    fs::rename(&stores, stores.with_file_name(name.replace("-fold-2-", "-fold-1-"))).unwrap();
    let (group, raw) = (site.group(), site.topics().raw());
    let older = |(partition, (next, stamp)): (i32, (i64, String))| {
        assert!(stamp.ends_with(" fold=2"), "{stamp}");
        let metadata = stamp.replace(" fold=2", " fold=1");
        Committed { partition: Partition(partition), next: NextOffset(next), metadata }
    };
    let offsets: Vec<_> = committed(brokers, &group, &raw).into_iter().map(older).collect();
    assert_eq!(offsets.len(), 4);
    wait_until("the group has no members any more", || {
        overwrite(&Connection::to(brokers), &group, &raw, &offsets).ok()
    });
}

#[test]
fn stores_and_offsets_of_the_version_before_are_followed_by_new_ones_and_nothing_is_doubled_or_lost() {
    let site = Site::on(Broker::shared(HOOKLOG), HOOKLOG);
    let up = site.up();
    let sent = ["--events", "400", "--duplicates", "0.5", "--shuffle", "--seed", "7"];
    site.send(&sent);
    let events = site.is_exact(up.brokers());
    let brokers = up.brokers().to_owned();
    assert!(up.program.stop().success());
    as_the_version_before_left_it(&site, &brokers);

    let up = site.up();
    site.send(&sent);
    assert_eq!(site.is_exact(up.brokers()), events, "all of it was known");
    site.send(&["--events", "100", "--seed", "8"]);
    assert_eq!(site.is_exact(up.brokers()), events + 100);
    let stamps: Vec<_> = committed(&brokers, &site.group(), &site.topics().raw()).into_values().collect();
    assert!(stamps.iter().all(|(_, stamp)| stamp.ends_with(" fold=2")), "{stamps:?}");
}
