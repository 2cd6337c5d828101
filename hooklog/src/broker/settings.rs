//! The texts of the broker's settings: pure. Everything that matters is written down, nothing left to a default that
//! another version may change.

/// What differs from one start to the next.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ports {
    pub(super) kafka: u16,
    pub(super) controller: u16,
}

/// The one node's id.
pub(super) const NODE: i32 = 1;

/// How long a broker may be silent before its own controller takes it for dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Session {
    /// The dead broker of before is fenced, or there was none. A living one that was stopped and continued, or is only short
    /// of time, must never be fenced: with nobody to take over, that only takes the leaders away for a moment, in which a
    /// transaction coordinator skips end markers (KAFKA-20734).
    Long,
    /// Kafka's own, for a start whose predecessor could not be fenced: it is let in when that one's session is over.
    Default,
}

impl Session {
    fn millis(self) -> u32 {
        match self {
            Session::Long => 3_600_000,
            Session::Default => 9000,
        }
    }
}

/// For a controller that waits for the end of the session of a broker that is known to be dead.
const SHORT_SESSION_MS: u32 = 1000;

/// `server.properties` of one KRaft node on the loopback, its data in `log_dirs` (relative to its working directory).
pub(super) fn server_properties(ports: Ports, session: Session, log_dirs: &str) -> String {
    let Ports { kafka, controller } = ports;
    format!(
        "# Written by hooklog at every start: changes are lost.\n\
         process.roles=broker,controller\n\
         node.id={NODE}\n\
         controller.quorum.voters={NODE}@127.0.0.1:{controller}\n\
         listeners=KAFKA://127.0.0.1:{kafka},CONTROLLER://127.0.0.1:{controller}\n\
         advertised.listeners=KAFKA://127.0.0.1:{kafka}\n\
         listener.security.protocol.map=KAFKA:PLAINTEXT,CONTROLLER:PLAINTEXT\n\
         inter.broker.listener.name=KAFKA\n\
         controller.listener.names=CONTROLLER\n\
         log.dirs={log_dirs}\n{ONE_NODE}{FOR_EVER}{}",
        quick_and_small(session.millis())
    )
}

/// `controller.properties`: the same node as a controller alone, which fences a broker that is dead.
pub(super) fn controller_properties(controller: u16, log_dirs: &str) -> String {
    format!(
        "# Written by hooklog before a start that follows a kill: changes are lost.\n\
         process.roles=controller\n\
         node.id={NODE}\n\
         controller.quorum.voters={NODE}@127.0.0.1:{controller}\n\
         listeners=CONTROLLER://127.0.0.1:{controller}\n\
         listener.security.protocol.map=CONTROLLER:PLAINTEXT\n\
         controller.listener.names=CONTROLLER\n\
         log.dirs={log_dirs}\n{ONE_NODE}{FOR_EVER}{}",
        quick_and_small(SHORT_SESSION_MS)
    )
}

const ONE_NODE: &str = "\
# One node holds everything.
default.replication.factor=1
min.insync.replicas=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=8
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=16
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
# After a kill the newest segment of each partition is read again before the broker answers: small ones are read quickly.
log.segment.bytes=67108864
";

const FOR_EVER: &str = "\
# Nothing goes away by itself, and nothing comes by itself.
offsets.retention.minutes=2147483647
log.retention.ms=-1
log.retention.bytes=-1
auto.create.topics.enable=false
unclean.leader.election.enable=false
";

fn quick_and_small(session_ms: u32) -> String {
    format!(
        "\
# Nobody waits for peers that do not exist, nor long for a transaction whose owner is dead.
# A broker that was killed is fenced by a controller alone before the next one starts (ADR 20), so nobody waits for the end of
# its session. A living one that was silent must not be fenced: that can take acknowledged commits back (KAFKA-20734).
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
group.initial.rebalance.delay.ms=300
broker.session.timeout.ms={session_ms}
broker.heartbeat.interval.ms=500
# The cleaner would take 128 MB of a small heap for the keys of topics that have few.
log.cleaner.dedupe.buffer.size=16777216
"
    )
}

/// `log4j2.properties`: a bounded log in `logs/`.
pub(super) const LOG4J: &str = "\
# Written by hooklog at every start: changes are lost.
status=error
appender.file.type=RollingFile
appender.file.name=file
appender.file.fileName=logs/server.log
appender.file.filePattern=logs/server.log.%i
appender.file.layout.type=PatternLayout
appender.file.layout.pattern=%d{ISO8601} %p %m (%c)%n
appender.file.policies.type=Policies
appender.file.policies.size.type=SizeBasedTriggeringPolicy
appender.file.policies.size.size=10MB
appender.file.strategy.type=DefaultRolloverStrategy
appender.file.strategy.max=3
rootLogger.level=info
rootLogger.appenderRef.file.ref=file
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_are_these_and_no_others() {
        let text = server_properties(Ports { kafka: 9092, controller: 21093 }, Session::Long, "kafka");
        assert_eq!(text, include_str!("golden/server.properties"));
    }

    #[test]
    fn a_controller_alone_is_the_same_node_with_a_short_session() {
        assert_eq!(controller_properties(21093, "kafka"), include_str!("golden/controller.properties"));
    }

    #[test]
    fn every_setting_is_named_once() {
        named_once(&server_properties(Ports { kafka: 1, controller: 2 }, Session::Default, "kafka"));
        named_once(&controller_properties(2, "kafka"));
    }

    fn named_once(text: &str) {
        let mut names: Vec<_> = text.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
