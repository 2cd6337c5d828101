//! An object reduced to hashes of its leaves.
//!
//! Rule 4 of the order of truth asks whether the `previous_attributes` of one event match the object of another one that
//! may have come long before. Keeping whole objects for that would cost some kilobytes for each subscription; 8 bytes a leaf
//! do, at the price of one false match in 2^32 leaves that differ. The hash is part of a persisted format: it never changes.

use super::json::Json;

/// Objects with more leaves than this have no fingerprint and match nothing; Stripe's have some hundreds at most.
pub const MAX_LEAVES: usize = 4096;

/// What stands for null in a leaf; no other value hashes to it.
const NULL: u32 = 0;

/// Where a leaf is and what it says, both hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Leaf {
    /// Hash of the keys and indices that lead to the leaf.
    pub path: u32,
    /// Hash of its value, 0 for null.
    pub value: u32,
}

/// The leaves of one JSON object, sorted, so that the order of keys in the body plays no role.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fingerprint(Vec<Leaf>);

impl Fingerprint {
    /// Of a tree, or nothing when it has more than [`MAX_LEAVES`] leaves.
    pub fn of(tree: &Json<'_>) -> Option<Self> {
        let mut leaves = Vec::new();
        collect(tree, ROOT, &mut leaves);
        if leaves.len() > MAX_LEAVES {
            return None;
        }
        // Stable, so that of a repeated key the first one stays.
        leaves.sort_by_key(|(path, _)| *path);
        leaves.dedup_by_key(|(path, _)| *path);
        let mut leaves: Vec<Leaf> =
            leaves.iter().map(|(path, value)| Leaf { path: (path >> 32) as u32, value: *value }).collect();
        leaves.sort_unstable();
        Some(Self(leaves))
    }

    /// From leaves that were stored; they come back in the order they were written in.
    pub fn from_leaves(leaves: Vec<Leaf>) -> Self {
        Self(leaves)
    }

    /// The leaves, sorted.
    pub fn leaves(&self) -> &[Leaf] {
        &self.0
    }

    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether everything that `self` says is so in `object`: a partial match, as `previous_attributes` holds only what
    /// changed. A null matches what is missing too: a metadata key that was added has null as its previous value.
    pub fn matches(&self, object: &Fingerprint) -> bool {
        self.0.iter().all(|leaf| match leaf.value {
            NULL => !object.0.iter().any(|other| other.path == leaf.path && other.value != NULL),
            _ => object.0.binary_search(leaf).is_ok(),
        })
    }
}

const ROOT: u64 = 0x9e37_79b9_7f4a_7c15;

fn collect(tree: &Json<'_>, path: u64, leaves: &mut Vec<(u64, u32)>) {
    if leaves.len() > MAX_LEAVES {
        return;
    }
    match tree {
        Json::Null => leaves.push((path, NULL)),
        Json::Bool(value) => leaves.push((path, hash(b'b', &[u8::from(*value)]))),
        Json::Whole(value) => leaves.push((path, hash(b'w', &value.to_le_bytes()))),
        Json::Float(value) => leaves.push((path, hash(b'f', &value.to_bits().to_le_bytes()))),
        Json::Text(value) => leaves.push((path, hash(b't', value.as_bytes()))),
        Json::List(items) => collect_list(items, path, leaves),
        Json::Map(pairs) => collect_map(pairs, path, leaves),
    }
}

