//! Repair and offsets repair against the real broker.

use std::time::Duration;

use crate::by_hand::{T, World};
use hooklog_schemas::Stamp;
use hooklog_test_support::wait_until;
use rdkafka::ClientConfig;
use rdkafka::admin::AdminOptions;
use rdkafka::consumer::{BaseConsumer, Consumer};
use serde_json::{Value, json};

#[test]
fn what_is_missing_is_repaired_once_and_marked() {
    let (world, _) = World::whole();
    let lost = world.webhook("evt_lost", T);
    world.commit(&world.ends());
    let (code, dry) = world.json(&["repair"]);
    assert_eq!((code, &dry["missing"], &dry["emitted"]), (Some(0), &json!(1), &json!(0)));
    world.audit_finds(&json!({ "missing": 1, "ok": false }));
    let (_, done) = world.json(&["repair", "--apply"]);
    assert_eq!(done["emitted"], 1, "{done}");
    world.audit_finds(&json!({ "events": 4, "missing": 0, "ok": true }));
    let (_, again) = world.json(&["repair", "--apply"]);
    assert_eq!(again["emitted"], 0, "a repair that was done is not done again: {again}");
    let tail = world.run(&["tail", "events", "--from", "beginning", "--no-follow", "--json"]);
    let lines = String::from_utf8(tail.stdout).unwrap();
    let marked: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|event: &Value| event["headers"]["hooklog_repaired"] == "true")
        .collect();
    assert_eq!(marked.len(), 1, "{lines}");
    assert_eq!(marked[0]["headers"]["hooklog_position"], format!("raw/{}/{}", lost.0, lost.1));
}

/// After each of these, `offsets repair --apply` leads back to the same stamped offsets.
#[test]
fn offsets_that_were_deleted_or_reset_are_found_again() {
    let (world, _) = World::whole();
    let (right, stamp) = (world.ends(), Stamp { log: world.log.clone(), fold: 2 }.to_string());
    let healed: Vec<(i64, String)> = right.iter().map(|next| (*next, stamp.clone())).collect();
    let reset_to_zero: &dyn Fn() = &|| world.commit_with(&[0, 0], "");
    let reset_to_end: &dyn Fn() = &|| world.commit_with(&right, "");
    let deleted: &dyn Fn() = &|| delete_group(&world);
    let stamped_behind: &dyn Fn() = &|| world.commit_with(&[0, 0], &stamp);
    let stamped_beyond: &dyn Fn() = &|| world.commit_with(&[900, 900], &stamp);
    for damage in [reset_to_zero, reset_to_end, deleted, stamped_behind, stamped_beyond] {
        damage();
        let before = world.committed();
        let (code, dry) = world.json(&["offsets", "repair"]);
        assert_eq!((code, &dry["applied"]), (Some(0), &json!(false)));
        assert!(dry["changes"].as_u64().unwrap() > 0, "{dry}");
        assert_eq!(world.committed(), before, "a dry run writes nothing");
        let (_, done) = world.json(&["offsets", "repair", "--apply"]);
        assert_eq!(world.committed(), healed, "{done}");
        world.audit_finds(&json!({ "raw": 3, "events": 3, "ok": true }));
    }
    assert_eq!(world.json(&["offsets", "repair"]).1["changes"], 0);
}

fn delete_group(world: &World) {
    let admin = world.connection.admin().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let group = world.group();
    let deleted = runtime.block_on(admin.delete_groups(&[&group], &AdminOptions::new())).unwrap();
    deleted.into_iter().for_each(|deleted| _ = deleted.unwrap());
    assert_eq!(world.committed(), []);
}

#[test]
fn offsets_do_not_move_under_a_group_that_has_members() {
    let (world, _) = World::whole();
    let mut config: ClientConfig = world.connection.client();
    let member: BaseConsumer = config.set("group.id", world.group()).create().unwrap();
    member.subscribe(&[&world.topics.raw()]).unwrap();
    wait_until("it is a member", || {
        let _ = member.poll(Duration::from_millis(50));
        (member.assignment().unwrap().count() > 0).then_some(())
    });
    let output = world.run(&["offsets", "repair", "--apply"]);
    assert_eq!(output.status.code(), Some(3));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("still has 1 members") && told.contains("stop every"), "{told}");
}
