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
    /// From a record's key and whether its event names a Connect account.
    ///
    /// Returns nothing for a key that is not one of ours.
    pub fn of(key: &str, connect: bool) -> Option<Self> {
        let (name, rest) = key.split_once('/')?;
        let (mode, _) = rest.split_once('/')?;
        let test = match mode {
            "live" => false,
            "test" => true,
            _ => return None,
        };
        (!name.is_empty()).then(|| Self { test, connect, name: name.to_owned() })
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
        let scope = Scope::of("stripe/live/cus_9/with/slashes", false).unwrap();
        assert_eq!(scope, Scope { test: false, connect: false, name: "stripe".into() });
        assert_eq!(scope.key("cus_9/with/slashes"), "stripe/live/cus_9/with/slashes");
        assert_eq!(scope.account(), None);
        assert_eq!(Scope::of("acct_1/test/sub_1", true).unwrap().account(), Some("acct_1"));
    }

    #[test]
    fn a_key_of_somebody_else_has_no_scope() {
        for key in ["", "cus_1", "stripe/live", "stripe/prod/cus_1", "/live/cus_1"] {
            assert_eq!(Scope::of(key, false), None, "{key:?}");
        }
    }

    #[test]
    fn live_is_looked_at_before_test_and_our_own_before_connect() {
        let own = Scope { test: false, connect: false, name: "stripe".into() };
        let connect = Scope { test: false, connect: true, name: "acct_1".into() };
        let test = Scope { test: true, connect: false, name: "stripe".into() };
        assert!(own < connect && connect < test);
    }
}
