//! A snapshot and its answers as one hash, to compare generations.
//!
//! States owe nothing to the rules, so a hash over states alone would call two generations equal that answer differently.
//! Here every subscription's grant under its generation's rules goes in too. Two generations at the same positions answer the
//! same if their hashes are equal.

use hooklog_store::store::Snapshot;
use sha2::{Digest, Sha256};

use super::family::{CUSTOMERS, OF_CUSTOMER, SUBSCRIPTIONS, TALLIES, scope};
use super::find;
use crate::answer::Grant;
use crate::error::Error;
use crate::fold::subscription::Subscription;
use crate::rules::Rules;

/// How many entries are read at once.
const PAGE: usize = 1000;

/// SHA-256 over all states and answers in the order of their keys, in hex.
///
/// # Errors
/// [`Error::Store`], [`Error::Unreadable`].
pub fn hash(of: &Snapshot<'_>, rules: &Rules) -> Result<String, Error> {
    let mut sha = Sha256::new();
    for family in [SUBSCRIPTIONS, CUSTOMERS, OF_CUSTOMER, TALLIES] {
        sha.update([family.0]);
        each(of, family, |key, value| {
            part(&mut sha, key);
            part(&mut sha, value);
            if family == SUBSCRIPTIONS {
                part(&mut sha, answer(of, key, value, rules)?.as_bytes());
            }
            Ok(())
        })?;
    }
    Ok(hex::encode(sha.finalize()))
}

fn part(sha: &mut Sha256, bytes: &[u8]) {
    sha.update((bytes.len() as u64).to_be_bytes());
    sha.update(bytes);
}

fn answer(of: &Snapshot<'_>, key: &[u8], value: &[u8], rules: &Rules) -> Result<String, Error> {
    let state = Subscription::from_bytes(value)?;
    let owner = state.resolve().and_then(|resolved| resolved.facts.customer.clone());
    let scope = key.split_first_chunk::<2>().and_then(|(length, rest)| {
        scope(rest.split_at_checked(u16::from_be_bytes(*length).into())?.1).map(|(scope, _)| scope)
    });
    let customer = match (owner, scope) {
        (Some(owner), Some(scope)) => find::customer(of, &owner, &scope)?,
        _ => None,
    };
    Ok(Grant::of(&state, customer.as_ref(), rules).map_or_else(String::new, |grant| said(&grant)))
}

/// What a grant says at any moment, in one line.
fn said(grant: &Grant<'_>) -> String {
    let Grant { facts, verdict, until, because, ambiguous } = grant;
    format!("{} {} {} {until:?} {because:?} {ambiguous}", facts.status, verdict.access, verdict.reason)
}

fn each(
    of: &Snapshot<'_>,
    family: hooklog_store::Family,
    mut take: impl FnMut(&[u8], &[u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut from = Vec::new();
    loop {
        let page = of.scan(family, &[], &from, PAGE)?;
        for (key, value) in &page {
            take(key, value)?;
        }
        let Some((last, _)) = page.last().filter(|_| page.len() == PAGE) else { return Ok(()) };
        from = last.to_vec();
        from.push(0);
    }
}
