//! What queries read, from one snapshot: states and the positions up to which they are true.

use hooklog_store::store::Snapshot;

use super::family::{CUSTOMERS, OF_CUSTOMER, SUBSCRIPTIONS, any_scope, in_scope, of_customer, scope};
use crate::error::Error;
use crate::fold::customer::Customer;
use crate::fold::scope::Scope;
use crate::fold::subscription::Subscription;

/// Scopes looked at for one id. Stripe's ids repeat in none, so this is a bound and no page.
const MAX_SCOPES: usize = 64;

/// Which scopes are asked about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Narrowed {
    /// Live or test alone.
    pub livemode: Option<bool>,
    /// One Connect account alone.
    pub account: Option<String>,
}

impl Narrowed {
    fn allows(&self, scope: &Scope) -> bool {
        self.livemode.is_none_or(|live| live != scope.test)
            && self.account.as_deref().is_none_or(|account| scope.account() == Some(account))
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
    let prefix = any_scope(id);
    for (key, value) in from.scan(SUBSCRIPTIONS, &prefix, &[], MAX_SCOPES)? {
        match scope(&key[prefix.len()..]) {
            Some((scope, _)) if narrowed.allows(&scope) => return Ok(Some((scope, Subscription::from_bytes(&value)?))),
            _ => {}
        }
    }
    Ok(None)
}

/// The first scope in which that customer was heard of, by itself or by a subscription.
///
/// # Errors
/// [`Error::Store`].
pub fn customer_scope(from: &Snapshot<'_>, id: &str, narrowed: &Narrowed) -> Result<Option<Scope>, Error> {
    let itself = from.scan(CUSTOMERS, &any_scope(id), &[], MAX_SCOPES)?;
    let mut scopes: Vec<Scope> = itself.iter().filter_map(|(key, _)| scope_of(key, id)).collect();
    scopes.extend(indexed_scopes(from, id)?);
    Ok(scopes.into_iter().filter(|scope| narrowed.allows(scope)).min())
}

fn scope_of(key: &[u8], id: &str) -> Option<Scope> {
    scope(key.strip_prefix(&any_scope(id)[..])?).map(|(scope, _)| scope)
}

/// Goes from one scope to the next without reading the subscriptions between.
fn indexed_scopes(from: &Snapshot<'_>, id: &str) -> Result<Vec<Scope>, Error> {
    let (prefix, mut scopes, mut start) = (any_scope(id), Vec::new(), Vec::new());
    while scopes.len() < MAX_SCOPES {
        let next = from.scan(OF_CUSTOMER, &prefix, &start, 1)?;
        let Some(scope) = next.first().and_then(|(key, _)| scope_of(key, id)) else { break };
        start = after(in_scope(id, &scope));
        scopes.push(scope);
    }
    Ok(scopes)
}

/// The first key that does not begin with `prefix`: ids are UTF-8, in which 0xff does not occur.
fn after(mut prefix: Vec<u8>) -> Vec<u8> {
    prefix.push(0xff);
    prefix
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