/// A list that changed comes whole in `previous_attributes`, so its length is a leaf as well.
fn collect_list(items: &[Json<'_>], path: u64, leaves: &mut Vec<(u64, u32)>) {
    leaves.push((path, hash(b'l', &(items.len() as u64).to_le_bytes())));
    for (index, item) in items.iter().enumerate() {
        collect(item, step(path, b'i', &(index as u64).to_le_bytes()), leaves);
    }
}

fn collect_map(pairs: &[(std::borrow::Cow<'_, str>, Json<'_>)], path: u64, leaves: &mut Vec<(u64, u32)>) {
    if path != ROOT {
        leaves.push((path, hash(b'm', &[])));
    }
    for (key, value) in pairs {
        collect(value, step(path, b'k', key.as_bytes()), leaves);
    }
}

fn hash(tag: u8, bytes: &[u8]) -> u32 {
    let hash = (step(u64::from(tag), tag, bytes) >> 32) as u32;
    hash.max(NULL + 1)
}

/// FNV-1a over the bytes, seeded with where we come from, then MurmurHash3's finaliser to spread the high half.
fn step(from: u64, tag: u8, bytes: &[u8]) -> u64 {
    let mut state = from ^ 0xcbf2_9ce4_8422_2325;
    for byte in std::iter::once(&tag).chain(bytes) {
        state = (state ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    state = (state ^ (state >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    state = (state ^ (state >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    state ^ (state >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Fingerprint {
        Fingerprint::of(&Json::read(text).unwrap()).unwrap()
    }

    #[track_caller]
    fn check(before: &str, object: &str, expected: bool) {
        assert_eq!(of(before).matches(&of(object)), expected, "{before} against {object}");
    }

    #[test]
    fn previous_attributes_match_the_object_they_were_taken_from() {
        check(r#"{"status":"incomplete"}"#, r#"{"id":"sub_1","status":"incomplete"}"#, true);
        check(r#"{"status":"incomplete"}"#, r#"{"id":"sub_1","status":"active"}"#, false);
        check(r#"{"status":"incomplete"}"#, r#"{"id":"sub_1"}"#, false);
        check(r#"{"plan":{"amount":5}}"#, r#"{"plan":{"id":"p","amount":5}}"#, true);
        check(r#"{"plan":{"amount":5}}"#, r#"{"plan":{"id":"p","amount":6}}"#, false);
        check(r#"{"status":"5"}"#, r#"{"status":5}"#, false);
    }

    #[test]
    fn a_null_matches_null_and_absence_but_nothing_else() {
        check(r#"{"metadata":{"tier":null}}"#, r#"{"metadata":{}}"#, true);
        check(r#"{"cancel_at":null}"#, r#"{"cancel_at":null}"#, true);
        check(r#"{"cancel_at":null}"#, r#"{"cancel_at":1700000000}"#, false);
        check(r#"{"discount":null}"#, r#"{"discount":{"id":"di_1"}}"#, false);
    }

    #[test]
    fn lists_match_only_as_a_whole() {
        check(r#"{"items":{"data":[{"id":"si_1"}]}}"#, r#"{"items":{"data":[{"id":"si_1","quantity":2}]}}"#, true);
        check(r#"{"items":{"data":[{"id":"si_1"}]}}"#, r#"{"items":{"data":[{"id":"si_1"},{"id":"si_2"}]}}"#, false);
    }

    #[test]
    fn the_order_of_keys_plays_no_role_and_a_repeated_key_counts_once() {
        assert_eq!(of(r#"{"a":1,"b":{"c":2,"d":3}}"#), of(r#"{"b":{"d":3,"c":2},"a":1}"#));
        assert_eq!(of(r#"{"a":1,"a":2}"#), of(r#"{"a":1}"#));
    }

    #[test]
    fn an_object_of_too_many_leaves_has_no_fingerprint() {
        let wide = format!("[{}0]", "0,".repeat(MAX_LEAVES));
        assert_eq!(Fingerprint::of(&Json::read(&wide).unwrap()), None);
    }

    /// Persisted bytes rest on these; a change here is a new format.
    #[test]
    fn the_hash_is_frozen() {
        let leaves = of(r#"{"status":"active","n":5,"gone":null,"list":[true],"map":{"f":1.5}}"#);
        let text: Vec<String> = leaves.leaves().iter().map(|l| format!("{:08x}{:08x}", l.path, l.value)).collect();
        assert_eq!(text.join(" "), include_str!("../../fixtures/fingerprint-v1.hex").trim());
    }
}
