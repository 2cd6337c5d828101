use proptest::prelude::*;
use serde_json::json;

use super::super::bodies::{Body, World};
use super::*;

/// A state that uses every field of the format.
fn written_in_the_first_release() -> Subscription {
    let items = json!({"data": [{"current_period_start": 900, "current_period_end": 1900}]});
    let bodies = [
        Body::subscription("evt_1", "created", 1000, "active").with("items", items),
        Body::subscription("evt_2", "updated", 1000, "past_due").before(json!({"status": "active", "discount": null})),
        Body::subscription("evt_3", "updated", 1000, "past_due")
            .with("cancel_at", json!(-5))
            .with("trial_end", json!(7)),
        Body::subscription("evt_0", "updated", 999, "past_due"),
    ];
    World::of(&bodies).subscriptions.into_values().next().unwrap()
}

fn ended() -> Subscription {
    let body = Body::subscription("evt_9", "deleted", 2000, "canceled").with("ended_at", json!(2000));
    World::of([&body]).subscriptions.into_values().next().unwrap()
}

fn long_past_due() -> Subscription {
    let body = |id, second| Body::subscription(id, "updated", second, "past_due");
    World::of(&[body("evt_1", 10), body("evt_2", 20)]).subscriptions.into_values().next().unwrap()
}

#[track_caller]
fn check(state: &Subscription, golden: &str) {
    let golden = hex::decode(golden.split_whitespace().collect::<String>()).unwrap();
    assert_eq!(hex::encode(state.to_bytes()), hex::encode(&golden), "what is written changed: that is a new format");
    assert_eq!(
        Subscription::from_bytes(&golden).as_ref(),
        Ok(state),
        "what the first release wrote must still be read"
    );
}

#[test]
fn states_are_written_and_read_as_in_the_first_release() {
    check(&written_in_the_first_release(), include_str!("../../../fixtures/subscription-v1.hex"));
    check(&ended(), include_str!("../../../fixtures/subscription-ended-v1.hex"));
    check(&long_past_due(), include_str!("../../../fixtures/subscription-past-due-v1.hex"));
    let customer = Customer { deleted: Some(Moment { second: 300, id: "evt_1".into() }) };
    assert_eq!(hex::encode(customer.to_bytes()), "0101d8040a6576745f31");
    assert_eq!(Customer::from_bytes(&customer.to_bytes()), Ok(customer));
}

#[test]
fn tallies_are_written_and_read_as_in_the_first_release() {
    let mut tally = Tally::default();
    [3, 9].into_iter().for_each(|offset| tally.count("why", hooklog_schemas::Offset(offset)));
    assert_eq!(hex::encode(tally.to_bytes()), "010206776879040612");
    assert_eq!(Tally::from_bytes(&tally.to_bytes()), Ok(tally));
}

#[test]
fn every_cut_and_every_addition_is_noticed() {
    let bytes = written_in_the_first_release().to_bytes();
    for end in 0..bytes.len() {
        assert!(Subscription::from_bytes(&bytes[..end]).is_err(), "cut at {end}");
    }
    assert_eq!(Subscription::from_bytes(&[&bytes[..], &[0]].concat()), Err(Unreadable::Damaged));
    assert_eq!(Subscription::from_bytes(&[&[2], &bytes[1..]].concat()), Err(Unreadable::Version(2)));
}

proptest! {
    #[test]
    fn whole_numbers_read_back(number in any::<i64>()) {
        let mut bytes = Vec::new();
        number.write(&mut bytes);
        prop_assert_eq!(i64::read(&mut Source(&bytes)), Ok(number));
    }

    #[test]
    fn whatever_the_bytes_are_reading_ends(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Subscription::from_bytes(&bytes);
        let _ = Subscription::from_bytes(&[&[VERSION], &bytes[..]].concat());
    }
}
