//! Which process is ours, and what it means to find one.

use super::Error;
use super::layout::Layout;
use crate::datadir::write_atomically;
use crate::process::Identity;
use serde::{Deserialize, Serialize};
use std::{fs, io};

/// The broker that runs, or ran, on this data directory. It goes when the broker has ended orderly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    #[serde(flatten)]
    pub(super) process: Identity,
    pub(super) port: u16,
    pub(super) cluster_id: String,
    /// Where its own part of the server's log begins.
    #[serde(default)]
    pub(super) log_from: u64,
}

impl Record {
    /// A record that cannot be read is none: who runs is found by its command line as well.
    pub(super) fn read(layout: &Layout) -> Result<Option<Self>, Error> {
        let path = layout.record();
        match fs::read(&path) {
            Ok(text) => Ok(serde_json::from_slice(&text).ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("read", &path)(error)),
        }
    }

    pub(super) fn write(&self, layout: &Layout) -> Result<(), Error> {
        let text = serde_json::to_vec(self).expect("a struct of strings and numbers has a JSON form");
        Ok(write_atomically(&layout.record(), &text, 0o600)?)
    }

    pub(super) fn remove(layout: &Layout) -> Result<(), Error> {
        let path = layout.record();
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", &path)(error)),
            _ => Ok(()),
        }
    }
}

/// What to do with the processes of this data directory that are still there.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// Ask it; where it does not answer, end it too.
    pub(super) adopt: Option<Record>,
    pub(super) end: Vec<Identity>,
}

/// Only one that is on record can be adopted, since its port must be known, and only at the port that is wanted (0 is any).
pub(super) fn plan(record: Option<Record>, running: Vec<Identity>, wanted_port: u16) -> Plan {
    let fits = |record: &Record| running.contains(&record.process) && [0, record.port].contains(&wanted_port);
    let adopt = record.filter(fits);
    let adopted = adopt.as_ref().map(|record| &record.process);
    let end = running.iter().filter(|process| Some(*process) != adopted).cloned().collect();
    Plan { adopt, end }
}

/// Whether the machine has gone down under a broker that had not ended orderly.
pub(super) fn lost_power(record: Option<&Record>, boot_id: &str) -> bool {
    record.is_some_and(|record| record.process.boot_id != boot_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: i32) -> Identity {
        Identity { pid, start_time: 7, boot_id: "boot".into() }
    }

    fn record(pid: i32) -> Record {
        Record { process: process(pid), port: 9092, cluster_id: "id".into(), log_from: 5 }
    }

    #[test]
    fn the_broker_on_record_is_adopted_at_its_own_port_or_at_any() {
        for wanted in [0, 9092] {
            let plan = plan(Some(record(1)), vec![process(1)], wanted);
            assert_eq!(plan, Plan { adopt: Some(record(1)), end: vec![] });
        }
    }

    #[test]
    fn a_broker_at_another_port_than_the_wanted_one_is_ended() {
        assert_eq!(plan(Some(record(1)), vec![process(1)], 9093), Plan { adopt: None, end: vec![process(1)] });
    }

    #[test]
    fn strays_without_a_record_are_ended() {
        let running = || vec![process(1), process(2)];
        assert_eq!(plan(None, running(), 0), Plan { adopt: None, end: running() });
        assert_eq!(plan(Some(record(2)), running(), 0), Plan { adopt: Some(record(2)), end: vec![process(1)] });
    }

    #[test]
    fn a_record_whose_process_is_gone_or_another_one_now_is_not_adopted() {
        let later = Identity { start_time: 8, ..process(1) };
        assert_eq!(plan(Some(record(1)), vec![], 0), Plan { adopt: None, end: vec![] });
        assert_eq!(plan(Some(record(1)), vec![later.clone()], 0), Plan { adopt: None, end: vec![later] });
    }

    #[test]
    fn power_was_lost_when_the_record_is_of_another_boot() {
        assert!(lost_power(Some(&record(1)), "later"));
        assert!(!lost_power(Some(&record(1)), "boot"));
        assert!(!lost_power(None, "later"), "without a record it had ended orderly");
    }

    #[test]
    fn a_record_is_read_as_it_was_written_and_a_torn_one_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        layout.create().unwrap();
        assert_eq!(Record::read(&layout).unwrap(), None);
        record(3).write(&layout).unwrap();
        assert_eq!(Record::read(&layout).unwrap(), Some(record(3)));
        let of_before = r#"{"pid":3,"start_time":7,"boot_id":"boot","port":9092,"cluster_id":"id"}"#;
        fs::write(layout.record(), of_before).unwrap();
        assert_eq!(Record::read(&layout).unwrap(), Some(Record { log_from: 0, ..record(3) }));
        fs::write(layout.record(), "{").unwrap();
        assert_eq!(Record::read(&layout).unwrap(), None);
        Record::remove(&layout).unwrap();
        Record::remove(&layout).unwrap();
    }
}
