//! The views against the real broker: what they answer, however events come, and what a rebuild does to that.

pub(crate) mod installation;

use std::collections::{BTreeMap, BTreeSet};

use hooklog_oracle::Oracle;
use hooklog_projector::Error;
use hooklog_projector::rules::DEFAULT;
use hooklog_schemas::{Millis, time};
use hooklog_test_support::records::records;
use hooklog_test_support::truncate;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use installation::{Service, Site, disordered, generated, without_past_due};

#[test]
fn whatever_order_events_come_in_every_customer_has_the_access_that_the_oracle_says() {
    let site = Site::new();
    let bodies = generated(&["--events", "2000", "--customers", "100", "--same-second", "--seed", "11"]);
    site.write(&disordered(&bodies));
    let service = Service::start(&site);
    service.caught_up(&site);
    service.equals(&Oracle::from_ordered(&bodies), true);
    assert_eq!(service.get("/readyz").0, 200);
    assert_eq!(service.get("/v1/customers/cus_nobody/access").0, 404);
}

#[test]
fn a_rebuild_under_other_rules_takes_access_from_exactly_the_oracles_customers_and_back_again() {
    let site = Site::new();
    let bodies = generated(&["--events", "2000", "--customers", "150", "--seed", "5"]);
    let (early, late) = bodies.split_at(bodies.len() / 2);
    site.write(&disordered(early));
    let service = Service::start(&site);
    service.caught_up(&site);
    site.rule(&without_past_due());
    service.equals(&Oracle::from_ordered(early), true);
    let taken = service.projector.rebuild(&service.stop).unwrap();
    assert_ne!(taken.rules, taken.previous_rules);
    service.equals(&Oracle::from_ordered(early), false);
    site.write(&disordered(late));
    service.caught_up(&site);
    let oracle = Oracle::from_ordered(&bodies);
    service.equals(&oracle, false);
    assert_ne!(oracle.customers(true), oracle.customers(false), "the seed has nobody who is past due");
    site.rule(DEFAULT);
    let back = service.projector.rebuild(&service.stop).unwrap();
    service.equals(&oracle, true);
    assert!(!back.same, "answers changed, so must their hash");
    let again = service.projector.rebuild(&service.stop).unwrap();
    assert_eq!((again.same, &again.content, again.generation), (true, &back.content, 4));
}

#[test]
fn a_rebuild_while_events_come_answers_all_the_while_and_never_from_before() {
    let site = Site::new();
    let bodies = generated(&["--events", "3000", "--customers", "50", "--seed", "3"]);
    let disordered = disordered(&bodies);
    let (before, during) = disordered.split_at(500);
    site.write(before);
    let service = Service::start(&site);
    service.caught_up(&site);
    let someone = Oracle::from_ordered(&bodies).customers(true).keys().next().unwrap().id.clone();
    let rebuilt = std::thread::scope(|scope| {
        let rebuilding = scope.spawn(|| service.projector.rebuild(&service.stop));
        let writing = scope.spawn(|| site.write(during));
        let mut highest = 0;
        while !(rebuilding.is_finished() && writing.is_finished()) {
            let (status, body) = service.get(&format!("/v1/customers/{someone}/access"));
            if status == 404 {
                continue;
            }
            let position = body["position"].as_object().unwrap().values().next().unwrap().as_i64().unwrap();
            assert!(status == 200 && position >= highest, "{status} {position} after {highest}");
            highest = position;
        }
        writing.join().unwrap();
        rebuilding.join().unwrap().unwrap()
    });
    assert!(rebuilt.same, "{rebuilt:?}");
    service.caught_up(&site);
    service.equals(&Oracle::from_ordered(&bodies), true);
}

