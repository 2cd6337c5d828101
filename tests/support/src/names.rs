//! Names that nobody else uses.

use std::sync::atomic::{AtomicU32, Ordering};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A prefix for the topics and groups of one test, such as `t4711-3.`: tests of one broker do not see each other's.
pub fn unique_prefix() -> String {
    format!("t{}-{}.", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_prefix_comes_twice_nor_begins_another_one() {
        let prefixes: Vec<_> = (0..20).map(|_| unique_prefix()).collect();
        for (index, prefix) in prefixes.iter().enumerate() {
            assert!(prefixes[index + 1..].iter().all(|other| !other.starts_with(prefix) && !prefix.starts_with(other)));
        }
    }
}
