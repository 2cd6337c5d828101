//! States as bytes: one byte of format version, then fields in a fixed order. Deterministic, so that equal states are equal
//! bytes and content hashes can be compared.
//!
//! Whole numbers are zigzag LEB128, texts carry their length in front, options one byte.

use super::customer::Customer;
use super::event::{Kind, Moment, SubscriptionEvent};
use super::past_due::PastDue;
use super::subscription::{Dated, Second, Subscription};
use super::tally::{Count, Tally};
use crate::stripe::fingerprint::{Fingerprint, Leaf};
use crate::stripe::subscription::Facts;

/// The format that is written. A reader for each older one stays, with its fixture.
const VERSION: u8 = 1;

/// Why stored bytes are not a state: the store is damaged, or newer than this program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// The first byte names a format that this version does not know.
    #[error("format {0} is not known to this version of hooklog")]
    Version(u8),
    /// The bytes end early, go on too long, or say what cannot be.
    #[error("the bytes are damaged")]
    Damaged,
}

/// A value that has one stored form.
trait Stored: Sized {
    fn write(&self, out: &mut Vec<u8>);
    fn read(from: &mut Source<'_>) -> Result<Self, Unreadable>;
}

impl Subscription {
    /// As stored.
    pub fn to_bytes(&self) -> Vec<u8> {
        versioned(self)
    }

    /// From the store.
    ///
    /// # Errors
    /// [`Unreadable`], when these are not the bytes of a subscription.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Unreadable> {
        read_versioned(bytes)
    }
}

impl Tally {
    /// As stored.
    pub fn to_bytes(&self) -> Vec<u8> {
        versioned(self)
    }

    /// From the store.
    ///
    /// # Errors
    /// [`Unreadable`], when these are not the bytes of a tally.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Unreadable> {
        read_versioned(bytes)
    }
}

impl Customer {
    /// As stored.
    pub fn to_bytes(&self) -> Vec<u8> {
        versioned(self)
    }

    /// From the store.
    ///
    /// # Errors
    /// [`Unreadable`], when these are not the bytes of a customer.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Unreadable> {
        read_versioned(bytes)
    }
}

fn versioned(value: &impl Stored) -> Vec<u8> {
    let mut out = vec![VERSION];
    value.write(&mut out);
    out
}

fn read_versioned<T: Stored>(bytes: &[u8]) -> Result<T, Unreadable> {
    let (version, rest) = bytes.split_first().ok_or(Unreadable::Damaged)?;
    if *version != VERSION {
        return Err(Unreadable::Version(*version));
    }
    let mut source = Source(rest);
    let value = T::read(&mut source)?;
    if source.0.is_empty() { Ok(value) } else { Err(Unreadable::Damaged) }
}

struct Source<'a>(&'a [u8]);

impl Source<'_> {
    fn take(&mut self, count: usize) -> Result<&[u8], Unreadable> {
        let (head, rest) = self.0.split_at_checked(count).ok_or(Unreadable::Damaged)?;
        self.0 = rest;
        Ok(head)
    }

    fn byte(&mut self) -> Result<u8, Unreadable> {
        Ok(self.take(1)?[0])
    }

    fn length(&mut self) -> Result<usize, Unreadable> {
        // Every element takes a byte at least, so a damaged length cannot make us reserve more than was stored.
        usize::try_from(i64::read(self)?).ok().filter(|length| *length <= self.0.len()).ok_or(Unreadable::Damaged)
    }
}

impl Stored for i64 {
    fn write(&self, out: &mut Vec<u8>) {
        let mut rest = ((self << 1) ^ (self >> 63)) as u64;
        while rest >= 0x80 {
            out.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        out.push(rest as u8);
    }

    fn read(from: &mut Source<'_>) -> Result<Self, Unreadable> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = from.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok((value >> 1) as i64 ^ -((value & 1) as i64));
            }
        }
        Err(Unreadable::Damaged)
    }
}

impl Stored for bool {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }

    fn read(from: &mut Source<'_>) -> Result<Self, Unreadable> {
        match from.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Unreadable::Damaged),
        }
    }
}

