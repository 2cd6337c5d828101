//! What each topic is to be like.

use super::{Needs, Replication};

/// A setting of a topic and the value that we give it.
pub(super) type Setting = (&'static str, String);

/// A topic as we would make it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TopicSpec {
    pub(super) name: String,
    pub(super) role: Role,
    pub(super) partitions: u32,
    pub(super) replication: u32,
    pub(super) settings: Vec<Setting>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Raw,
    Events,
    Control,
}

/// A body of 1 MiB, its headers and its key, with room to spare.
const MESSAGE_MAX: &str = "2097152";
const FOR_EVER: &str = "-1";
/// As large as a segment's index can address: fewer files on a log that is kept for ever.
const SEGMENT: &str = "1073741824";

/// All topics for a cluster that shows so many `brokers`. Three replicas are wanted where it can have them: an existing topic
/// of a cluster of one broker keeps its one.
pub(super) fn topics(needs: &Needs, brokers: usize) -> Vec<TopicSpec> {
    let replication = match needs.replication {
        Replication::Of(replication) => replication,
        Replication::Three => u32::try_from(brokers).unwrap_or(3).clamp(1, 3),
    };
    let topic = |name: String, role, partitions| TopicSpec {
        settings: settings(role, replication),
        name,
        role,
        partitions,
        replication,
    };
    vec![
        topic(needs.topics.raw(), Role::Raw, needs.partitions),
        topic(needs.topics.events(), Role::Events, needs.partitions),
        topic(needs.topics.control(), Role::Control, 1),
    ]
}

/// What a topic of so many replicas is set to.
pub(super) fn settings(role: Role, replication: u32) -> Vec<Setting> {
    let mut settings = vec![
        ("max.message.bytes", MESSAGE_MAX.to_owned()),
        ("unclean.leader.election.enable", "false".to_owned()),
        ("min.insync.replicas", in_sync(replication).to_string()),
        ("compression.type", "producer".to_owned()),
        ("segment.bytes", SEGMENT.to_owned()),
    ];
    match role {
        Role::Raw => {
            settings.extend(history("LogAppendTime"));
            settings.extend(flushed(replication));
        }
        Role::Events => {
            settings.extend(history("CreateTime"));
            // The time is raw's: a broker whose clock was set back must not refuse it.
            settings.push(("message.timestamp.after.max.ms", i64::MAX.to_string()));
        }
        Role::Control => {
            settings.push(("cleanup.policy", "compact".to_owned()));
            // Windows and logs of before stand nowhere else. It has few records.
            settings.extend(flushed(replication));
        }
    }
    settings
}

/// Where nobody else has a copy, what is acknowledged must survive the machine's power.
fn flushed(replication: u32) -> Option<Setting> {
    (replication == 1).then(|| ("flush.messages", "1".to_owned()))
}

/// How many replicas must have an acknowledged record: more than half, where one broker can then be away.
fn in_sync(replication: u32) -> u32 {
    if replication >= 3 { replication / 2 + 1 } else { 1 }
}

/// Kept for ever, never compacted: a log of facts.
fn history(timestamps: &str) -> [Setting; 4] {
    [
        ("cleanup.policy", "delete".to_owned()),
        ("retention.ms", FOR_EVER.to_owned()),
        ("retention.bytes", FOR_EVER.to_owned()),
        ("message.timestamp.type", timestamps.to_owned()),
    ]
}
