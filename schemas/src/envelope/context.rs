//! The account that a thin event is about. It has no `account`; its `context` is what a client sends as `Stripe-Context` to
//! fetch the object: an account, or a path whose segments go from an organisation or a platform down to one.
//! <https://docs.stripe.com/api/v2/core/events/object> <https://docs.stripe.com/context>

use std::borrow::Cow;

use super::ID_MAX;

const ACCOUNT: &str = "acct_";

/// The last account of the path `context`, where it names one.
pub(super) fn account(context: Cow<'_, str>) -> Option<Cow<'_, str>> {
    match context {
        Cow::Borrowed(path) => last(path).map(Cow::Borrowed),
        Cow::Owned(path) => last(&path).map(|account| Cow::Owned(account.to_owned())),
    }
}

fn last(path: &str) -> Option<&str> {
    let is_account = |segment: &&str| segment.len() > ACCOUNT.len() && segment.starts_with(ACCOUNT);
    path.rsplit('/').find(is_account).filter(|account| account.len() <= ID_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_account_of_the_path_counts() {
        for (context, named) in [
            ("acct_1", Some("acct_1")),
            ("org_9/acct_1", Some("acct_1")),
            ("org_9/acct_1/acct_2", Some("acct_2")),
            ("acct_1/cus_7", Some("acct_1")),
            ("acct_1/", Some("acct_1")),
            ("org_9", None),
            ("org_9/", None),
            ("acct_", None),
            ("org_acct_1", None),
            ("ACCT_1", None),
            ("", None),
        ] {
            assert_eq!(account(Cow::Borrowed(context)).as_deref(), named, "{context}");
            assert_eq!(account(Cow::Owned(context.to_owned())).as_deref(), named, "{context}");
        }
        assert_eq!(account(Cow::Owned(format!("acct_{}", "x".repeat(255)))), None, "longer than any id");
    }
}
