//! Convergence: the order in which events come, how often, and in which batches, changes no byte.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use super::bodies::{Body, World, live, permutations, with_grace};
use super::customer::Customer;
use super::event::{Parsed, SubscriptionEvent};
use super::subscription::{MAX_SAME_SECOND, Subscription};

/// One thing that is told.
#[derive(Clone, Debug)]
struct Step {
    what: What,
    later: bool,
    id: u8,
}

#[derive(Clone, Debug)]
enum What {
    /// Of one of two subscriptions of the customer.
    Subscription {
        nth: usize,
        kind: &'static str,
        status: &'static str,
        counter: u8,
        claims: bool,
        stale: bool,
    },
    Customer(&'static str),
    Invoice,
}

const KINDS: &[&str] = &[
    "updated",
    "updated",
    "updated",
    "updated",
    "updated",
    "updated",
    "updated",
    "updated",
    "updated",
    "updated",
    "created",
    "created",
    "trial_will_end",
    "paused",
    "hatched",
    "deleted",
];
const STATUSES: &[&str] = &[
    "active",
    "active",
    "active",
    "active",
    "active",
    "past_due",
    "past_due",
    "past_due",
    "past_due",
    "unpaid",
    "unpaid",
    "trialing",
    "incomplete",
    "paused",
    "odd",
    "canceled",
];

fn step() -> impl Strategy<Value = Step> {
    let nth = prop::sample::select(vec![0, 0, 0, 1usize]);
    let parts = (nth, prop::sample::select(KINDS), prop::sample::select(STATUSES), 0..2u8);
    let doubts = (prop::bool::weighted(0.9), prop::bool::weighted(0.3));
    let subscription = (parts, doubts).prop_map(|((nth, kind, status, counter), (claims, stale))| What::Subscription {
        nth,
        kind,
        status,
        counter,
        claims,
        stale,
    });
    let customer = prop::sample::select(vec!["created", "updated", "deleted"]).prop_map(What::Customer);
    let what = prop_oneof![10 => subscription, 1 => customer, 1 => Just(What::Invoice)];
    (what, prop::bool::weighted(0.08), any::<u8>()).prop_map(|(what, later, id)| Step { what, later, id })
}

/// The status and a counter in the metadata.
type Object = (&'static str, u8);

/// The bodies of a history in which each `updated` says truly what it changed, or, where it is stale, what was changed since
/// the first event of that second: then two follow the same one. Ids are in no order of time.
fn history(steps: &[Step]) -> Vec<Body> {
    let mut second = 100;
    let mut told: [Vec<Object>; 2] = [vec![("incomplete", 0)], vec![("incomplete", 0)]];
    let mut bodies = Vec::new();
    for (nth, Step { what, later, id }) in steps.iter().enumerate() {
        if *later {
            second += 1;
            told.iter_mut().for_each(|told| drop(told.drain(..told.len() - 1)));
        }
        let id = format!("evt_{id:02x}{nth}");
        bodies.push(match what {
            What::Customer(kind) => Body::customer(&id, kind, second),
            What::Invoice => Body::invoice(&id, "paid", second),
            What::Subscription { nth, kind, status, counter, claims, stale } => {
                let told = &mut told[*nth];
                let before = if *stale { told[1.min(told.len() - 1)] } else { told[told.len() - 1] };
                told.push((*status, *counter));
                let body = Body::subscription(&id, kind, second, status)
                    .with("id", json!(format!("sub_{nth}")))
                    .with("metadata", json!({"n": counter}));
                if *claims && *kind == "updated" { body.before(changed(before, (*status, *counter))) } else { body }
            }
        });
    }
    bodies
}

fn changed(before: Object, after: Object) -> Value {
    let status = (before.0 != after.0).then(|| ("status".to_owned(), json!(before.0)));
    let metadata = (before.1 != after.1).then(|| ("metadata".to_owned(), json!({"n": before.1})));
    Value::Object(status.into_iter().chain(metadata).collect())
}

/// What of all that can go wrong a history has in it.
#[derive(Clone, Copy, Debug, Default)]
struct Traps {
    cycles: usize,
    forks: usize,
    two_subscriptions: usize,
    deletions_between: usize,
    invoices_between: usize,
}

impl Traps {
    fn count(&mut self, bodies: &[Body]) {
        let heard: Vec<Parsed> = bodies.iter().map(Body::heard).collect();
        let between = &heard[1.min(heard.len())..heard.len().saturating_sub(1).max(1.min(heard.len()))];
        self.deletions_between +=
            usize::from(between.iter().any(|h| matches!(h, Parsed::Customer { deleted: Some(_), .. })));
        self.invoices_between += usize::from(between.contains(&Parsed::NotNeeded));
        let of = |wanted: &str| {
            heard
                .iter()
                .filter_map(move |heard| match heard {
                    Parsed::Subscription { id, second, told, .. } if id == wanted => Some((*second, &**told)),
                    _ => None,
                })
                .collect::<Vec<_>>()
        };
        let both = [of("sub_0"), of("sub_1")];
        self.two_subscriptions += usize::from(both.iter().all(|told| !told.is_empty()));
        self.cycles += usize::from(both.iter().any(|told| has_cycle(told)));
        self.forks += usize::from(both.iter().any(|told| has_fork(told)));
    }
}

fn after<'a>(
    told: &'a [(i64, &'a SubscriptionEvent)],
    of: &'a SubscriptionEvent,
    second: i64,
) -> impl Iterator<Item = &'a SubscriptionEvent> {
    told.iter().filter(move |(at, next)| *at == second && next.id != of.id && next.follows(of)).map(|(_, next)| *next)
}

