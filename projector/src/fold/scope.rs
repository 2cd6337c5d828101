//! Whose events these are.

/// The first two parts of the key of a record on `events`: `<scope>/<live|test>/<subject>`.
///
/// Ordered as answers look: live before test, our own namespaces before Connect accounts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope {
    /// Whether this is test mode.
    pub test: bool,
    /// Whether `name` is a Connect account rather than a namespace of ours.
    pub connect: bool,
    /// The Connect account, or the namespace.
    pub name: String,
}

impl Scope {
    /// Of an event with this account and mode, on a record with this key.
    ///
    /// Returns nothing for a key that is not one of ours: it does not begin with the account or with a namespace.
    pub fn of(key: &str, account: Option<&str>, livemode: bool) -> Option<Self> {
        let rest = match account {
            Some(account) => key.strip_prefix(account)?.strip_prefix('/')?,
            None => key.split_once('/')?.1,
        };
        let name = &key[..key.len() - rest.len() - 1];
        let fits = rest.starts_with(if livemode { "live/" } else { "test/" }) && !name.is_empty();
        fits.then(|| Self { test: !livemode, connect: account.is_some(), name: name.to_owned() })
    }

    /// The key of the records about `subject` in this scope.
    pub fn key(&self, subject: &str) -> String {
        format!("{}/{}/{subject}", self.name, if self.test { "test" } else { "live" })
    }

    /// The Connect account, if it is one.
    pub fn account(&self) -> Option<&str> {
        self.connect.then_some(self.name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_taken_apart_and_put_together_again() {
        let scope = Scope::of("stripe/live/cus_9/with/slashes", None, true).unwrap();
        assert_eq!(scope, Scope { test: false, connect: false, name: "stripe".into() });
        assert_eq!(scope.key("cus_9/with/slashes"), "stripe/live/cus_9/with/slashes");
        assert_eq!(scope.account(), None);
        assert_eq!(Scope::of("acct_1/test/sub_1", Some("acct_1"), false).unwrap().account(), Some("acct_1"));
        assert_eq!(Scope::of("odd/acct/live/sub_1", Some("odd/acct"), true).unwrap().name, "odd/acct");
    }

    #[test]
    fn a_key_that_does_not_fit_its_event_has_no_scope() {
        for key in ["", "cus_1", "stripe/live", "stripe/prod/cus_1", "stripe/test/cus_1", "/live/cus_1"] {
            assert_eq!(Scope::of(key, None, true), None, "{key:?}");
        }
        assert_eq!(Scope::of("stripe/live/cus_1", Some("acct_1"), true), None);
    }

    #[test]
    fn live_is_looked_at_before_test_and_our_own_before_connect() {
        let own = Scope { test: false, connect: false, name: "stripe".into() };
        let connect = Scope { test: false, connect: true, name: "acct_1".into() };
        let test = Scope { test: true, connect: false, name: "stripe".into() };
        assert!(own < connect && connect < test);
    }
}
