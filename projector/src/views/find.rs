//! What queries read, from one snapshot: states and the positions up to which they are true.

use hooklog_store::layout::Family;
use hooklog_store::store::Snapshot;

use super::family::{CUSTOMERS, OF_CUSTOMER, SUBSCRIPTIONS, any_scope, in_mode, in_scope, of_customer, scope};
use crate::error::Error;
use crate::fold::customer::Customer;
use crate::fold::scope::Scope;
use crate::fold::subscription::Subscription;

/// Which scopes are asked about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Narrowed {
    /// Live or test alone.
    pub livemode: Option<bool>,
    /// One Connect account alone.
    pub account: Option<String>,
}

impl Narrowed {
    /// What all keys of `id` that are asked about begin with, live mode first.
    fn prefixes(&self, id: &str) -> impl Iterator<Item = Vec<u8>> {
        let asked = move |test: &bool| self.livemode.is_none_or(|live| live != *test);
        [false, true].into_iter().filter(asked).map(move |test| match &self.account {
            Some(account) => in_scope(id, &Scope { test, connect: true, name: account.clone() }),
            None => in_mode(id, test),
        })
    }
}

/// The first subscription of that id in the order of scopes.
///
/// # Errors
/// [`Error::Store`], [`Error::Unreadable`].
pub fn subscription(
    from: &Snapshot<'_>,
    id: &str,
    narrowed: &Narrowed,
) -> Result<Option<(Scope, Subscription)>, Error> {
    let Some(scope) = first_scope(from, SUBSCRIPTIONS, id, narrowed)? else { return Ok(None) };
    let bytes = from.get(SUBSCRIPTIONS, &in_scope(id, &scope))?;
    Ok(bytes.map(|bytes| Subscription::from_bytes(&bytes)).transpose()?.map(|state| (scope, state)))
}

/// The first scope in which that customer was heard of, by itself or by a subscription.
///
/// # Errors
/// [`Error::Store`].
pub fn customer_scope(from: &Snapshot<'_>, id: &str, narrowed: &Narrowed) -> Result<Option<Scope>, Error> {
    let itself = first_scope(from, CUSTOMERS, id, narrowed)?;
    let named = first_scope(from, OF_CUSTOMER, id, narrowed)?;
    // By their keys, so that this order is the one in which the store has them.
    Ok(itself.into_iter().chain(named).min_by_key(|scope| in_scope(id, scope)))
}

/// The first scope in which a family has anything under an id. One look each, however many accounts have the same id.
fn first_scope(from: &Snapshot<'_>, family: Family, id: &str, narrowed: &Narrowed) -> Result<Option<Scope>, Error> {
    for prefix in narrowed.prefixes(id) {
        let found = from.scan(family, &prefix, &[], 1)?;
        if let Some(scope) = found.first().and_then(|(key, _)| scope_of(key, id)) {
            return Ok(Some(scope));
        }
    }
    Ok(None)
}

fn scope_of(key: &[u8], id: &str) -> Option<Scope> {
    scope(key.strip_prefix(&any_scope(id)[..])?).map(|(scope, _)| scope)
}

/// The customer's own state, if it was heard of by itself.
///
/// # Errors
/// [`Error::Store`], [`Error::Unreadable`].
pub fn customer(from: &Snapshot<'_>, id: &str, scope: &Scope) -> Result<Option<Customer>, Error> {
    let bytes = from.get(CUSTOMERS, &in_scope(id, scope))?;
    Ok(bytes.map(|bytes| Customer::from_bytes(&bytes)).transpose()?)
}

/// Some subscriptions of a customer, in the order of their ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Id and state.
    pub subscriptions: Vec<(String, Subscription)>,
    /// Where the next page goes on, if there is one: the last id that was looked at.
    pub next: Option<String>,
}

/// Looks at up to `limit` subscriptions of a customer, those after the id `after`.
///
/// A subscription that an event once named under this customer but that is another one's is left out.
///
/// # Errors
/// [`Error::Store`], [`Error::Unreadable`].
pub fn subscriptions_of(
    from: &Snapshot<'_>,
    customer: &str,
    scope: &Scope,
    after: Option<&str>,
    limit: usize,
) -> Result<Page, Error> {
    let prefix = in_scope(customer, scope);
    // The smallest text that is greater than an id is that id and a zero byte.
    let start = after.map_or_else(Vec::new, |id| of_customer(customer, scope, &format!("{id}\0")));
    let keys = from.scan(OF_CUSTOMER, &prefix, &start, limit + 1)?;
    let mut page = Page::default();
    for (key, _) in keys.iter().take(limit) {
        let id = String::from_utf8_lossy(&key[prefix.len()..]).into_owned();
        page.next = (keys.len() > limit).then(|| id.clone());
        if let Some(state) = owned(from, customer, &id, scope)? {
            page.subscriptions.push((id, state));
        }
    }
    Ok(page)
}

fn owned(from: &Snapshot<'_>, customer: &str, id: &str, scope: &Scope) -> Result<Option<Subscription>, Error> {
    let Some(bytes) = from.get(SUBSCRIPTIONS, &in_scope(id, scope))? else { return Ok(None) };
    let state = Subscription::from_bytes(&bytes)?;
    let owner = state.resolve().and_then(|resolved| resolved.facts.customer.clone());
    Ok((owner.as_deref() == Some(customer)).then_some(state))
}
