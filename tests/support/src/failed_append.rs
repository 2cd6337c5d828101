//! What Kafka says where its disk refuses an append.

use std::fs::File;
use std::io::Write;
use std::path::Path;

/// Adds it to the log of the broker of `data_dir`, whose end then counts as one that may have lost different tails.
///
/// # Panics
/// There is no such broker.
#[track_caller]
pub fn say(data_dir: &Path) {
    let log = data_dir.join("broker/logs/server.log");
    let mut log = File::options().append(true).open(log).expect("the broker has a log");
    let said = b"ERROR Error while appending records to hooklog.raw-0 in dir kafka\n";
    log.write_all(said).expect("it can be written");
}
