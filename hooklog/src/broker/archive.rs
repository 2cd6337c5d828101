//! The archive of the broker's parsed classes: made once for each Java, by a broker that starts and stops beside ours.
//!
//! Only speed depends on it. Where it cannot be made, an empty file says so, and the broker runs without.

use super::jars::wait_for_turn;
use super::java::{Archive, Java};
use super::launch::launch;
use super::layout::Layout;
use super::{Error, VERSION, child, format, orphan};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// To end, and to write the archive.
const MAY_TAKE: Duration = Duration::from_secs(120);

pub(super) fn with_archive(java: Java, cache: &Path, cancel: &CancellationToken) -> Result<Java, Error> {
    let archive = cache.join(format!("kafka-{VERSION}.java-{}.jsa", file_name_part(java.version())));
    if !archive.exists() {
        let _turn = wait_for_turn(cache, cancel)?;
        if !archive.exists() {
            make_or_do_without(&java, cache, &archive, cancel)?;
        }
    }
    let is_good = fs::metadata(&archive).is_ok_and(|metadata| metadata.len() > 0);
    Ok(java.with_archive(if is_good { Archive::Use(archive) } else { Archive::Unused }))
}

fn make_or_do_without(java: &Java, cache: &Path, archive: &Path, cancel: &CancellationToken) -> Result<(), Error> {
    tracing::info!("preparing faster starts of Apache Kafka, once for this Java");
    let scratch = cache.join(format!("kafka-{VERSION}.archive-unfinished"));
    let made = clear(&scratch).and_then(|()| make(java, &scratch, cancel));
    let placed = match made {
        Ok(made) => fs::rename(made, archive),
        Err(Error::Cancelled) => return Err(Error::Cancelled),
        Err(error) => {
            tracing::warn!(%error, "Apache Kafka will start more slowly: its classes could not be prepared");
            File::create(archive).map(drop)
        }
    };
    // What cannot be removed now is removed by the next one.
    let _ = clear(&scratch);
    placed.map_err(Error::io("write", archive))
}

fn make(java: &Java, scratch: &Path, cancel: &CancellationToken) -> Result<PathBuf, Error> {
    let layout = Layout::new(scratch);
    layout.create()?;
    let archive = scratch.join("classes.jsa");
    let java = java.clone().with_archive(Archive::Make(archive.clone()));
    let cluster_id = format::id_text(rand::random());
    format::format(&java, &layout, &cluster_id, cancel)?;
    let mut launched = launch(&java, &layout, 0, &cluster_id, cancel)?;
    // It writes the archive before it ends, which takes its time; whoever stops does not wait for that.
    launched.record.process.ask_to_end().map_err(Error::io("end the broker of", scratch))?;
    child::outcome(&mut launched.child, MAY_TAKE, cancel)?;
    fs::metadata(&archive).map_err(Error::io("find", &archive))?;
    Ok(archive)
}

/// We hold the cache's lock, so whoever still runs there was left by a crash.
fn clear(scratch: &Path) -> Result<(), Error> {
    orphan::end_any(&Layout::new(scratch))?;
    match fs::remove_dir_all(scratch) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", scratch)(error)),
        _ => Ok(()),
    }
}

fn file_name_part(version: &str) -> String {
    version.chars().map(|character| if character.is_ascii_alphanumeric() { character } else { '.' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_cannot_lead_out_of_the_directory() {
        assert_eq!(file_name_part("17.0.21.1"), "17.0.21.1");
        assert_eq!(file_name_part("26-ea/../x"), "26.ea....x");
    }
}
