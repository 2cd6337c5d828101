//! Logs whose beginning is gone, transactions that nobody ends, windows that were changed, logs of before: what audit and
//! repair make of them, against the real broker.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use crate::by_hand::{ANSWER, AS_IT_IS, DAY, HOOKLOG, T, World};
use hooklog_log::partition_for;
use hooklog_schemas::{Offset, Partition, Stamp, header};
use hooklog_test_support::records::{ends, offsets_in_transaction, records};
use hooklog_test_support::{Broker, Site, wait_until};
use rdkafka::producer::Producer;
use serde_json::{Value, json};

/// Ids of webhooks that stand in partition 0 of `raw`, and whose events belong to partition 0 of `events`.
fn ids() -> impl Iterator<Item = String> {
    let in_0 = |text: String| partition_for(text.as_bytes(), crate::by_hand::PARTITIONS) == Partition(0);
    let is_wanted = move |id: &String| in_0(id.clone()) && in_0(format!("stripe/live/cus_{id}"));
    (0..).map(|n| format!("evt_{n}")).filter(is_wanted)
}

/// Webhooks of [`ids`], of which some have their event.
fn webhooks(world: &World, have_event: &[bool]) -> Vec<(Partition, Offset)> {
    let place = |(id, has_event): (String, &bool)| {
        let place = world.webhook(&id, T);
        if *has_event {
            world.emit(place, AS_IT_IS);
        }
        place
    };
    ids().zip(have_event).map(place).collect()
}

/// Where the events of partition 0 stand.
fn stand(world: &World) -> Vec<i64> {
    let events = records(&world.connection.brokers, &world.topics.events());
    events.iter().filter(|event| event.partition == 0).map(|event| event.offset).collect()
}

#[test]
fn a_resend_that_was_emitted_again_after_raw_lost_the_first_one_is_doubled() {
    let world = World::new();
    let first = world.webhook("evt_1", T);
    let resend = world.webhook("evt_1", T + 34 * DAY);
    let expired = world.webhook("evt_1", T + 70 * DAY);
    [first, resend, expired].iter().for_each(|place| world.emit(*place, AS_IT_IS));
    world.commit(&world.ends());
    world.audit_finds(&json!({ "events": 3, "doubled": 1, "ok": false }));
    world.expire_before(resend);
    world.audit_finds(&json!({ "raw": 2, "unique": 1, "events": 2, "doubled": 1, "unjudged": 1, "ok": false }));
}

#[test]
fn what_the_truncation_of_events_took_is_unjudged_and_never_emitted_and_what_is_missing_behind_it_is() {
    let world = World::new();
    let places = webhooks(&world, &[true, false, true, true, false, true]);
    world.commit(&world.ends());
    world.audit_finds(&json!({ "raw": 6, "missing": 2, "unjudged": 0 }));
    // The third event is the first one that is left: what is missing before it may have been deleted.
    world.delete_before(&world.topics.events(), 0, stand(&world)[2]);
    world.audit_finds(&json!({ "raw": 6, "unique": 3, "events": 2, "missing": 1, "unjudged": 3, "ok": false }));
    let (code, repaired) = world.json(&["repair", "--apply"]);
    let missing = format!("raw/0/{}", places[4].1);
    assert_eq!((code, &repaired["emitted"], &repaired["records"]), (Some(0), &json!(1), &json!([missing])));
    world.audit_finds(&json!({ "unique": 3, "events": 3, "missing": 0, "unjudged": 3, "ok": true }));
    // What a repair wrote stands behind the others: once they are gone, it says nothing of what was before it.
    world.delete_before(&world.topics.events(), 0, stand(&world)[2]);
    world.audit_finds(&json!({ "unique": 1, "events": 1, "missing": 0, "unjudged": 5, "ok": true }));
    assert_eq!(world.json(&["repair", "--apply"]).1["emitted"], 0);
}

#[test]
fn where_no_event_is_left_nothing_is_missing() {
    let world = World::new();
    webhooks(&world, &[true, true]);
    world.commit(&world.ends());
    let ends = ends(&world.connection.brokers, &world.topics.events());
    world.delete_before(&world.topics.events(), 0, ends[&0]);
    world.audit_finds(&json!({ "raw": 2, "unique": 0, "events": 0, "missing": 0, "unjudged": 2, "ok": true }));
    assert_eq!(world.json(&["repair", "--apply"]).1["emitted"], 0);
}

