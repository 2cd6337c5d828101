use super::*;
use crate::fold::event::{Kind, Moment, SubscriptionEvent};
use crate::rules::DEFAULT;

const DAY: i64 = 86_400;

fn told(id: &str, status: &str) -> SubscriptionEvent {
    let facts = Facts { status: status.into(), customer: Some("cus_1".into()), ..Facts::default() };
    SubscriptionEvent { id: id.into(), kind: Kind::Updated, facts, object: None, before: None }
}

fn subscription(events: &[(i64, &str, Option<&str>)]) -> Subscription {
    let mut state = Subscription::default();
    for (second, status, from) in events {
        state.absorb(*second, *from, told(&format!("evt_{second}"), status));
    }
    state
}

fn seven_days() -> Rules {
    Rules::parse(&DEFAULT.replace("# grace_days = 7", "grace_days = 7")).unwrap()
}

#[test]
fn a_grace_period_ends_by_the_moment_asked_about_and_no_tick() {
    let (rules, state) = (seven_days(), subscription(&[(0, "active", None), (DAY, "past_due", Some("active"))]));
    let grant = Grant::of(&state, None, &rules).unwrap();
    assert_eq!(grant.until, Some(8 * DAY));
    assert_eq!((grant.holds(8 * DAY - 1), grant.reason(8 * DAY - 1)), (true, "past_due"));
    assert_eq!((grant.holds(8 * DAY), grant.reason(8 * DAY)), (false, GRACE_OVER));
}

#[test]
fn what_happens_during_past_due_does_not_prolong_the_grace() {
    let events = [(DAY, "past_due", Some("active")), (3 * DAY, "past_due", None), (0, "active", None)];
    let (rules, state) = (seven_days(), subscription(&events));
    let grant = Grant::of(&state, None, &rules).unwrap();
    assert_eq!(grant.until, Some(8 * DAY));
    assert_eq!(grant.because, ["evt_86400", "evt_259200"], "the begin of past_due is a reason too");
}

#[test]
fn without_days_of_grace_past_due_has_no_limit() {
    let (rules, state) = (Rules::built_in(), subscription(&[(0, "past_due", None)]));
    let grant = Grant::of(&state, None, &rules).unwrap();
    assert_eq!((grant.until, grant.holds(i64::MAX)), (None, true));
}

#[test]
fn an_unknown_status_is_kept_as_text_and_gives_the_fallback() {
    let (rules, state) = (Rules::built_in(), subscription(&[(0, "hibernating", None)]));
    let grant = Grant::of(&state, None, &rules).unwrap();
    assert_eq!(
        (grant.facts.status.as_str(), grant.holds(0), grant.reason(0)),
        ("hibernating", false, "unknown_status")
    );
}

#[test]
fn a_deleted_customer_loses_everything_and_the_deletion_is_the_reason() {
    let (rules, state) = (Rules::built_in(), subscription(&[(5, "active", None)]));
    let customer = Customer { deleted: Some(Moment { second: 1, id: "evt_gone".into() }) };
    let grant = Grant::of(&state, Some(&customer), &rules).unwrap();
    assert_eq!((grant.holds(9), grant.reason(9)), (false, "customer_deleted"));
    assert_eq!(grant.because, ["evt_5", "evt_gone"]);
    assert_eq!(Access::of(&[grant], Some(&customer), &rules, 9).because, ["evt_gone"]);
}

#[test]
fn any_subscription_gives_access_and_the_longest_one_says_until_when() {
    let rules = seven_days();
    let states = [
        subscription(&[(0, "canceled", None)]),
        subscription(&[(DAY, "past_due", Some("active"))]),
        subscription(&[(2 * DAY, "past_due", Some("active"))]),
    ];
    let grants: Vec<Grant<'_>> = states.iter().filter_map(|state| Grant::of(state, None, &rules)).collect();
    let access = |at| Access::of(&grants, None, &rules, at);
    assert_eq!(
        (access(DAY).access, access(DAY).until, access(DAY).because),
        (true, Some(9 * DAY), vec!["evt_172800".into()])
    );
    assert_eq!((access(9 * DAY).access, access(9 * DAY).until), (false, None));
    let active = subscription(&[(0, "active", None)]);
    let unlimited = [grants, vec![Grant::of(&active, None, &rules).unwrap()]].concat();
    assert_eq!(Access::of(&unlimited, None, &rules, DAY).until, None);
}

#[test]
fn a_customer_without_access_is_told_why() {
    let (rules, state) = (Rules::built_in(), subscription(&[(0, "unpaid", None)]));
    let none = Access::of(&[], None, &rules, 0);
    assert_eq!((none.access, none.reason.as_str()), (false, "no_subscription"));
    let unpaid = Access::of(&[Grant::of(&state, None, &rules).unwrap()], None, &rules, 0);
    assert_eq!((unpaid.reason.as_str(), unpaid.because), ("no_subscription_gives_access", vec!["evt_0".into()]));
}
