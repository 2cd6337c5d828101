//! What no list of cases names: doubts within one second, missing or odd fields, unknown types, subscriptions that move.

use serde_json::json;

use super::bodies::{Body, World, live, permutations, with_grace};
use super::scenarios::{check, sub};
use crate::rules::Rules;

#[test]
fn a_unique_chain_within_one_second_gives_its_end_though_a_status_comes_twice() {
    let chain = [
        sub("evt_c", "created", 10, "incomplete"),
        sub("evt_a", "updated", 10, "active").before(json!({"status": "incomplete"})),
        sub("evt_d", "updated", 10, "past_due").before(json!({"status": "active"})),
        sub("evt_b", "updated", 10, "active").before(json!({"status": "past_due"})),
        sub("evt_e", "updated", 10, "unpaid")
            .with("metadata", json!({"n": "1"}))
            .before(json!({"status": "active", "metadata": {"n": null}})),
    ];
    check(&chain[..4], "active", true, &["evt_c", "evt_a", "evt_d", "evt_b"], false);
    check(&chain[1..4], "active", true, &["evt_a", "evt_d", "evt_b"], false);
    check(&chain[..3], "past_due", true, &["evt_c", "evt_a", "evt_d"], false);
}

#[test]
fn a_cycle_within_one_second_is_decided_by_rank_and_flagged() {
    let cycle = [
        sub("evt_1", "updated", 10, "past_due").before(json!({"status": "active"})),
        sub("evt_2", "updated", 10, "active").before(json!({"status": "past_due"})),
    ];
    check(&cycle, "active", true, &["evt_1", "evt_2"], true);
}

#[test]
fn several_ends_within_one_second_are_decided_by_rank_then_id_and_flagged() {
    let one = sub("evt_1", "updated", 10, "past_due").before(json!({"status": "trialing"}));
    let other = sub("evt_2", "updated", 10, "unpaid").before(json!({"status": "trialing"}));
    check(&[one.clone(), other], "unpaid", false, &["evt_1", "evt_2"], true);
    let same_rank = sub("evt_3", "updated", 10, "past_due")
        .with("cancel_at_period_end", json!(true))
        .before(json!({"status": "trialing"}));
    check(&[one, same_rank], "past_due", true, &["evt_3", "evt_1"], true);
}

#[test]
fn two_event_objects_for_one_fact_leave_no_doubt() {
    let one = sub("evt_1", "updated", 10, "active").before(json!({"status": "incomplete"}));
    let twin = sub("evt_2", "updated", 10, "active").before(json!({"status": "incomplete"}));
    check(&[one, twin, sub("evt_0", "created", 10, "incomplete")], "active", true, &["evt_0", "evt_1"], false);
}

#[test]
fn what_happens_twice_within_one_second_is_not_taken_for_one_fact() {
    let steps = [("evt_1", "past_due", "active"), ("evt_2", "active", "past_due"), ("evt_3", "past_due", "active")];
    let told = steps.map(|(id, status, from)| sub(id, "updated", 10, status).before(json!({"status": from})));
    check(
        &[&[sub("evt_0", "created", 10, "active")], &told[..]].concat(),
        "past_due",
        true,
        &["evt_0", "evt_3", "evt_2", "evt_1"],
        false,
    );
}

#[test]
fn what_says_too_little_is_tallied_with_its_reason_and_never_an_error() {
    let event = |kind: &str, object: serde_json::Value| {
        Body(json!({"id": "evt_1", "type": kind, "created": 1, "data": {"object": object}}))
    };
    let updated = "customer.subscription.updated";
    let cases = [
        (event(updated, json!(null)), "the subscription has no id"),
        (event(updated, json!({"object": "subscription"})), "the subscription has no id"),
        (event(updated, json!({"object": "subscription", "id": "sub_1"})), "the subscription has no status"),
        (event("customer.deleted", json!(null)), "the customer has no id"),
        (event("customer.deleted", json!({"object": "customer"})), "the customer has no id"),
        (
            event(
                "customer.subscription.hatched",
                json!({"object": "subscription", "id": "sub_1", "status": "unpaid"}),
            ),
            "this type of event about a subscription is not known",
        ),
    ];
    let world = World::of(cases.iter().map(|(body, _)| body));
    assert_eq!(world.not_understood, cases.each_ref().map(|(_, why)| *why));
    assert_eq!(World::of([&event("odd", json!([]))]).not_needed, 1);
}

#[test]
fn a_type_that_is_not_known_changes_nothing_whatever_its_object_says() {
    let active = sub("evt_1", "updated", 10, "active");
    for status in ["unpaid", "canceled", "active", "odd"] {
        let unknown = sub("evt_2", "frobnicated", 20, status).before(json!({"status": "active"}));
        check(&[active.clone(), unknown], "active", true, &["evt_1"], false);
    }
    for known in ["pending_update_applied", "pending_update_expired", "trial_will_end", "paused", "resumed"] {
        check(&[active.clone(), sub("evt_2", known, 20, "unpaid")], "unpaid", false, &["evt_2"], false);
    }
}

