//! Items 14 to 28 of the conformance checklist, as far as subscriptions and access go.

use serde_json::json;

use super::bodies::{Body, World, live, permutations, with_grace};
use super::scope::Scope;
use crate::rules::{DEFAULT, Rules};

fn sub(id: &str, kind: &str, second: i64, status: &str) -> Body {
    Body::subscription(id, kind, second, status)
}

/// In every order, `sub_1` has this status and access for these reasons, and is flagged or not.
#[track_caller]
fn check(bodies: &[Body], status: &str, access: bool, because: &[&str], ambiguous: bool) {
    for order in permutations(bodies) {
        let (got_status, got_access, got_because, got_ambiguous) = World::of(&order).view();
        assert_eq!((got_status.as_str(), got_access, got_ambiguous), (status, access, ambiguous), "{order:#?}");
        assert_eq!(got_because, because, "{order:#?}");
    }
}

fn lifecycle() -> Vec<Body> {
    vec![
        sub("evt_1", "created", 10, "incomplete"),
        sub("evt_2", "updated", 10, "active").before(json!({"status": "incomplete"})),
        sub("evt_3", "updated", 50, "past_due").before(json!({"status": "active"})),
        sub("evt_4", "updated", 60, "active").before(json!({"status": "past_due"})),
        sub("evt_5", "updated", 70, "active")
            .with("cancel_at_period_end", json!(true))
            .before(json!({"cancel_at_period_end": false})),
        sub("evt_6", "deleted", 90, "canceled"),
    ]
}

#[test]
fn c14_every_permutation_and_duplication_of_a_lifecycle_gives_identical_views() {
    let whole = lifecycle();
    for length in 1..=whole.len() {
        let bodies = &whole[..length];
        let expected = World::of(bodies).bytes();
        for order in permutations(bodies) {
            assert_eq!(World::of(order.iter().chain(&order)).bytes(), expected, "{order:#?}");
        }
    }
    check(&whole, "canceled", false, &["evt_6"], false);
    check(&whole[..5], "active", true, &["evt_5"], false);
    check(&whole[..3], "past_due", true, &["evt_3"], false);
}

#[test]
fn c15_created_incomplete_and_updated_active_in_one_second_are_active() {
    check(&lifecycle()[..2], "active", true, &["evt_1", "evt_2"], false);
    let silent = [sub("evt_b", "created", 10, "incomplete"), sub("evt_a", "updated", 10, "active")];
    check(&silent, "active", true, &["evt_a"], false);
}

#[test]
fn c15_an_updated_wins_over_created_even_if_its_clock_is_behind() {
    check(
        &[sub("evt_1", "created", 11, "incomplete"), sub("evt_2", "updated", 10, "active")],
        "active",
        true,
        &["evt_2"],
        false,
    );
}

#[test]
fn c15_a_trial_that_starts_as_incomplete_ends_as_trialing() {
    let bodies = [
        sub("evt_z", "created", 10, "incomplete"),
        sub("evt_a", "updated", 10, "trialing").before(json!({"status": "incomplete"})),
    ];
    check(&bodies, "trialing", true, &["evt_z", "evt_a"], false);
}

#[test]
fn c16_of_trial_will_end_and_updated_in_one_second_updated_wins() {
    for told in ["trialing", "active"] {
        let notice = sub("evt_1", "trial_will_end", 10, told);
        check(&[notice.clone(), sub("evt_0", "updated", 10, "active")], "active", true, &["evt_0"], false);
        let claiming = sub("evt_2", "updated", 10, "active").before(json!({"status": "trialing"}));
        check(&[notice, claiming], "active", true, &["evt_2"], false);
    }
}

#[test]
fn c17_deleted_and_a_late_updated_are_canceled() {
    let deleted = sub("evt_1", "deleted", 10, "canceled");
    check(&[deleted.clone(), sub("evt_2", "updated", 10, "active")], "canceled", false, &["evt_1"], false);
    check(&[deleted.clone(), sub("evt_2", "updated", 99, "active")], "canceled", false, &["evt_1"], false);
    check(&[deleted, sub("evt_2", "created", 99, "active")], "canceled", false, &["evt_1"], false);
}

