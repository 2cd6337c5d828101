//! Bodies in Stripe's shape and spacing, always [`SIZE`] bytes: a mix of subscriptions, invoices and charges.

use super::draw::Draw;

/// Bytes of every body.
pub(crate) const SIZE: usize = 2_048;
const FIRST_SECOND: u64 = 1_767_225_600;
const EVENTS_OF_A_CUSTOMER: u64 = 12;

/// An event as it is posted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) id: String,
    pub(crate) created: u64,
    /// The id of `data.object`.
    pub(crate) object: String,
    pub(crate) body: Vec<u8>,
}

/// The event with this number; the same for the same seed.
pub(crate) fn event(seed: u64, number: u64) -> Event {
    let mut draw = Draw::new(seed, number);
    let customer = format!("cus_{}", Draw::new(!seed, number / EVENTS_OF_A_CUSTOMER).token(14));
    match number % 3 {
        0 => subscription("customer.subscription.updated", &mut draw, number, &customer),
        1 => invoice(&mut draw, number, &customer),
        _ => charge(&mut draw, number, &customer),
    }
}

/// A new subscription of a customer that no other event has: what `visible` waits for.
pub(crate) fn new_subscriber(seed: u64, number: u64) -> Event {
    let mut draw = Draw::new(seed, number);
    let customer = format!("cus_{}", draw.token(14));
    subscription("customer.subscription.created", &mut draw, number, &customer)
}

fn subscription(kind: &str, draw: &mut Draw, number: u64, customer: &str) -> Event {
    let (id, created) = (format!("sub_1{}", draw.token(23)), FIRST_SECOND + number);
    let (item, price, invoice) = (draw.token(14), draw.token(23), draw.token(23));
    let (start, end) = (created, created + 30 * 86_400);
    let object = format!(
        r#"      "id": "{id}",
      "object": "subscription",
      "application": null,
      "automatic_tax": {{
        "enabled": false
      }},
      "billing_cycle_anchor": {start},
      "cancel_at": null,
      "cancel_at_period_end": false,
      "canceled_at": null,
      "collection_method": "charge_automatically",
      "created": {start},
      "currency": "eur",
      "customer": "{customer}",
      "default_payment_method": null,
      "ended_at": null,
      "items": {{
        "object": "list",
        "data": [
          {{
            "id": "si_{item}",
            "object": "subscription_item",
            "current_period_end": {end},
            "current_period_start": {start},
            "price": {{
              "id": "price_1{price}",
              "object": "price",
              "active": true,
              "currency": "eur",
              "unit_amount": 4900
            }},
            "quantity": 1,
            "subscription": "{id}"
          }}
        ],
        "has_more": false,
        "total_count": 1
      }},
      "latest_invoice": "in_1{invoice}",
      "pause_collection": null,
      "start_date": {start},
      "status": "active",
      "trial_end": null"#
    );
    envelope(kind, draw, created, &id, &object)
}

fn invoice(draw: &mut Draw, number: u64, customer: &str) -> Event {
    let (id, created) = (format!("in_1{}", draw.token(23)), FIRST_SECOND + number);
    let (subscription, url, amount) = (draw.token(23), draw.token(96), 500 + draw.below(90_000));
    let object = format!(
        r#"      "id": "{id}",
      "object": "invoice",
      "account_country": "DE",
      "amount_due": {amount},
      "amount_paid": {amount},
      "amount_remaining": 0,
      "attempt_count": 1,
      "attempted": true,
      "billing_reason": "subscription_cycle",
      "collection_method": "charge_automatically",
      "created": {created},
      "currency": "eur",
      "customer": "{customer}",
      "customer_email": "person.{number}@example.org",
      "hosted_invoice_url": "https://invoice.stripe.com/i/acct_1/live_{url}?s=ap",
      "number": "HK-{number:08}",
      "parent": {{
        "quote_details": null,
        "subscription_details": {{
          "subscription": "sub_1{subscription}"
        }},
        "type": "subscription_details"
      }},
      "period_end": {created},
      "status": "paid",
      "subtotal": {amount},
      "total": {amount}"#
    );
    envelope("invoice.paid", draw, created, &id, &object)
}