#[test]
fn a_transaction_that_nobody_ends_is_named_and_what_it_may_hide_is_not_emitted() {
    let world = World::new();
    let places = webhooks(&world, &[true, false, false]);
    let producer = world.transactional();
    world.emit_within(&producer, places[1], AS_IT_IS);
    producer.flush(ANSWER).unwrap();
    world.commit(&world.ends());
    let output = world.run(&["audit", "--json", "--patience", "1"]);
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{found}");
    for (name, count) in [("raw", 3), ("unique", 1), ("events", 1), ("missing", 0), ("unjudged", 2), ("open", 1)] {
        assert_eq!(found[name], count, "{name} of {found}");
    }
    assert_eq!(found["ok"], false);
    let told = String::from_utf8(output.stderr).unwrap();
    let place = format!("open     events/0/{}", stand(&world)[0] + 2);
    assert!(told.contains(&place) && told.contains("offsets repair --apply"), "{told}");
    let (code, repaired) = world.json(&["repair", "--apply", "--patience", "1"]);
    assert_eq!((code, &repaired["emitted"], &repaired["open"]), (Some(1), &json!(0), &json!(1)));
    producer.abort_transaction(ANSWER).unwrap();
    let (code, repaired) = world.json(&["repair", "--apply"]);
    assert_eq!((code, &repaired["emitted"], &repaired["open"]), (Some(0), &json!(2), &json!(0)));
    world.audit_finds(&json!({ "unique": 3, "events": 3, "missing": 0, "unjudged": 0, "open": 0, "ok": true }));
}

#[test]
fn offsets_that_a_transaction_holds_are_named_and_the_rest_is_judged() {
    let (world, _) = World::whole();
    let ends = world.ends();
    let place = world.webhook(&ids().nth(9).unwrap(), T);
    world.emit(place, AS_IT_IS);
    let stamp = Stamp { log: world.log.clone(), fold: 1 }.to_string();
    let next = BTreeMap::from([(0, (ends[0] + 1, stamp))]);
    let (brokers, topics) = (&world.connection.brokers, &world.topics);
    let open = offsets_in_transaction(brokers, &topics.group("stranger"), &world.group(), &topics.raw(), &next);
    let output = world.run(&["audit", "--json", "--patience", "1"]);
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &found["open"], &found["ok"]), (Some(1), &json!(1), &json!(false)), "{found}");
    // The event is there and its offset is not decided: that is not torn, and nothing is missing.
    assert_eq!((&found["raw"], &found["torn"], &found["missing"]), (&json!(3), &json!(0), &json!(0)), "{found}");
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains(&format!("open     raw/0/{}", ends[0])), "{told}");
    let (code, status) = world.json(&["status", "--over", "0.1"]);
    let first = &status["partitions"][0];
    assert_eq!((code, &first["raw"], &first["processor"]), (Some(0), &json!(ends[0] + 1), &Value::Null), "{status}");
    open.commit_transaction(ANSWER).unwrap();
    world.audit_finds(&json!({ "raw": 4, "events": 4, "open": 0, "ok": true }));
}

/// `hooklog audit` under limits that a shell sets first.
fn audit_under(world: &World, limits: &str, flags: &[&str]) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("{limits}; exec \"$@\""), "sh", HOOKLOG, "audit", "--json"]);
    shell.args(flags).args(world.place());
    shell
}

#[test]
fn an_audit_of_many_runs_needs_few_open_files() {
    let world = World::new();
    let producer = world.plain();
    for n in 0..300 {
        world.write(&producer, &world.topics.raw(), n % 2, &format!("evt_{n}"), b"{}", T, &[]);
    }
    world.commit(&world.ends());
    // Every row is a run of its own.
    let output = audit_under(&world, "ulimit -n 80", &["--sort-memory", "1"]).output().unwrap();
    let found: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    assert_eq!(
        (output.status.code(), &found["raw"], &found["missing"]),
        (Some(1), &json!(300), &json!(300)),
        "{found}"
    );
}

#[test]
fn a_program_may_open_as_many_files_as_the_system_allows() {
    let world = World::new();
    world.webhook("evt_1", T);
    let mut audit = audit_under(&world, "ulimit -S -n 256; ulimit -H -n 2048", &["--wait"]).spawn().unwrap();
    let path = format!("/proc/{}/limits", audit.id());
    wait_until("the soft limit is the hard one", || {
        let limits = fs::read_to_string(&path).ok()?;
        let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
        line.split_whitespace().take(2).eq(["2048", "2048"]).then_some(())
    });
    audit.kill().unwrap();
    audit.wait().unwrap();
}

