//! What audit finds, against the real broker: a log that is whole, and every kind of damage.

use crate::by_hand::{ANSWER, AS_IT_IS, DAY, Event, T, World};
use hooklog_schemas::header;
use rdkafka::producer::Producer;
use serde_json::json;

#[test]
fn a_log_with_repeats_inside_and_outside_the_window_is_whole() {
    let world = World::new();
    let first = world.webhook("evt_1", T);
    let repeat = world.webhook("evt_1", T + 34 * DAY);
    world.webhook("evt_1", T + 60 * DAY);
    let expired = world.webhook("evt_1", T + 95 * DAY);
    let other = world.webhook("evt_2", T + 95 * DAY);
    [first, expired, other].iter().for_each(|place| world.emit(*place, AS_IT_IS));
    world.commit(&world.ends());
    world.audit_finds(&json!({
        "raw": 5, "unique": 3, "events": 3, "missing": 0, "doubled": 0, "foreign": 0, "altered": 0, "torn": 0,
        "expired_repeats": 1, "in_flight": 0, "ok": true,
    }));
    world.emit(repeat, AS_IT_IS);
    world.audit_finds(&json!({ "doubled": 1, "torn": 0, "ok": false }));
}

#[test]
fn what_is_not_taken_in_yet_is_in_flight_and_nothing_else() {
    let (world, _) = World::whole();
    world.webhook("evt_4", T);
    world.audit_finds(&json!({ "raw": 3, "events": 3, "in_flight": 1, "ok": true }));
    let (code, found) = world.json(&["audit", "--wait", "--timeout", "1"]);
    assert_eq!(
        (code, &found["ok"], &found["in_flight"]),
        (Some(1), &json!(false), &json!(1)),
        "who waits wants it all"
    );
}

#[test]
fn an_event_that_was_never_committed_is_missing() {
    let world = World::new();
    let place = world.webhook("evt_1", T);
    let producer = world.transactional();
    world.emit_within(&producer, place, AS_IT_IS);
    producer.abort_transaction(ANSWER).unwrap();
    world.commit(&world.ends());
    world.audit_finds(&json!({ "raw": 1, "unique": 1, "events": 0, "missing": 1, "ok": false }));
}

#[test]
fn an_event_that_was_emitted_again_is_doubled() {
    let (world, places) = World::whole();
    world.emit(places[0], AS_IT_IS);
    world.audit_finds(&json!({ "events": 4, "doubled": 1, "missing": 0, "ok": false }));
    let told = String::from_utf8(world.run(&["audit"]).stderr).unwrap();
    let position = format!("raw/{}/{}", places[0].0, places[0].1);
    assert!(told.contains("doubled") && told.contains(&position), "{told}");
}

#[test]
fn events_that_belong_to_no_record_are_foreign() {
    let (world, places) = World::whole();
    world.emit(places[0], |event| event.set(header::LOG, "AAAAAAAAAAAAAAAAAAAAAA"));
    world.emit(places[0], |event| event.set(header::POSITION, "raw/0/999"));
    world.emit(places[0], |event| event.set(header::POSITION, "raw/7/0"));
    world.emit(places[0], |event| event.headers.clear());
    world.audit_finds(
        &json!({ "events": 7, "foreign": 4, "missing": 0, "doubled": 0, "altered": 0, "torn": 0, "ok": false }),
    );
}

#[test]
fn every_part_of_an_event_is_compared_with_its_record() {
    let spoils: [fn(&mut Event); 8] = [
        |event| event.value.push(b'\n'),
        |event| event.key = "stripe/test/cus_evt_1".to_owned(),
        |event| event.set(header::CE_ID, "evt_9"),
        |event| event.time += 1,
        |event| event.partition = 1 - event.partition,
        |event| event.set(header::CE_TYPE, "customer.deleted"),
        |event| event.set(header::SOURCE, "another"),
        |event| event.headers.retain(|(name, _)| name != header::CE_SUBJECT),
    ];
    let world = World::new();
    for (n, spoil) in spoils.into_iter().enumerate() {
        let place = world.webhook(&format!("evt_{n}"), T);
        world.emit(place, spoil);
    }
    world.commit(&world.ends());
    world.audit_finds(&json!({ "unique": 8, "events": 8, "altered": 8, "foreign": 0, "missing": 0, "ok": false }));
}

#[test]
fn outputs_without_their_offset_are_torn() {
    let (world, places) = World::whole();
    let mut next = world.ends();
    next[usize::try_from(places[2].0.0).unwrap()] -= 1;
    world.commit(&next);
    world.audit_finds(&json!({ "raw": 2, "events": 3, "torn": 1, "missing": 0, "in_flight": 1, "ok": false }));
}

#[test]
fn what_depends_on_records_that_retention_took_is_counted_and_not_judged() {
    let world = World::new();
    let first = world.webhook("evt_1", T);
    world.emit(first, AS_IT_IS);
    let repeat = world.webhook("evt_1", T + DAY);
    world.commit(&world.ends());
    world.audit_finds(&json!({ "raw": 2, "unique": 1, "events": 1, "unjudged": 0, "ok": true }));
    world.expire_before(repeat);
    // One event whose record is gone, one record that repeats it: for all that is left to see, it could be missing its event.
    world.audit_finds(&json!({ "raw": 1, "unique": 0, "events": 0, "missing": 0, "unjudged": 2, "ok": true }));
    assert_eq!(world.json(&["repair", "--apply"]).1["emitted"], 0);
}