fn charge(draw: &mut Draw, number: u64, customer: &str) -> Event {
    let (id, created) = (format!("ch_3{}", draw.token(23)), FIRST_SECOND + number);
    let (intent, transaction, url) = (draw.token(23), draw.token(23), draw.token(96));
    let (amount, last4, print) = (500 + draw.below(90_000), draw.below(10_000), draw.token(16));
    let object = format!(
        r#"      "id": "{id}",
      "object": "charge",
      "amount": {amount},
      "amount_captured": {amount},
      "amount_refunded": 0,
      "balance_transaction": "txn_3{transaction}",
      "captured": true,
      "created": {created},
      "currency": "eur",
      "customer": "{customer}",
      "disputed": false,
      "outcome": {{
        "network_status": "approved_by_network",
        "risk_level": "normal",
        "type": "authorized"
      }},
      "paid": true,
      "payment_intent": "pi_3{intent}",
      "payment_method_details": {{
        "card": {{
          "brand": "visa",
          "country": "DE",
          "exp_month": 11,
          "exp_year": 2031,
          "fingerprint": "{print}",
          "last4": "{last4:04}"
        }},
        "type": "card"
      }},
      "receipt_url": "https://pay.stripe.com/receipts/payment/{url}",
      "refunded": false,
      "status": "succeeded""#
    );
    envelope("charge.succeeded", draw, created, &id, &object)
}

/// Stripe writes `type` last, so whoever wants it reads the whole body. What is missing to [`SIZE`] goes into the
/// object's metadata, as text that is the same everywhere: most of a real body is names, nulls and false, too.
fn envelope(kind: &str, draw: &mut Draw, created: u64, object_id: &str, object: &str) -> Event {
    let (id, request) = (format!("evt_1{}", draw.token(23)), draw.token(14));
    let head = format!(
        r#"{{
  "id": "{id}",
  "object": "event",
  "api_version": "2025-03-31.basil",
  "created": {created},
  "data": {{
    "object": {{
{object},
      "metadata": {{
        "terms": ""#
    );
    let tail = format!(
        r#""
      }}
    }}
  }},
  "livemode": true,
  "pending_webhooks": 1,
  "request": {{
    "id": "req_{request}",
    "idempotency_key": null
  }},
  "type": "{kind}"
}}"#
    );
    let fill: String = TERMS.chars().cycle().take(SIZE.saturating_sub(head.len() + tail.len())).collect();
    Event { id, created, object: object_id.to_owned(), body: format!("{head}{fill}{tail}").into_bytes() }
}

const TERMS: &str = "Billed in advance on the same day of each month until it is cancelled. Changes of plan are prorated to \
                     the second; what was paid too much is credited to the next invoice. ";

#[cfg(test)]
mod tests {
    use super::{SIZE, event, new_subscriber};

    #[test]
    fn every_body_is_json_of_the_promised_size_and_names_its_event() {
        for number in 0..300 {
            let made = event(1, number);
            let json: serde_json::Value = serde_json::from_slice(&made.body).expect("the template is JSON");
            assert_eq!((made.body.len(), json["id"].as_str()), (SIZE, Some(made.id.as_str())), "{number}");
            assert_eq!(json["data"]["object"]["id"], made.object.as_str());
        }
    }

    #[test]
    fn events_are_the_same_for_the_same_seed_and_differ_between_numbers() {
        assert_eq!(event(1, 4), event(1, 4));
        assert_ne!(event(1, 4).id, event(1, 7).id);
    }

    #[test]
    fn no_two_new_subscribers_share_a_customer() {
        let customer = |number| {
            let json: serde_json::Value = serde_json::from_slice(&new_subscriber(1, number).body).expect("JSON");
            json["data"]["object"]["customer"].clone()
        };
        assert_ne!(customer(1), customer(2));
    }
}