#[test]
fn c17_deleted_ends_a_subscription_whatever_its_object_says() {
    check(&[sub("evt_1", "deleted", 10, "active")], "canceled", false, &["evt_1"], false);
    check(&[sub("evt_1", "deleted", 10, "incomplete_expired")], "incomplete_expired", false, &["evt_1"], false);
}

#[test]
fn c17_terminal_statuses_told_by_updated_absorb_as_well() {
    for status in ["canceled", "incomplete_expired"] {
        let bodies = [
            sub("evt_1", "updated", 10, status),
            sub("evt_2", "updated", 20, "active"),
            sub("evt_3", "created", 5, "incomplete"),
        ];
        check(&bodies, status, false, &["evt_1"], false);
    }
}

#[test]
fn c17_of_several_ends_deleted_stands_and_then_the_first() {
    let updated = sub("evt_1", "updated", 10, "canceled");
    let first = sub("evt_3", "deleted", 20, "canceled");
    let second = sub("evt_2", "deleted", 21, "canceled");
    check(&[updated, first, second], "canceled", false, &["evt_3"], false);
}

#[test]
fn c18_an_invoice_before_any_subscription_event_is_skipped_and_hurts_nothing() {
    let invoice =
        Body(json!({"id": "evt_0", "object": "event", "type": "invoice.paid", "created": 9, "livemode": true,
        "data": {"object": {"id": "in_1", "object": "invoice", "customer": "cus_1", "subscription": "sub_1"}}}));
    let bodies = [invoice, lifecycle().remove(0), lifecycle().remove(1)];
    check(&bodies, "active", true, &["evt_1", "evt_2"], false);
    assert_eq!((World::of(&bodies).not_needed, World::of(&bodies).not_understood.len()), (1, 0));
}

#[test]
fn c19_paused_collection_keeps_access_and_the_status_paused_revokes() {
    let collection = sub("evt_1", "updated", 10, "active").with("pause_collection", json!({"behavior": "void"}));
    check(std::slice::from_ref(&collection), "active", true, &["evt_1"], false);
    let paused = [
        sub("evt_2", "updated", 20, "paused").before(json!({"status": "trialing"})),
        sub("evt_3", "paused", 20, "paused"),
    ];
    check(&[vec![collection], paused.to_vec()].concat(), "paused", false, &["evt_2"], false);
    check(&[paused[1].clone(), sub("evt_4", "resumed", 30, "active")], "active", true, &["evt_4"], false);
}

#[test]
fn c20_cancel_at_period_end_set_and_unset_never_breaks_access() {
    let set = sub("evt_2", "updated", 20, "active")
        .with("cancel_at_period_end", json!(true))
        .before(json!({"cancel_at_period_end": false}));
    let unset = sub("evt_3", "updated", 30, "active").before(json!({"cancel_at_period_end": true}));
    let bodies = [sub("evt_1", "created", 10, "active"), set, unset];
    for order in permutations(&bodies) {
        let mut world = World::default();
        for body in &order {
            world.fold(body);
            assert!(world.access(), "after {body:?}");
        }
    }
}

#[test]
fn c21_past_due_and_active_again() {
    check(&lifecycle()[..3], "past_due", true, &["evt_3"], false);
    check(&lifecycle()[..4], "active", true, &["evt_4"], false);
    let uncollectible = sub("evt_9", "updated", 80, "unpaid").before(json!({"status": "past_due"}));
    check(&[lifecycle().remove(2), uncollectible], "unpaid", false, &["evt_9"], false);
}

#[test]
fn c22_shapes_before_and_after_basil_give_equal_views() {
    let old = sub("evt_1", "updated", 10, "active")
        .with("current_period_start", json!(5))
        .with("current_period_end", json!(9));
    let items = json!({"object": "list", "data": [{"id": "si_1", "current_period_start": 5, "current_period_end": 9}]});
    let new = sub("evt_1", "updated", 10, "active").with("items", items);
    let (rules, old, new) = (Rules::built_in(), World::of([&old]), World::of([&new]));
    assert_eq!(old.grants(&live(), &rules), new.grants(&live(), &rules));
    assert_eq!(old.grants(&live(), &rules)[0].facts.period, Some((5, 9)));
}