#[test]
fn after_a_restart_the_views_go_on_where_they_were_and_say_503_until_they_are_there() {
    let site = Site::new();
    let bodies = generated(&["--events", "600", "--customers", "20", "--seed", "2"]);
    let disordered = disordered(&bodies);
    site.write(&disordered[..300]);
    let service = Service::start(&site);
    service.caught_up(&site);
    let at = service.projector.status().unwrap();
    drop(service);
    site.write(&disordered[300..]);
    let someone = Oracle::from_ordered(&bodies).customers(true).keys().next().unwrap().id.clone();
    for unsure in ["cus_nobody", &someone] {
        assert_eq!(Service::unfed(&site).get(&format!("/v1/customers/{unsure}/access")).0, 503, "{unsure}");
    }
    let service = Service::start(&site);
    service.caught_up(&site);
    assert_eq!(service.folded(), disordered.len() as u64 - 300, "nothing is read twice: {at:?}");
    service.equals(&Oracle::from_ordered(&bodies), true);
}

/// Deletes the first half of each partition; gives where they begin now.
fn truncated(site: &Site) -> BTreeMap<i32, i64> {
    let from: BTreeMap<i32, i64> = (0..).zip(site.ends()).map(|(partition, end)| (partition, end / 2)).collect();
    truncate::delete_before(&site.connection.brokers, &site.events.name, &from);
    from
}

#[test]
fn views_of_events_whose_beginning_was_deleted_hold_what_is_left_and_say_what_they_lack() {
    let site = Site::new();
    let bodies = generated(&["--events", "400", "--customers", "20", "--seed", "6"]);
    site.write(&disordered(&bodies));
    let from = truncated(&site);
    let left = records(&site.connection.brokers, &site.events.name);
    let service = Service::start(&site);
    service.caught_up(&site);
    assert_eq!(service.folded(), left.len() as u64);
    let (code, ready) = service.get("/readyz");
    let lacking = ready["views"]["incomplete"].as_array().unwrap().clone();
    assert_eq!((code, lacking.len()), (200, 4), "{ready}");
    let mut seen = BTreeSet::new();
    for one in &lacking {
        let partition = i32::try_from(one["partition"].as_i64().unwrap()).unwrap();
        let first = left.iter().find(|event| event.partition == partition).unwrap();
        let true_from = time::rfc3339(Millis(first.timestamp)).unwrap();
        assert_eq!((&one["missing_before"], &one["true_from"]), (&json!(from[&partition]), &json!(true_from)));
        seen.insert(partition);
    }
    assert_eq!(seen.len(), 4);
    // Each answer carries what its partition lacks; one that is not known may be one that was deleted.
    let known = Oracle::from_ordered(&bodies).customers(true);
    let answers =
        known.keys().map(|of| service.get(&format!("/v1/customers/{}/access?livemode={}", of.id, of.livemode)));
    let answers: Vec<_> = answers.collect();
    let answered = answers.iter().filter(|(code, _)| *code == 200);
    assert!(answered.clone().count() > 0 && answered.clone().all(|(_, body)| lacking.contains(&body["incomplete"])));
    let (code, problem) = service.get("/v1/customers/cus_nobody/access");
    assert!(code == 404 && problem["detail"].as_str().unwrap().contains("deleted"), "{problem}");
    drop(service);
    let service = Service::start(&site);
    service.caught_up(&site);
    assert_eq!(service.folded(), 0, "they go on where they were");
    assert_eq!(service.get("/readyz").1["views"]["incomplete"], json!(lacking), "and still know what they lack");
    let rebuilt = service.projector.rebuild(&service.stop).unwrap();
    assert!(rebuilt.same && rebuilt.incomplete.len() == 4, "{rebuilt:?}");
}