#[test]
fn each_stretch_of_raw_is_judged_by_the_window_that_was_in_force_there() {
    let world = World::new();
    let ids: Vec<String> = ids().take(2).collect();
    let first = world.webhook(&ids[0], T);
    let again = world.webhook(&ids[0], T + 37 * DAY);
    let changed = world.ends();
    let second = world.webhook(&ids[1], T + 40 * DAY);
    world.webhook(&ids[1], T + 77 * DAY);
    [first, again, second].iter().for_each(|place| world.emit(*place, AS_IT_IS));
    world.commit(&world.ends());
    // By one window alone either a record is missing its event, or an event is one too many.
    world.audit_finds(&json!({ "missing": 1, "ok": false }));
    let (log, day) = (&world.log, DAY);
    let from = format!("{},{}", changed[0], changed[1]);
    world.control(&format!("window/{log}/0/a"), &format!("hooklog/1 n=0 window={} from=0,0", 35 * day));
    world.control(&format!("window/{log}/1/a"), &format!("hooklog/1 n=1 window={} from={from}", 40 * day));
    world.audit_finds(&json!({ "raw": 4, "unique": 3, "events": 3, "expired_repeats": 1, "missing": 0, "ok": true }));
    assert_eq!(world.json(&["repair", "--apply"]).1["emitted"], 0);
}

#[test]
fn events_of_a_log_that_was_adopted_are_unjudged_once_that_is_recorded() {
    let world = World::new();
    let other = "AAAAAAAAAAAAAAAAAAAAAA";
    let places = webhooks(&world, &[false]);
    world.emit(places[0], |event| event.set(header::LOG, other));
    world.emit(places[0], AS_IT_IS);
    world.commit(&world.ends());
    world.audit_finds(&json!({ "events": 2, "foreign": 1, "unjudged": 0, "ok": false }));
    let (code, dry) = world.json(&["offsets", "repair"]);
    assert_eq!((code, &dry["former_logs"]), (Some(0), &json!([other])));
    world.audit_finds(&json!({ "foreign": 1, "ok": false }));
    let (code, done) = world.json(&["offsets", "repair", "--apply"]);
    assert_eq!((code, &done["former_logs"]), (Some(0), &json!([other])));
    world.audit_finds(&json!({ "events": 1, "foreign": 0, "unjudged": 1, "ok": true }));
    assert_eq!(world.json(&["offsets", "repair"]).1["former_logs"], json!([]));
}

const SENT: [&str; 6] = ["--events", "60", "--seed", "3", "--customers", "9"];

#[test]
fn a_processor_with_another_window_is_refused_until_the_change_is_meant() {
    let site = Site::on(Broker::shared(HOOKLOG), HOOKLOG);
    let up = site.up();
    site.send(&SENT);
    let (raw, events) = site.processed(up.brokers());
    let brokers = up.brokers().to_owned();
    assert!(up.program.stop().success());
    let windows = || {
        let control = records(&brokers, &site.topics().control());
        let windows = control.iter().filter(|record| record.key.starts_with("window/"));
        windows.map(|record| String::from_utf8(record.value.clone()).unwrap()).collect::<Vec<_>>()
    };
    let first = format!("hooklog/1 n=0 window={} from=0,0,0,0", 35 * DAY);
    assert_eq!(windows(), std::slice::from_ref(&first));
    let config = site.file("hooklog.toml");
    fs::write(&config, "dedup_window_days = 40\n").unwrap();
    let configured = ["--config", config.to_str().unwrap()];
    let refused = site.try_up(&configured).expect_err("it would remove duplicates by another window");
    assert_eq!(refused.code, Some(2), "{refused}");
    assert!(["35 days", "40 days", "--change-window"].iter().all(|part| refused.stderr.contains(part)), "{refused}");
    let up =
        site.try_up(&[&configured[..], &["--change-window"]].concat()).unwrap_or_else(|refused| panic!("{refused}"));
    let ends = |partition| raw.iter().filter(|record| record.partition == partition).count().to_string();
    let from = (0..4).map(ends).collect::<Vec<_>>().join(",");
    assert_eq!(windows(), [first, format!("hooklog/1 n=1 window={} from={from}", 40 * DAY)]);
    site.send(&SENT);
    assert_eq!(site.processed(up.brokers()).1.len(), events.len(), "what was seen before is forgotten");
    // It need not be told which window was in force where.
    site.audit();
    assert!(up.program.stop().success());
    let up = site.try_up(&configured).unwrap_or_else(|refused| panic!("{refused}"));
    assert!(up.program.stop().success());
    assert_eq!(windows().len(), 2, "a window that is in force is not recorded again");
}