/// No clock of Stripe's gives such times; whoever's event it is, it must not outlast what is dated, and must not be lost.
#[test]
fn an_event_without_a_usable_time_holds_until_a_dated_one_comes() {
    for created in [json!(null), json!(1_700_000_000_000_i64), json!(i64::MAX), json!("soon"), json!(1e300), json!([])]
    {
        let undated = sub("evt_1", "updated", 0, "active").event("created", created);
        check(std::slice::from_ref(&undated), "active", true, &["evt_1"], false);
        check(&[undated, sub("evt_2", "updated", -5, "unpaid")], "unpaid", false, &["evt_2"], false);
    }
    let started = sub("evt_1", "created", 0, "incomplete").event("created", json!(null));
    let paid = sub("evt_2", "updated", 0, "active").event("created", json!({})).before(json!({"status": "incomplete"}));
    check(&[started, paid], "active", true, &["evt_1", "evt_2"], false);
}

#[test]
fn a_deletion_needs_no_time() {
    let active = sub("evt_1", "updated", 10, "active");
    let deleted = sub("evt_2", "deleted", 0, "canceled").event("created", json!("yesterday"));
    check(&[active.clone(), deleted], "canceled", false, &["evt_2"], false);
    let gone = Body::customer("evt_3", "deleted", 0).event("created", json!(null));
    check(&[active, gone], "active", false, &["evt_1", "evt_3"], false);
}

#[test]
fn seconds_written_as_text_or_with_a_fraction_of_nothing_are_seconds() {
    for created in [json!("20"), json!(20.0)] {
        let later = sub("evt_2", "updated", 0, "unpaid").event("created", created);
        check(&[sub("evt_1", "updated", 10, "active"), later.clone()], "unpaid", false, &["evt_2"], false);
        check(&[sub("evt_1", "updated", 30, "active"), later], "active", true, &["evt_1"], false);
    }
}

#[test]
fn previous_attributes_with_nested_lists_say_what_they_follow() {
    let items = |quantity: u8, tiers: serde_json::Value| {
        json!({"object": "list", "has_more": false, "data": [{"id": "si_1", "quantity": quantity,
            "price": {"id": "price_1", "tiers": tiers}, "tax_rates": []}, {"id": "si_2", "quantity": 1}]})
    };
    let (one, two) = (items(1, json!([{"up_to": 5}, {"up_to": null}])), items(2, json!([{"up_to": 9}])));
    let first =
        sub("evt_z", "updated", 10, "trialing").with("items", one.clone()).before(json!({"status": "incomplete"}));
    let second = sub("evt_a", "updated", 10, "trialing").with("items", two.clone()).before(json!({"items": one}));
    let third = sub("evt_m", "updated", 10, "active")
        .with("items", two.clone())
        .before(json!({"status": "trialing", "items": {"data": [{"id": "si_1", "quantity": 2}, {"id": "si_2"}]}}));
    check(&[first.clone(), second.clone()], "trialing", true, &["evt_z", "evt_a"], false);
    check(&[first, second, third], "active", true, &["evt_z", "evt_a", "evt_m"], false);
}

#[test]
fn a_subscription_without_a_customer_is_known_by_itself() {
    for customer in [json!(null), json!(""), json!({"deleted": true}), json!(7)] {
        check(&[sub("evt_1", "updated", 10, "active").with("customer", customer)], "active", true, &["evt_1"], false);
    }
}

#[test]
fn a_subscription_that_moves_is_its_last_customers() {
    let moved = |customer: serde_json::Value| {
        let told = sub("evt_2", "updated", 20, "active").with("customer", customer);
        let world = World::of([&told, &sub("evt_1", "updated", 10, "active"), &Body::customer("evt_3", "deleted", 15)]);
        let rules = Rules::built_in();
        let grant = world.grants(&live(), &rules).remove(0);
        (grant.facts.customer.clone(), grant.holds(0))
    };
    assert_eq!(moved(json!("cus_2")).0.as_deref(), Some("cus_2"));
    assert_eq!(moved(json!({"id": "cus_1", "object": "customer", "deleted": true})), (Some("cus_1".into()), false));
}

#[test]
fn a_run_of_past_due_that_nobody_dates_begins_in_its_own_second() {
    let rules = with_grace();
    let bodies = [sub("evt_1", "trial_will_end", 10, "active"), sub("evt_2", "updated", 10, "past_due")];
    for order in permutations(&bodies) {
        let world = World::of(&order);
        let grants = world.grants(&live(), &rules);
        assert_eq!((grants[0].until, &grants[0].because), (Some(10 + 7 * 86_400), &vec!["evt_2"]));
    }
    let undated = bodies[1].clone().event("created", json!(null));
    assert_eq!(World::of([&undated]).grants(&live(), &rules)[0].until, None, "there is nothing to count from");
}
