//! Items 14 to 28 of the conformance checklist, as far as subscriptions and access go.

use serde_json::json;

use super::bodies::{Body, World, live, permutations};
use super::scope::Scope;
use crate::rules::{DEFAULT, Rules};

pub(super) fn sub(id: &str, kind: &str, second: i64, status: &str) -> Body {
    Body::subscription(id, kind, second, status)
}

/// In every order, `sub_1` has this status and access for these reasons, and is flagged or not.
#[track_caller]
pub(super) fn check(bodies: &[Body], status: &str, access: bool, because: &[&str], ambiguous: bool) {
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
