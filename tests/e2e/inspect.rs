//! Commands that look, against the real broker; and what they say where there is nothing to look at.

use std::path::PathBuf;
use std::process::Command;

use crate::by_hand::{HOOKLOG, T, World};
use tempfile::TempDir;

#[test]
fn a_topic_is_shown_from_where_one_asks_and_no_further_than_it_goes() {
    let (world, places) = World::whole();
    let tail = |arguments: &[&str]| {
        let output = world.run(&[&["tail"], arguments, &["--no-follow"]].concat());
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(tail(&["raw", "--from", "beginning"]).lines().count(), 3);
    assert_eq!(tail(&["events", "--from", "beginning"]).lines().count(), 3);
    assert_eq!(tail(&["events", "--from", "end"]).lines().count(), 0);
    assert_eq!(tail(&["control", "--from", "beginning"]).lines().count(), 2);
    assert_eq!(tail(&["raw", "--from", "beginning", "--limit", "2"]).lines().count(), 2);
    assert_eq!(tail(&["raw", "--from", "2026-01-02T00:00:00Z"]).lines().count(), 0);
    assert_eq!(tail(&["raw", "--from", "2025-12-31T00:00:00Z"]).lines().count(), 3);
    let one = tail(&["events", "--from", "beginning", "--key", "stripe/live/cus_evt_2"]);
    let shown = one.contains("evt_2") && one.contains(&format!("raw/{}/{}", places[1].0, places[1].1));
    assert!(one.lines().count() == 1 && shown && !one.contains('\x1b'), "{one}");
}

#[test]
fn positions_and_lag_are_shown_by_partition() {
    let (world, _) = World::whole();
    world.webhook("evt_4", T);
    let (code, status) = world.json(&["status", "--over", "0.1"]);
    let partitions = status["partitions"].as_array().unwrap();
    let sum = |name: &str| partitions.iter().map(|line| line[name].as_i64().unwrap()).sum::<i64>();
    assert_eq!((code, sum("raw"), sum("processor"), sum("processor_lag")), (Some(0), 4, 3, 1), "{status}");
    assert!(partitions.iter().all(|line| line["stamped"] == true && line["view"].is_null()), "{status}");
}

#[test]
fn where_nothing_runs_every_tool_says_what_to_do() {
    let data_dir: PathBuf = TempDir::new().unwrap().path().join("nothing");
    let commands: [&[&str]; 7] = [
        &["audit"],
        &["tail", "raw"],
        &["status"],
        &["repair"],
        &["offsets", "repair"],
        &["access", "cus_1"],
        &["subscription", "sub_1"],
    ];
    for command in commands {
        let output = Command::new(HOOKLOG).args(command).arg("--data-dir").arg(&data_dir).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{command:?}: {told}");
        assert!(told.contains("hooklog up") && told.contains("--data-dir"), "{command:?}: {told}");
    }
}
