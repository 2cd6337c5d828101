//! The two phases over a batch of records: which keys to look up, then what to write. Pure, deterministic, total but for a
//! damaged store.

use std::collections::BTreeMap;

use hooklog_schemas::{Millis, Partition};
use hooklog_store::layout::Family;
use hooklog_store::{Keys, Writes};

use super::family::{CUSTOMERS, OF_CUSTOMER, SUBSCRIPTIONS, TALLIES, in_scope, of_customer};
use super::record::{Opened, Record, open};
use crate::fold::codec::Unreadable;
use crate::fold::customer::Customer;
use crate::fold::event::{Parsed, SubscriptionEvent, Wanted};
use crate::fold::subscription::Subscription;
use crate::fold::tally::{NOT_NEEDED, Tally};

/// The version of this fold. Another one means a new store beside the old, never a mix.
///
/// 1: the first release. 2: undated and typeless events are taken in, unknown types of a subscription's events are not.
pub const VERSION: u32 = 2;

/// Reads values that were looked up before.
pub trait LookUp {
    /// The value of `key` in `family`, if the store has one.
    fn value(&self, family: Family, key: &[u8]) -> Option<&[u8]>;
}

/// The first phase: asks for every key whose value [`fold`] may read.
pub fn reads(batch: &[Record<'_>], keys: &mut Keys) {
    for partition in partitions(batch) {
        keys.push(TALLIES, &tally_key(partition));
    }
    for opened in batch.iter().filter_map(|record| open(record).ok().flatten()) {
        if let Some(id) = opened.id() {
            keys.push(family(opened.wanted), &in_scope(id, &opened.scope));
        }
    }
}

/// The second phase: takes the batch in, in order.
///
/// # Errors
/// [`Unreadable`] where the store holds what is not a state: it is damaged.
pub fn fold(batch: &[Record<'_>], stored: &impl LookUp, writes: &mut Writes) -> Result<(), Unreadable> {
    let mut touched = Touched::default();
    for record in batch {
        touched.take(record, stored)?;
    }
    touched.write(writes);
    Ok(())
}

fn family(wanted: Wanted) -> Family {
    match wanted {
        Wanted::Subscription => SUBSCRIPTIONS,
        Wanted::Customer => CUSTOMERS,
    }
}

fn tally_key(partition: Partition) -> [u8; 4] {
    partition.0.to_be_bytes()
}

fn partitions(batch: &[Record<'_>]) -> Vec<Partition> {
    let mut partitions: Vec<Partition> = batch.iter().map(|record| record.partition).collect();
    partitions.sort_unstable();
    partitions.dedup();
    partitions
}

/// The states that a batch changed, so that one is decoded and written once however often it is touched.
#[derive(Default)]
struct Touched {
    subscriptions: BTreeMap<Vec<u8>, Subscription>,
    customers: BTreeMap<Vec<u8>, Customer>,
    of_customer: BTreeMap<Vec<u8>, ()>,
    tallies: BTreeMap<Vec<u8>, Tally>,
}

impl Touched {
    fn take(&mut self, record: &Record<'_>, stored: &impl LookUp) -> Result<(), Unreadable> {
        match open(record) {
            Ok(Some(opened)) => match opened.parse(record.value) {
                Parsed::NotUnderstood(why) => self.skip(record, why, stored),
                Parsed::NotNeeded => self.skip(record, NOT_NEEDED, stored),
                heard => self.absorb(&opened, heard, stored),
            },
            Ok(None) => self.skip(record, NOT_NEEDED, stored),
            Err(why) => self.skip(record, why, stored),
        }
    }

    fn absorb(&mut self, opened: &Opened<'_>, heard: Parsed, stored: &impl LookUp) -> Result<(), Unreadable> {
        match heard {
            Parsed::Subscription { id, second, came_from, told } => {
                self.index(opened, &id, &told);
                let key = in_scope(&id, &opened.scope);
                let state = entry(&mut self.subscriptions, SUBSCRIPTIONS, key, stored, Subscription::from_bytes)?;
                state.absorb(second, came_from.as_deref(), *told);
            }
            Parsed::Customer { id, deleted } => {
                let key = in_scope(&id, &opened.scope);
                entry(&mut self.customers, CUSTOMERS, key, stored, Customer::from_bytes)?.absorb(deleted);
            }
            Parsed::NotNeeded | Parsed::NotUnderstood(_) => {}
        }
        Ok(())
    }

    /// Every event names the customer, also one too old to be kept, so the index depends on no order either.
    fn index(&mut self, opened: &Opened<'_>, id: &str, told: &SubscriptionEvent) {
        if let Some(customer) = &told.facts.customer {
            self.of_customer.insert(of_customer(customer, &opened.scope, id), ());
        }
    }

    fn skip(&mut self, record: &Record<'_>, why: &str, stored: &impl LookUp) -> Result<(), Unreadable> {
        let key = tally_key(record.partition).to_vec();
        entry(&mut self.tallies, TALLIES, key, stored, Tally::from_bytes)?.count(why, record.offset);
        Ok(())
    }

    fn write(self, writes: &mut Writes) {
        let mut put = |family, key: &[u8], value: &[u8]| writes.put(family, Millis::MIN, key, value);
        self.subscriptions.iter().for_each(|(key, state)| put(SUBSCRIPTIONS, key, &state.to_bytes()));
        self.customers.iter().for_each(|(key, state)| put(CUSTOMERS, key, &state.to_bytes()));
        self.of_customer.keys().for_each(|key| put(OF_CUSTOMER, key, &[]));
        self.tallies.iter().for_each(|(key, tally)| put(TALLIES, key, &tally.to_bytes()));
    }
}

/// The state under `key`: as this batch left it, else as stored, else a new one.
fn entry<'m, T: Default>(
    touched: &'m mut BTreeMap<Vec<u8>, T>,
    family: Family,
    key: Vec<u8>,
    stored: &impl LookUp,
    read: impl Fn(&[u8]) -> Result<T, Unreadable>,
) -> Result<&'m mut T, Unreadable> {
    use std::collections::btree_map::Entry;
    match touched.entry(key) {
        Entry::Occupied(known) => Ok(known.into_mut()),
        Entry::Vacant(place) => {
            let state = stored.value(family, place.key()).map(read).transpose()?.unwrap_or_default();
            Ok(place.insert(state))
        }
    }
}

#[cfg(test)]
mod tests;
