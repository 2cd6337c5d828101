//! Partition counts, pinned in `control`: a key's partition must not move when somebody adds partitions.

use std::collections::BTreeMap;

use crate::connection::Connection;
use crate::control;
use crate::error::Error;
use crate::topics::Topics;

/// The pinned count of every topic of `counted` (its name and the partitions that it has). What is not pinned yet is
/// pinned now; where two instances do so at once, the first record counts for both.
pub(super) async fn agree(
    connection: &Connection,
    topics: &Topics,
    counted: &BTreeMap<String, u32>,
) -> Result<BTreeMap<String, u32>, Error> {
    let pinned = read(connection, topics)?;
    let missing = counted.iter().filter(|(name, _)| !pinned.contains_key(*name));
    let missing: Vec<_> = missing.map(|(name, count)| (key(topics, name), count.to_string())).collect();
    if missing.is_empty() {
        return Ok(pinned);
    }
    control::append(connection, topics, &missing).await?;
    read(connection, topics)
}

fn key(topics: &Topics, name: &str) -> String {
    format!("pinned/{}", name.strip_prefix(topics.prefix()).unwrap_or(name))
}

fn read(connection: &Connection, topics: &Topics) -> Result<BTreeMap<String, u32>, Error> {
    let mut pinned = BTreeMap::new();
    for (key, value) in control::records(connection, topics)? {
        if let (Some(name), Ok(count)) = (key.strip_prefix("pinned/"), value.parse()) {
            pinned.entry(format!("{}{name}", topics.prefix())).or_insert(count);
        }
    }
    Ok(pinned)
}