#[test]
fn views_that_hold_a_part_of_events_whose_next_part_was_deleted_stop_and_say_what_to_delete() {
    let site = Site::new();
    let bodies = generated(&["--events", "300", "--customers", "20", "--seed", "7"]);
    let disordered = disordered(&bodies);
    site.write(&disordered[..50]);
    let service = Service::start(&site);
    service.caught_up(&site);
    assert_eq!(service.get("/readyz").1["views"]["incomplete"], json!([]));
    drop(service);
    site.write(&disordered[50..]);
    truncated(&site);
    let stopped = site.try_open().unwrap().run(&CancellationToken::new()).unwrap_err();
    assert!(matches!(stopped, Error::Behind { .. }), "{stopped}");
    let (said, dir) = (stopped.to_string(), site.dir.path().join("views"));
    assert!(
        said.contains(&format!("delete the directory {} ", dir.display())) && !said.contains("offsets repair"),
        "{said}"
    );
    std::fs::remove_dir_all(dir).unwrap();
    let service = Service::start(&site);
    service.caught_up(&site);
    assert_eq!(service.get("/readyz").1["views"]["incomplete"].as_array().unwrap().len(), 4);
}

#[test]
fn at_rest_the_position_is_the_end_of_the_log_past_markers_and_what_was_undone() {
    let site = Site::new();
    let bodies = generated(&["--events", "200", "--customers", "20", "--seed", "4"]);
    let service = Service::start(&site);
    site.write(&disordered(&bodies));
    service.caught_up(&site);
    let (before, folded) = (site.ends(), service.folded());
    for body in &bodies[..20] {
        site.abort(body);
    }
    assert!(
        site.ends().iter().sum::<i64>() >= before.iter().sum::<i64>() + 40,
        "twenty undone records and their markers"
    );
    service.caught_up(&site);
    assert_eq!(service.folded(), folded, "what was undone is nothing");
    drop(service);
    let service = Service::start(&site);
    service.caught_up(&site);
    assert_eq!(service.folded(), 0, "the position is durable");
    service.equals(&Oracle::from_ordered(&bodies), true);
}

#[test]
fn no_position_is_ever_claimed_whose_records_are_not_applied() {
    let site = Site::new();
    let service = Service::start(&site);
    service.caught_up(&site);
    let customers: Vec<String> = (0..60).map(|n| format!("cus_{n}")).collect();
    let body = |id: &String| {
        let object = json!({"object": "customer", "id": id});
        json!({"id": format!("evt_{id}"), "type": "customer.created", "created": 1, "livemode": true, "data": {"object": object}})
    };
    let mut looks: Vec<(Vec<i64>, BTreeSet<&String>)> = Vec::new();
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| customers.iter().for_each(|id| site.write(&[body(id).to_string().as_bytes()])));
        while !writing.is_finished() {
            let positions = service.positions();
            let is_known = |id: &&String| service.get(&format!("/v1/customers/{id}/access")).0 == 200;
            looks.push((positions, customers.iter().filter(is_known).collect()));
        }
        writing.join().unwrap();
    });
    let written = records(&site.connection.brokers, &site.events.name);
    assert!(looks.len() > 5, "too few looks to say anything");
    for (positions, known) in looks {
        let claimed = written.iter().filter(|record| record.offset < positions[record.partition as usize]);
        for record in claimed {
            let id = record.key.rsplit('/').next().unwrap().to_owned();
            assert!(known.contains(&id), "{id} at {}/{} of {positions:?}", record.partition, record.offset);
        }
    }
    service.caught_up(&site);
}

#[test]
fn of_two_rebuilds_at_once_the_second_is_refused_and_the_first_goes_on() {
    let site = Site::new();
    let bodies = generated(&["--events", "500", "--customers", "50", "--seed", "8"]);
    site.write(&disordered(&bodies));
    let service = Service::start(&site);
    service.caught_up(&site);
    let mut building = service.projector.building();
    let first = std::thread::scope(|scope| {
        let first = scope.spawn(|| service.projector.rebuild(&service.stop));
        service.runtime.block_on(building.wait_for(Option::is_some)).unwrap();
        let second = service.projector.rebuild(&service.stop);
        assert!(matches!(second, Err(Error::Building)), "{second:?}");
        first.join().unwrap().unwrap()
    });
    assert_eq!((first.generation, first.same), (2, true));
    assert_eq!(service.projector.rebuild(&service.stop).unwrap().generation, 3);
    service.equals(&Oracle::from_ordered(&bodies), true);
}
