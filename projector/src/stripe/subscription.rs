//! What a subscription object says that a view shows.

use super::json::Json;

/// The longest id or status that is taken for one; Stripe's ids are below 255 characters.
pub const MAX_TEXT: usize = 255;

/// The status names this version knows, in Stripe's words. Others are kept as text.
pub const KNOWN_STATUSES: [&str; 8] =
    ["incomplete", "incomplete_expired", "trialing", "active", "past_due", "unpaid", "canceled", "paused"];

/// Whether nothing can follow this status: `canceled` and `incomplete_expired` by Stripe's life cycle of subscriptions.
pub fn is_terminal(status: &str) -> bool {
    matches!(status, "canceled" | "incomplete_expired")
}

/// One state of a subscription as an event told it. All times are epoch seconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Facts {
    /// Whose it is; absent only in payloads that name nobody.
    pub customer: Option<String>,
    /// Stripe's word for where it stands, known to us or not.
    pub status: String,
    /// When the subscription (not the event) was created.
    pub created: Option<i64>,
    /// When it ended; `canceled_at` is only when somebody decided so.
    pub ended_at: Option<i64>,
    /// When it is going to end, if that is set.
    pub cancel_at: Option<i64>,
    /// A wish that can be taken back; it ends nothing by itself.
    pub cancel_at_period_end: bool,
    /// Whether collecting is paused, which changes no status and takes no access.
    pub pause_collection: bool,
    /// When the trial ends or ended.
    pub trial_end: Option<i64>,
    /// Start and end of the billing period that ends first; items may have different ones.
    pub period: Option<(i64, i64)>,
}

impl Facts {
    /// Reads a subscription object.
    ///
    /// # Errors
    /// In words for the tally, when there is no status or when it is longer than [`MAX_TEXT`].
    pub fn read(object: &Json<'_>) -> Result<Self, &'static str> {
        Self::read_as(object, object.get("status").text().ok_or("the subscription has no status")?)
    }

    /// Reads a subscription object whose status is known from elsewhere.
    ///
    /// # Errors
    /// In words for the tally, when the status is longer than [`MAX_TEXT`].
    pub fn read_as(object: &Json<'_>, status: &str) -> Result<Self, &'static str> {
        Ok(Self {
            customer: object.get("customer").id().filter(|id| is_id(id)).map(str::to_owned),
            status: short(Some(status))?.unwrap_or_default(),
            created: object.get("created").whole(),
            ended_at: object.get("ended_at").whole(),
            cancel_at: object.get("cancel_at").whole(),
            cancel_at_period_end: *object.get("cancel_at_period_end") == Json::Bool(true),
            pause_collection: !object.get("pause_collection").is_null(),
            trial_end: object.get("trial_end").whole(),
            period: period(object),
        })
    }
}

/// Since Basil (2025-03-31) periods stand on the items; before, on the subscription itself.
fn period(object: &Json<'_>) -> Option<(i64, i64)> {
    let items = object.get("items").get("data").list();
    items.iter().filter_map(own_period).min_by_key(|(start, end)| (*end, *start)).or_else(|| own_period(object))
}

fn own_period(object: &Json<'_>) -> Option<(i64, i64)> {
    Some((object.get("current_period_start").whole()?, object.get("current_period_end").whole()?))
}

/// Whether a text can be an id; where it cannot, it counts as absent, as it does for the subject of the event.
pub fn is_id(text: &str) -> bool {
    (1..=MAX_TEXT).contains(&text.len())
}

/// A text as it is kept, refused where it is longer than any id of Stripe's.
///
/// # Errors
/// In words for the tally.
pub fn short(text: Option<&str>) -> Result<Option<String>, &'static str> {
    match text {
        Some(text) if text.len() > MAX_TEXT => Err("an id or a status is longer than 255 bytes"),
        other => Ok(other.map(str::to_owned)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Facts, &'static str> {
        Facts::read(&Json::read(text).unwrap())
    }

    #[test]
    fn periods_before_and_after_basil_are_the_same_facts() {
        let before = r#"{"status":"active","customer":"cus_1","current_period_start":10,"current_period_end":20}"#;
        let after = r#"{"status":"active","customer":{"id":"cus_1"},
            "items":{"data":[{"current_period_start":10,"current_period_end":20}]}}"#;
        assert_eq!(read(before), read(after));
        assert_eq!(read(before).unwrap().period, Some((10, 20)));
    }

    #[test]
    fn of_several_items_the_period_that_ends_first_is_shown() {
        let facts = read(
            r#"{"status":"active","items":{"has_more":true,"data":[{"current_period_start":10,"current_period_end":400},
            {"id":"si_metered"},{"current_period_start":12,"current_period_end":40}]}}"#,
        );
        assert_eq!(facts.unwrap().period, Some((12, 40)));
    }

    #[test]
    fn fields_of_an_unexpected_type_are_as_if_missing() {
        let facts =
            read(r#"{"status":"zen","customer":9,"created":"x","cancel_at_period_end":"yes","items":[]}"#).unwrap();
        assert_eq!(facts, Facts { status: "zen".into(), ..Facts::default() });
    }

    #[test]
    fn without_a_status_or_with_an_endless_one_it_is_not_understood() {
        assert!(read(r#"{"customer":"cus_1"}"#).is_err());
        assert!(read(&format!(r#"{{"status":"{}"}}"#, "x".repeat(256))).is_err());
    }

    #[test]
    fn what_can_be_no_customer_is_none() {
        for customer in [r#""""#.to_owned(), format!(r#""{}""#, "x".repeat(256)), "null".into(), r#"{"id":""}"#.into()]
        {
            assert_eq!(read(&format!(r#"{{"status":"active","customer":{customer}}}"#)).unwrap().customer, None);
        }
    }

    #[test]
    fn paused_collection_is_a_fact_of_its_own() {
        assert!(read(r#"{"status":"active","pause_collection":{"behavior":"void"}}"#).unwrap().pause_collection);
        assert!(!read(r#"{"status":"active","pause_collection":null}"#).unwrap().pause_collection);
    }
}
