//! The cluster id and the first format of Kafka's log directory.

use super::java::{Java, log_to};
use super::layout::Layout;
use super::settings::{Ports, Session, server_properties};
use super::{Error, child};
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const MAY_TAKE: Duration = Duration::from_secs(60);
const META: &str = "meta.properties";

/// The cluster id of what is there already.
pub(super) fn cluster_id(layout: &Layout) -> Option<String> {
    let meta = fs::read_to_string(layout.kafka().join(META)).ok()?;
    meta.lines().find_map(|line| Some(line.strip_prefix("cluster.id=")?.trim().to_owned()))
}

/// Formats beside the final place and renames, so that a crash in between leaves no half-formatted directory.
pub(super) fn format(java: &Java, layout: &Layout, cluster_id: &str, cancel: &CancellationToken) -> Result<(), Error> {
    let unfinished = layout.unfinished_kafka();
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished).map_err(Error::io("remove", &unfinished))?;
    }
    run(java, layout, cluster_id, cancel)?;
    fs::rename(&unfinished, layout.kafka()).map_err(Error::io("rename", &unfinished))
}

fn run(java: &Java, layout: &Layout, cluster_id: &str, cancel: &CancellationToken) -> Result<(), Error> {
    let settings = layout.unfinished_properties();
    // The ports are not kept: each start writes its own.
    let text =
        server_properties(Ports { kafka: 1, controller: 2 }, Session::Long, &file_name(&layout.unfinished_kafka()));
    fs::write(&settings, text).map_err(Error::io("write", &settings))?;
    let mut tool = java.storage_tool(layout);
    tool.args(["format", "--cluster-id", cluster_id, "--config", &file_name(&settings)]);
    let log = layout.console_log();
    log_to(&mut tool, &log)?;
    // Ctrl-C at our terminal is ours to heed: it would look like a failure of the tool's.
    let mut child = tool.process_group(0).spawn().map_err(|error| Error::NoJava(error.to_string()))?;
    match child::outcome(&mut child, MAY_TAKE, cancel)? {
        Some(status) if status.success() => fs::remove_file(&settings).map_err(Error::io("remove", &settings)),
        Some(status) => Err(Error::Format { reason: status.to_string(), log }),
        None => Err(Error::Format { reason: format!("it did not end within {} s", MAY_TAKE.as_secs()), log }),
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Kafka's own form of an id: 16 bytes in URL-safe Base64 without padding. One that begins with `-` would be taken for an
/// option, so the first bit is cleared, which keeps the first letter in A-Z and a-f.
pub(super) fn id_text(mut random: [u8; 16]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    random[0] &= 0x7f;
    let number = u128::from_be_bytes(random);
    // 128 bits are 21 letters of six bits and one of two, which is filled up with zeros.
    let letter = |index: u32| match index {
        21 => LETTERS[((number & 0b11) << 4) as usize],
        _ => LETTERS[(number >> (122 - 6 * index) & 0b11_1111) as usize],
    };
    (0..22).map(|index| char::from(letter(index))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_kafkas_form() {
        assert_eq!(id_text([0; 16]), "AAAAAAAAAAAAAAAAAAAAAA");
        assert_eq!(id_text(*b"0123456789abcdef"), "MDEyMzQ1Njc4OWFiY2RlZg");
        assert_eq!(id_text([0xff; 16]), format!("f{}w", "_".repeat(20)));
    }

    #[test]
    fn the_cluster_id_is_read_from_what_the_storage_tool_wrote() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        assert_eq!(cluster_id(&layout), None);
        fs::create_dir_all(layout.kafka()).unwrap();
        fs::write(layout.kafka().join(META), "#\nnode.id=1\nversion=1\ncluster.id=RMdhhaXVQBqTRPMPFSdqDg\n").unwrap();
        assert_eq!(cluster_id(&layout).as_deref(), Some("RMdhhaXVQBqTRPMPFSdqDg"));
    }
}