/// Whether one of them is reached again from itself.
fn has_cycle(told: &[(i64, &SubscriptionEvent)]) -> bool {
    told.iter().any(|(second, start)| {
        let (mut reached, mut open) = (Vec::new(), vec![*start]);
        while let Some(one) = open.pop() {
            for next in after(told, one, *second).filter(|next| !reached.contains(&next.id)).collect::<Vec<_>>() {
                reached.push(next.id.clone());
                open.push(next);
            }
        }
        reached.contains(&start.id)
    })
}

/// Whether two that say different things follow the same one.
fn has_fork(told: &[(i64, &SubscriptionEvent)]) -> bool {
    told.iter().any(|(second, one)| {
        let mut facts: Vec<_> = after(told, one, *second).map(|next| &next.facts).collect();
        facts.sort();
        facts.dedup();
        facts.len() > 1
    })
}

/// A property says nothing about what is never generated.
#[test]
fn what_is_generated_has_cycles_forks_two_subscriptions_deletions_and_invoices_between() {
    let (mut runner, mut traps) = (TestRunner::deterministic(), Traps::default());
    for _ in 0..1_000 {
        let steps = prop::collection::vec(step(), 1..=6).new_tree(&mut runner).unwrap().current();
        traps.count(&history(&steps));
    }
    let Traps { cycles, forks, two_subscriptions, deletions_between, invoices_between } = traps;
    for (what, count) in [
        ("cycles", cycles),
        ("forks", forks),
        ("two subscriptions", two_subscriptions),
        ("deletions", deletions_between),
        ("invoices", invoices_between),
    ] {
        assert!(count >= 40, "{what} in {count} of 1000 histories: {traps:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_order_of_up_to_six_events_with_duplicates_gives_equal_bytes(
        steps in prop::collection::vec(step(), 1..=6),
        again in any::<prop::sample::Index>(),
    ) {
        let bodies = history(&steps);
        let expected = World::of(&bodies).bytes();
        for order in permutations(&bodies) {
            let repeated = order.iter().chain(&order[again.index(order.len())..]);
            prop_assert_eq!(&World::of(repeated).bytes(), &expected);
        }
    }

    /// The grace counts from where all events of a subscription together say that `past_due` began, in whatever order they come.
    #[test]
    fn the_grace_counts_from_where_the_run_of_past_due_began(
        statuses in prop::collection::vec(prop::sample::select(vec!["active", "past_due", "past_due", "past_due", "unpaid"]), 1..12),
        order in Just((0..12usize).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let (mut before, mut began, mut bodies) = ("incomplete", None, Vec::new());
        for (nth, status) in statuses.iter().enumerate() {
            let second = 100 + nth as i64;
            began = if *status == "past_due" { began.or(Some(second)) } else { None };
            let body = Body::subscription(&format!("evt_{nth}"), "updated", second, status);
            // Every other transition does not say so: then what was heard before it must.
            let says = before != *status && nth % 2 == 0;
            bodies.push(if says { body.before(json!({"status": before})) } else { body });
            before = status;
        }
        let shuffled = order.iter().filter_map(|nth| bodies.get(*nth));
        let (world, rules) = (World::of(shuffled), with_grace());
        prop_assert_eq!(world.grants(&live(), &rules)[0].until, began.map(|began| began + 7 * 86_400));
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
            .map(|((status, counter), id)| {
                let what = What::Subscription { nth: 1, kind: "updated", status, counter: *counter, claims: true, stale: false };
                Step { what, later: false, id: *id }
            })
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
