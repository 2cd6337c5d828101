//! Keys to look up and writes to apply, each packed into one buffer: a batch has tens of thousands.

use std::ops::Range;

use hooklog_schemas::Millis;

use crate::layout::Family;

/// Keys to look up, in the order in which they were asked for.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    bytes: Vec<u8>,
    keys: Vec<(Family, Range<usize>)>,
}

impl Keys {
    /// Asks for `key`.
    pub fn push(&mut self, family: Family, key: &[u8]) {
        let from = self.bytes.len();
        self.bytes.extend_from_slice(key);
        self.keys.push((family, from..self.bytes.len()));
    }

    /// How many keys were asked for.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether none was asked for.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The `n`th key.
    pub fn get(&self, n: usize) -> (Family, &[u8]) {
        let (family, range) = &self.keys[n];
        (*family, &self.bytes[range.clone()])
    }

    /// Forgets all keys and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.keys.clear();
    }
}

/// One thing to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Write<'a> {
    /// The family.
    pub family: Family,
    /// The moment that the value is written for: it chooses the bucket; of no account in a plain family.
    pub at: Millis,
    /// The key.
    pub key: &'a [u8],
    /// The value, or `None` to delete the key (plain families only).
    pub value: Option<&'a [u8]>,
}

/// Writes in the order in which they were asked for.
#[derive(Clone, Debug, Default)]
pub struct Writes {
    bytes: Vec<u8>,
    writes: Vec<Packed>,
}

#[derive(Clone, Debug)]
struct Packed {
    family: Family,
    at: Millis,
    key: Range<usize>,
    value: Option<Range<usize>>,
}

impl Writes {
    /// Sets `key` to `value`; `at` chooses the bucket in a family that has buckets.
    pub fn put(&mut self, family: Family, at: Millis, key: &[u8], value: &[u8]) {
        let key = self.packed(key);
        let value = Some(self.packed(value));
        self.writes.push(Packed { family, at, key, value });
    }

    /// Deletes `key` from a plain family.
    pub fn delete(&mut self, family: Family, key: &[u8]) {
        let key = self.packed(key);
        self.writes.push(Packed { family, at: Millis::MIN, key, value: None });
    }

    /// The `n`th write.
    pub fn get(&self, n: usize) -> Write<'_> {
        let write = &self.writes[n];
        Write {
            family: write.family,
            at: write.at,
            key: &self.bytes[write.key.clone()],
            value: write.value.as_ref().map(|value| &self.bytes[value.clone()]),
        }
    }

    /// All writes in order.
    pub fn iter(&self) -> impl Iterator<Item = Write<'_>> {
        (0..self.writes.len()).map(|n| self.get(n))
    }

    /// Forgets all writes and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.writes.clear();
    }

    /// How many writes there are.
    pub fn len(&self) -> usize {
        self.writes.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    fn packed(&mut self, bytes: &[u8]) -> Range<usize> {
        let from = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        from..self.bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_come_back_in_order_and_whole() {
        let mut writes = Writes::default();
        writes.put(Family(0), Millis(7), b"a", b"1");
        writes.delete(Family(1), b"b");
        writes.put(Family(0), Millis(8), b"", b"");
        let seen: Vec<_> = writes.iter().map(|w| (w.family.0, w.at.0, w.key, w.value)).collect();
        let min = i64::MIN;
        assert_eq!(seen, [(0, 7, &b"a"[..], Some(&b"1"[..])), (1, min, b"b", None), (0, 8, b"", Some(b""))]);
    }
}
