//! The families of a store of views, and their keys. Names and keys are on disk.
//!
//! An id comes first and its scope after it, so that a look-up that names no scope finds all of them in the order in which
//! answers prefer them: live before test, own namespaces before Connect accounts.

use hooklog_schemas::Partition;
use hooklog_store::layout::{Family, Kind, Layout};

use crate::fold::scope::Scope;

/// Subscriptions: id and scope -> state.
pub const SUBSCRIPTIONS: Family = Family(0);
/// Customers we heard of as such: id and scope -> state.
pub const CUSTOMERS: Family = Family(1);
/// Which subscriptions named which customer: customer's id, scope, subscription's id -> nothing.
pub const OF_CUSTOMER: Family = Family(2);
/// What was skipped: partition -> tally.
pub const TALLIES: Family = Family(3);
/// The rules of this generation: [`RULES_TEXT`] -> text.
pub const RULES: Family = Family(4);
/// The key of the rules' text. Beside it, in the same family: [`beginning`].
pub const RULES_TEXT: &[u8] = b"text";

/// All of them.
pub fn layout() -> Layout {
    let names = ["subscriptions", "customers", "of_customer", "tallies", "rules"];
    Layout(names.map(|name| (name, Kind::Plain)).to_vec())
}

/// The key of where the views begin in a partition whose beginning the log had lost.
pub fn beginning(partition: Partition) -> Vec<u8> {
    [b"beginning/".as_slice(), &partition.0.to_be_bytes()].concat()
}

/// Before every key of `id`, whatever its scope.
pub fn any_scope(id: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(id.len() + 40);
    text(&mut key, id);
    key
}

/// Before every key of `id` in live or in test mode.
pub fn in_mode(id: &str, test: bool) -> Vec<u8> {
    let mut key = any_scope(id);
    key.push(u8::from(test));
    key
}

/// The key of `id` in `scope`.
pub fn in_scope(id: &str, scope: &Scope) -> Vec<u8> {
    let mut key = in_mode(id, scope.test);
    key.push(u8::from(scope.connect));
    text(&mut key, &scope.name);
    key
}

/// The key that says that a subscription named a customer.
pub fn of_customer(customer: &str, scope: &Scope, subscription: &str) -> Vec<u8> {
    let mut key = in_scope(customer, scope);
    key.extend_from_slice(subscription.as_bytes());
    key
}

/// The scope that follows [`any_scope`] of an id in a key, and what follows the scope.
pub fn scope(rest: &[u8]) -> Option<(Scope, &[u8])> {
    let ([test, connect, high, low], rest) = rest.split_first_chunk::<4>()?;
    let (name, rest) = rest.split_at_checked(u16::from_be_bytes([*high, *low]).into())?;
    let name = std::str::from_utf8(name).ok()?.to_owned();
    Some((Scope { test: *test == 1, connect: *connect == 1, name }, rest))
}

/// Texts are below 256 bytes; their length comes first, so that no key is the beginning of another id's.
fn text(key: &mut Vec<u8>, text: &str) {
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
    key.extend(length.to_be_bytes());
    key.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_written_as_in_the_first_release() {
        let scope = Scope { test: true, connect: false, name: "stripe".into() };
        assert_eq!(hex::encode(in_scope("sub_1", &scope)), "00057375625f3101000006737472697065");
        assert_eq!(hex::encode(of_customer("c", &scope, "s")), "0001630100000673747269706573");
    }

    #[test]
    fn a_key_gives_its_scope_back_and_what_follows() {
        let wanted = Scope { test: false, connect: true, name: "acct_1".into() };
        let key = of_customer("cus_1", &wanted, "sub_1");
        let rest = key.strip_prefix(&any_scope("cus_1")[..]).unwrap();
        assert_eq!(scope(rest), Some((wanted, &b"sub_1"[..])));
        assert_eq!(scope(&rest[..7]), None);
    }

    #[test]
    fn no_id_is_the_beginning_of_another_one() {
        let scope = Scope { test: false, connect: false, name: "s".into() };
        assert!(!in_scope("sub_12", &scope).starts_with(&any_scope("sub_1")));
    }

    #[test]
    fn the_key_of_a_beginning_is_written_as_in_this_release() {
        assert_eq!(hex::encode(beginning(Partition(258))), "626567696e6e696e672f00000102");
    }

    #[test]
    fn every_family_has_its_name() {
        assert_eq!(layout().families().collect::<Vec<_>>(), [SUBSCRIPTIONS, CUSTOMERS, OF_CUSTOMER, TALLIES, RULES]);
    }
}
