//! Convergence: the order in which events come, how often, and in which batches, changes no byte.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::bodies::{Body, World, permutations};
use super::customer::Customer;
use super::subscription::{MAX_SAME_SECOND, Subscription};

/// One thing that happens to a subscription.
#[derive(Clone, Debug)]
struct Step {
    kind: &'static str,
    status: &'static str,
    counter: u8,
    claims: bool,
    later: bool,
    id: u8,
}

fn step() -> impl Strategy<Value = Step> {
    let kinds = vec!["updated", "updated", "updated", "created", "trial_will_end", "paused", "deleted", "hatched"];
    let statuses =
        vec!["incomplete", "trialing", "active", "active", "past_due", "unpaid", "paused", "canceled", "odd"];
    let parts =
        (prop::sample::select(kinds), prop::sample::select(statuses), 0..3u8, prop::bool::weighted(0.8), any::<u8>());
    (parts, prop::bool::weighted(0.2)).prop_map(|((kind, status, counter, claims, id), later)| Step {
        kind,
        status,
        counter,
        claims,
        later,
        id,
    })
}

/// The bodies of a history in which each `updated` says truly what it changed. Ids are in no order of time.
fn history(steps: &[Step]) -> Vec<Body> {
    let mut second = 100;
    let mut object = ("incomplete", 0u8);
    let mut bodies = Vec::new();
    for (nth, step) in steps.iter().enumerate() {
        second += i64::from(step.later);
        let mut previous = serde_json::Map::new();
        if object.0 != step.status {
            previous.insert("status".into(), json!(object.0));
        }
        if object.1 != step.counter {
            previous.insert("metadata".into(), json!({"n": object.1}));
        }
        object = (step.status, step.counter);
        let id = format!("evt_{:02x}{nth}", step.id);
        let body = Body::subscription(&id, step.kind, second, step.status).with("metadata", json!({"n": step.counter}));
        let claims = step.claims && step.kind == "updated";
        bodies.push(if claims { body.before(Value::Object(previous)) } else { body });
    }
    bodies
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_order_of_up_to_six_events_with_duplicates_gives_equal_bytes(
        steps in prop::collection::vec(step(), 1..=6),
        again in any::<prop::sample::Index>(),
        deletion in prop::bool::weighted(0.2),
    ) {
        let mut bodies = history(&steps);
        if deletion && bodies.len() < 6 {
            bodies.push(Body::customer("evt_gone", "deleted", 100));
        }
        let expected = World::of(&bodies).bytes();
        for order in permutations(&bodies) {
            let repeated = order.iter().chain(&order[again.index(order.len())..]);
            prop_assert_eq!(&World::of(repeated).bytes(), &expected);
        }
    }

    #[test]
    fn long_histories_converge_whatever_the_disorder(
        (bodies, shuffled) in prop::collection::vec(step(), 1..60).prop_flat_map(|steps| {
            let bodies = history(&steps);
            (Just(bodies.clone()), Just(bodies).prop_shuffle())
        })
    ) {
        prop_assert_eq!(World::of(&bodies).bytes(), World::of(&shuffled).bytes());
    }

    /// I10: states go through their stored form between batches.
    #[test]
    fn folding_does_not_depend_on_batches(steps in prop::collection::vec(step(), 1..20), cut in any::<prop::sample::Index>()) {
        let bodies = history(&steps);
        let cut = cut.index(bodies.len());
        let mut stored = World::of(&bodies[..cut]);
        for state in stored.subscriptions.values_mut() {
            *state = Subscription::from_bytes(&state.to_bytes()).unwrap();
        }
        for state in stored.customers.values_mut() {
            *state = Customer::from_bytes(&state.to_bytes()).unwrap();
        }
        bodies[cut..].iter().for_each(|body| stored.fold(body));
        prop_assert_eq!(stored.bytes(), World::of(&bodies).bytes());
    }

    /// Where all events of a second are there and say truly what they changed, the answer is the truth or is flagged.
    #[test]
    fn an_answer_that_is_not_flagged_is_the_truth(
        changes in prop::collection::vec((prop::sample::select(vec!["trialing", "active", "past_due", "unpaid"]), 0..3u8), 1..=7),
        ids in Just((0..7u8).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let steps: Vec<Step> = changes.iter().zip(&ids)
            .map(|((status, counter), id)| Step { kind: "updated", status, counter: *counter, claims: true, later: false, id: *id })
            .collect();
        let moves: Vec<Body> = history(&steps).into_iter().filter(|body| body.0["data"]["previous_attributes"] != json!({})).collect();
        prop_assume!(!moves.is_empty());
        let (status, _, because, ambiguous) = World::of(&moves).view();
        let truth = &moves[moves.len() - 1].0;
        prop_assert!(ambiguous || status == truth["data"]["object"]["status"].as_str().unwrap(), "{status} because {because:?}");
    }
}

#[test]
fn more_events_in_one_second_than_are_kept_converge_and_are_flagged() {
    let bodies: Vec<Body> = (0..MAX_SAME_SECOND as u64 + 20)
        .map(|n| {
            Body::subscription(&format!("evt_{:02}", n * 37 % 84), "updated", 5, "active")
                .with("metadata", json!({"n": n}))
        })
        .collect();
    let backwards: Vec<Body> = bodies.iter().rev().cloned().collect();
    assert_eq!(World::of(&bodies).bytes(), World::of(&backwards).bytes());
    assert!(World::of(&bodies).view().3);
    assert!(!World::of(&bodies[..20]).view().3, "twenty that agree leave no doubt");
}

#[test]
fn one_id_with_two_contents_converges() {
    let one = Body::subscription("evt_1", "updated", 5, "active");
    let other = Body::subscription("evt_1", "updated", 5, "past_due");
    assert_eq!(World::of([&one, &other]).bytes(), World::of([&other, &one]).bytes());
}