#[test]
fn c23_several_items_with_mixed_intervals_and_more_to_come_keep_access() {
    let items = json!({"has_more": true, "data": [{"id": "si_1", "current_period_start": 5, "current_period_end": 900},
        {"id": "si_2", "current_period_start": 5, "current_period_end": 90}]});
    let world = World::of([&sub("evt_1", "updated", 10, "active").with("items", items)]);
    assert_eq!(world.grants(&live(), &Rules::built_in())[0].facts.period, Some((5, 90)));
    assert!(world.access());
}

#[test]
fn c24_an_entitlement_summary_is_skipped_and_revokes_nothing() {
    let summary =
        Body(json!({"id": "evt_9", "object": "event", "type": "entitlements.active_entitlement_summary.updated",
        "created": 99, "livemode": true, "data": {"object": {"object": "entitlements.active_entitlement_summary",
        "customer": "cus_1", "entitlements": {"has_more": true, "data": []}}}}));
    check(&[sub("evt_1", "created", 10, "active"), summary], "active", true, &["evt_1"], false);
}

#[test]
fn c25_a_deleted_customer_loses_all_also_when_that_comes_first() {
    let bodies = [
        sub("evt_1", "created", 10, "active"),
        Body::customer("evt_2", "deleted", 20),
        Body::customer("evt_0", "updated", 30),
    ];
    check(&bodies, "active", false, &["evt_1", "evt_2"], false);
    let other = sub("evt_3", "created", 40, "active").with("id", json!("sub_2"));
    for order in permutations(&[&bodies[..], &[other]].concat()) {
        assert!(!World::of(&order).access());
    }
}

#[test]
fn c26_disputes_and_refunds_end_no_subscription() {
    let object = |id: &str, kind: &str, object: &str| {
        Body(json!({"id": id, "object": "event", "type": kind, "created": 50, "livemode": true,
            "data": {"object": {"id": "x_1", "object": object, "customer": "cus_1", "status": "lost"}}}))
    };
    let bodies = [
        sub("evt_1", "created", 10, "active"),
        object("evt_2", "charge.dispute.closed", "dispute"),
        object("evt_3", "charge.dispute.created", "dispute"),
        object("evt_4", "charge.refunded", "charge"),
    ];
    check(&bodies, "active", true, &["evt_1"], false);
}

#[test]
fn c27_test_and_live_and_each_account_never_mix() {
    let deleted = |id: &str| sub(id, "deleted", 20, "canceled");
    let gone = Body::customer("evt_5", "deleted", 30).event("account", json!("acct_1"));
    let bodies = [
        sub("evt_1", "created", 10, "active"),
        deleted("evt_2").event("livemode", json!(false)),
        deleted("evt_3").event("account", json!("acct_1")),
        sub("evt_4", "created", 10, "active").event("account", json!("acct_2")),
        gone,
    ];
    for order in permutations(&bodies) {
        let (world, rules) = (World::of(&order), Rules::built_in());
        let holds = |test, account: Option<&str>| {
            let scope = Scope { test, connect: account.is_some(), name: account.unwrap_or("stripe").into() };
            world.grants(&scope, &rules).iter().map(|grant| grant.holds(0)).collect::<Vec<_>>()
        };
        assert_eq!((holds(false, None), holds(true, None)), (vec![true], vec![false]));
        assert_eq!((holds(false, Some("acct_1")), holds(false, Some("acct_2"))), (vec![false], vec![true]));
    }
}

#[test]
fn c28_replay_with_other_rules_equals_a_fresh_build_with_them() {
    let strict = Rules::parse(&DEFAULT.replacen(
        "access = true\nreason = \"past_due\"",
        "access = false\nreason = \"past_due\"",
        1,
    ))
    .unwrap();
    let bodies = &lifecycle()[..3];
    let (live_one, fresh) = (World::of(bodies), World::of(bodies.iter().rev()));
    assert!(Rules::built_in() != strict && live_one.access());
    assert_eq!(live_one.grants(&live(), &strict), fresh.grants(&live(), &strict));
    assert!(!live_one.grants(&live(), &strict)[0].holds(0));
}

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