impl Stored for String {
    fn write(&self, out: &mut Vec<u8>) {
        (self.len() as i64).write(out);
        out.extend_from_slice(self.as_bytes());
    }

    fn read(from: &mut Source<'_>) -> Result<Self, Unreadable> {
        let length = from.length()?;
        String::from_utf8(from.take(length)?.to_vec()).map_err(|_| Unreadable::Damaged)
    }
}

impl<T: Stored> Stored for Option<T> {
    fn write(&self, out: &mut Vec<u8>) {
        self.is_some().write(out);
        if let Some(value) = self {
            value.write(out);
        }
    }

    fn read(from: &mut Source<'_>) -> Result<Self, Unreadable> {
        if bool::read(from)? { T::read(from).map(Some) } else { Ok(None) }
    }
}

impl<T: Stored> Stored for Vec<T> {
    fn write(&self, out: &mut Vec<u8>) {
        (self.len() as i64).write(out);
        self.iter().for_each(|item| item.write(out));
    }

    fn read(from: &mut Source<'_>) -> Result<Self, Unreadable> {
        (0..from.length()?).map(|_| T::read(from)).collect()
    }
}

impl Stored for Kind {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(*self as u8);
    }

    fn read(from: &mut Source<'_>) -> Result<Self, Unreadable> {
        let byte = from.byte()?;
        let kinds = [Kind::Created, Kind::Notice, Kind::PausedOrResumed, Kind::Updated, Kind::Deleted];
        kinds.into_iter().find(|kind| *kind as u8 == byte).ok_or(Unreadable::Damaged)
    }
}

impl Stored for Leaf {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.path.to_be_bytes());
        out.extend_from_slice(&self.value.to_be_bytes());
    }

    fn read(from: &mut Source<'_>) -> Result<Self, Unreadable> {
        let mut half = || from.take(4)?.try_into().map(u32::from_be_bytes).map_err(|_| Unreadable::Damaged);
        Ok(Self { path: half()?, value: half()? })
    }
}

impl Stored for Fingerprint {
    fn write(&self, out: &mut Vec<u8>) {
        (self.leaves().len() as i64).write(out);
        self.leaves().iter().for_each(|leaf| leaf.write(out));
    }

    fn read(from: &mut Source<'_>) -> Result<Self, Unreadable> {
        Vec::read(from).map(Self::from_leaves)
    }
}

impl Stored for (i64, i64) {
    fn write(&self, out: &mut Vec<u8>) {
        self.0.write(out);
        self.1.write(out);
    }

    fn read(from: &mut Source<'_>) -> Result<Self, Unreadable> {
        Ok((i64::read(from)?, i64::read(from)?))
    }
}

impl Stored for Tally {
    fn write(&self, out: &mut Vec<u8>) {
        (self.0.len() as i64).write(out);
        for (reason, count) in &self.0 {
            reason.write(out);
            count.write(out);
        }
    }

    fn read(from: &mut Source<'_>) -> Result<Self, Unreadable> {
        (0..from.length()?).map(|_| Ok((String::read(from)?, Count::read(from)?))).collect::<Result<_, _>>().map(Self)
    }
}

/// Writes and reads the named fields in this order. The order is the format.
macro_rules! stored {
    ($type:ident { $($field:ident),+ }) => {
        impl Stored for $type {
            fn write(&self, out: &mut Vec<u8>) {
                $(self.$field.write(out);)+
            }

            fn read(from: &mut Source<'_>) -> Result<Self, Unreadable> {
                Ok(Self { $($field: Stored::read(from)?),+ })
            }
        }
    };
}

stored!(Facts {
    customer,
    status,
    created,
    ended_at,
    cancel_at,
    cancel_at_period_end,
    pause_collection,
    trial_end,
    period
});
stored!(Moment { second, id });
stored!(SubscriptionEvent { id, kind, facts, object, before });
stored!(Dated { second, told });
stored!(Second { at, told, overflowed });
stored!(PastDue { other, entered, seen });
stored!(Subscription { ended, root, newest, overdue });
stored!(Customer { deleted });
stored!(Count { records, first, last });

#[cfg(test)]
mod tests;
