//! Made-up events of many customers: a body depends on the tag and the number alone, and so does the id.

use crate::dice::Dice;

const CUSTOMERS: u64 = 5_000;
const FIRST_SECOND: u64 = 1_767_225_600;
/// Every so many posts, one repeats an earlier event.
const REPEAT_EVERY: u64 = 10;
/// Half of the repeats follow their event as closely as a sender's own retries.
const NEAR: u64 = 200;

/// The events of one installation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Events {
    seed: u64,
    installation: u64,
}

/// What is posted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Post {
    /// The event's number.
    pub(crate) number: u64,
    /// As it goes out.
    pub(crate) body: Vec<u8>,
}

impl Events {
    pub(crate) fn new(seed: u64, installation: u64) -> Self {
        Self { seed, installation }
    }

    /// `evt_<seed>i<installation>n<number>`
    pub(crate) fn id(self, number: u64) -> String {
        format!("{}{number}", self.prefix())
    }

    /// The number of the event with this id, if it is one of these.
    pub(crate) fn number(self, id: &str) -> Option<u64> {
        let number = id.strip_prefix(&self.prefix())?.parse().ok()?;
        (self.id(number) == id).then_some(number)
    }

    /// What is posted at this place: each event once in the order of their numbers, and a tenth of repeats between them.
    pub(crate) fn post(self, place: u64) -> Post {
        let before = place - place / REPEAT_EVERY;
        if place % REPEAT_EVERY < REPEAT_EVERY - 1 {
            return Post { number: before, body: self.body(before, 1) };
        }
        let mut dice = Dice::new(self.seed, b"repeats.", place);
        let among = if dice.below(2) == 0 { before.min(NEAR) } else { before };
        let number = before - 1 - dice.below(among);
        // A repeat of Stripe's may have another number of webhooks that are still to be delivered, and nothing else.
        Post { number, body: self.body(number, dice.between(0, 3)) }
    }

    fn prefix(self) -> String {
        format!("evt_{:x}i{}n", self.seed, self.installation)
    }

    fn body(self, number: u64, pending: u64) -> Vec<u8> {
        let mut dice = Dice::new(self.seed, b"events..", number);
        let (customer, amount) = (dice.below(CUSTOMERS), 500 + dice.below(90_000));
        let (id, created) = (self.id(number), FIRST_SECOND + number / 100);
        let (kind, object) = match dice.below(3) {
            0 => ("customer.subscription.updated", subscription(customer, created)),
            1 => ("invoice.paid", invoice(number, customer, amount, created)),
            _ => ("customer.updated", person(customer)),
        };
        format!(
            r#"{{"id":"{id}","object":"event","api_version":"2025-03-31.basil","created":{created},"data":{{"object":{object}}},"livemode":true,"pending_webhooks":{pending},"request":{{"id":null,"idempotency_key":null}},"type":"{kind}"}}"#
        )
        .into_bytes()
    }
}

fn subscription(customer: u64, created: u64) -> String {
    let end = created + 30 * 86_400;
    format!(
        r#"{{"id":"sub_{customer}","object":"subscription","cancel_at_period_end":false,"created":{FIRST_SECOND},"currency":"eur","customer":"cus_{customer}","items":{{"object":"list","data":[{{"id":"si_{customer}","object":"subscription_item","current_period_end":{end},"current_period_start":{created},"price":{{"id":"price_1","object":"price","unit_amount":4900}},"quantity":1}}]}},"status":"active"}}"#
    )
}

fn invoice(number: u64, customer: u64, amount: u64, created: u64) -> String {
    format!(
        r#"{{"id":"in_{number}","object":"invoice","amount_due":{amount},"amount_paid":{amount},"created":{created},"currency":"eur","customer":"cus_{customer}","status":"paid","total":{amount}}}"#
    )
}

fn person(customer: u64) -> String {
    format!(r#"{{"id":"cus_{customer}","object":"customer","email":"person.{customer}@example.org"}}"#)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const EVENTS: Events = Events { seed: 7, installation: 2 };

    #[test]
    fn an_id_names_its_number_and_no_other_installations() {
        assert_eq!(EVENTS.number(&EVENTS.id(4_711)), Some(4_711));
        assert_eq!(Events::new(7, 3).number(&EVENTS.id(1)), None);
        assert_eq!(Events::new(8, 2).number(&EVENTS.id(1)), None);
        for strange in ["evt_7i2n", "evt_7i2n+1", "evt_7i2n01", "evt_1", ""] {
            assert_eq!(EVENTS.number(strange), None, "{strange}");
        }
    }

    #[test]
    fn every_body_is_json_that_names_its_event() {
        for place in 0..300 {
            let post = EVENTS.post(place);
            let json: serde_json::Value = serde_json::from_slice(&post.body).unwrap();
            assert_eq!(json["id"], EVENTS.id(post.number));
        }
    }

    #[test]
    fn a_tenth_of_the_posts_repeats_something_earlier_and_no_event_is_left_out() {
        let mut seen = BTreeSet::new();
        let repeats: Vec<_> = (0..10_000).filter(|place| !seen.insert(EVENTS.post(*place).number)).collect();
        assert_eq!((repeats.len(), seen.len(), seen.last()), (1_000, 9_000, Some(&8_999)));
    }

    #[test]
    fn a_repeat_differs_from_its_event_in_what_is_still_to_be_delivered_and_in_nothing_else() {
        let but_pending = |body: &[u8]| {
            let mut json: serde_json::Value = serde_json::from_slice(body).unwrap();
            json.as_object_mut().unwrap().remove("pending_webhooks");
            json
        };
        for place in (9..1_000).step_by(10) {
            let repeat = EVENTS.post(place);
            assert_eq!(but_pending(&repeat.body), but_pending(&EVENTS.body(repeat.number, 1)));
        }
    }

    #[test]
    fn the_same_place_posts_the_same_bytes() {
        assert_eq!(EVENTS.post(19), EVENTS.post(19));
        assert_ne!(EVENTS.post(18).body, Events::new(8, 2).post(18).body);
    }
}
