//! A broker that lets nobody do anything without a right: Kafka's own authorizer, users with passwords, no super user but one.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use hooklog_log::Connection;
use tempfile::TempDir;

use crate::port::Port;
use crate::wait::{wait_until, wait_until_within};

/// The only super user.
pub const ADMIN: &str = "admin";

/// What a right is about. The numbers are the protocol's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Resource {
    /// A topic.
    Topic = 2,
    /// A consumer group.
    Group = 3,
    /// A transactional id.
    Id = 5,
}

/// What a right allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Operation {
    /// Implies [`Operation::Describe`].
    Read = 3,
    /// Implies [`Operation::Describe`].
    Write = 4,
    /// To make a topic.
    Create = 5,
    /// To see that it is there.
    Describe = 8,
    /// To see its settings.
    DescribeConfigs = 10,
}

/// One right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Right {
    /// What it is about.
    pub resource: Resource,
    /// Its name, or how names begin.
    pub name: String,
    /// Whether all are meant whose names begin so.
    pub is_prefix: bool,
    /// What it allows.
    pub operation: Operation,
}

/// One broker with the users `u0`, `u1` ..., whose passwords are their names.
#[derive(Debug)]
pub struct Guarded {
    directory: TempDir,
    shell: Child,
    port: Port,
    _controller: Port,
}

impl Guarded {
    /// Starts it. It ends when this value is dropped or this process is gone: a shell waits for the end of a pipe.
    ///
    /// # Panics
    /// It does not start.
    pub fn start(binary: &str, users: usize) -> Self {
        let jars = Command::new(binary).args(["broker", "fetch"]).output().expect("the binary is there").stdout;
        let jars = format!("{}/*", String::from_utf8(jars).expect("a path").trim());
        let directory = tempfile::tempdir().expect("a temporary directory");
        let (port, controller) = (Port::reserve(), Port::reserve());
        let settings = settings(port.number(), controller.number(), users);
        fs::write(directory.path().join("server.properties"), settings).expect("the settings are written");
        let format = ["kafka.tools.StorageTool", "format", "--cluster-id", "R3VhcmRlZEJyb2tlcjAwMA", "--config"];
        let mut tool = java(&jars, directory.path(), "format.log");
        let formatted = tool.args(format).arg("server.properties").status().expect("Java is there");
        assert!(formatted.success(), "see {}", directory.path().display());
        let broker = r#"java -cp "$0" -Xmx512m kafka.Kafka server.properties </dev/null & cat >/dev/null; kill -9 $!"#;
        let mut shell = Command::new("sh");
        logged(shell.args(["-c", broker, &jars]).stdin(Stdio::piped()), directory.path(), "server.log");
        let shell = shell.spawn().expect("a shell");
        let guarded = Self { directory, shell, port, _controller: controller };
        wait_until("the guarded broker answers", || {
            let admin = guarded.connection(ADMIN).admin().expect("an admin client");
            let metadata = admin.inner().fetch_metadata(None, Duration::from_secs(2)).ok()?;
            (!metadata.brokers().is_empty()).then_some(())
        });
        guarded
    }

    /// `host:port`.
    pub fn address(&self) -> String {
        self.port.address()
    }

    /// How `user` reaches it.
    pub fn connection(&self, user: &str) -> Connection {
        let mut connection = Connection::to(self.address());
        let properties = properties(user).map(|(name, value)| (name.to_owned(), value));
        connection.properties.extend(properties);
        connection
    }

    /// The same, for a `hooklog` of its own.
    pub fn variables(&self, user: &str) -> Vec<(String, String)> {
        let variable = |name: &str| format!("HOOKLOG_KAFKA_{}", name.to_uppercase().replace('.', "_"));
        let properties = properties(user).map(|(name, value)| (variable(name), value));
        properties.into_iter().chain([("HOOKLOG_BROKERS".to_owned(), self.address())]).collect()
    }

    /// Gives `user` just these rights.
    ///
    /// # Panics
    /// The broker refuses, or does not know of them in time.
    #[track_caller]
    pub fn allow(&self, user: &str, rights: &[Right]) {
        let mut wire = Wire::open(self.port.number()).expect("the admin is let in");
        let mut body = Bytes::default();
        body.count(rights.len());
        for right in rights {
            body.pattern(right).text(&format!("User:{user}")).text("*").byte(right.operation as u8).byte(ALLOW);
        }
        let answer = wire.ask(CREATE_ACLS, 1, &body).expect("an answer");
        // Behind throttle and count: for each the code 0 and an empty message.
        assert_eq!(answer[8..], vec![0; 4 * rights.len()], "{rights:?}");
        wait_until("the broker knows the rights", || (wire.known(user).ok()? == rights.len()).then_some(()));
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let ended = wait_until_within(Duration::from_secs(10), || self.shell.try_wait().ok().flatten());
        if ended.is_none() {
            let _ = self.shell.kill();
            let _ = self.shell.wait();
        }
        let _ = &self.directory;
    }
}

fn properties(user: &str) -> [(&'static str, String); 4] {
    [
        ("security.protocol", "SASL_PLAINTEXT".to_owned()),
        ("sasl.mechanisms", "PLAIN".to_owned()),
        ("sasl.username", user.to_owned()),
        ("sasl.password", user.to_owned()),
    ]
}

fn settings(port: u16, controller: u16, users: usize) -> String {
    let users: String = (0..users).map(|n| format!(" user_u{n}=\"u{n}\"")).collect();
    let plain =
        "org.apache.kafka.common.security.plain.PlainLoginModule required username=\"admin\" password=\"admin\"";
    format!(
        "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@127.0.0.1:{controller}\n\
         listeners=KAFKA://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
         listener.security.protocol.map=KAFKA:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT\n\
         inter.broker.listener.name=KAFKA\ncontroller.listener.names=CONTROLLER\n\
         sasl.enabled.mechanisms=PLAIN\nsasl.mechanism.inter.broker.protocol=PLAIN\n\
         listener.name.kafka.plain.sasl.jaas.config={plain} user_admin=\"admin\"{users};\n\
         authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n\
         allow.everyone.if.no.acl.found=false\nsuper.users=User:{ADMIN};User:ANONYMOUS\n\
         log.dirs=kafka\nauto.create.topics.enable=false\nnum.partitions=1\n\
         default.replication.factor=1\noffsets.topic.replication.factor=1\noffsets.topic.num.partitions=4\n\
         transaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\n\
         transaction.state.log.num.partitions=4\nshare.coordinator.state.topic.replication.factor=1\n\
         share.coordinator.state.topic.min.isr=1\ngroup.initial.rebalance.delay.ms=0\n\
         log.cleaner.dedupe.buffer.size=16777216\n"
    )
}

fn java(jars: &str, directory: &Path, log: &str) -> Command {
    let mut command = Command::new("java");
    logged(command.args(["-cp", jars, "-Xmx128m"]).stdin(Stdio::null()), directory, log);
    command
}

fn logged<'c>(command: &'c mut Command, directory: &Path, log: &str) -> &'c mut Command {
    let file = File::create(directory.join(log)).expect("a log");
    let errors = file.try_clone().expect("a second handle");
    command.current_dir(directory).stdout(file).stderr(errors)
}

const SASL_HANDSHAKE: i16 = 17;
const DESCRIBE_ACLS: i16 = 29;
const CREATE_ACLS: i16 = 30;
const SASL_AUTHENTICATE: i16 = 36;
const LITERAL: u8 = 3;
const PREFIXED: u8 = 4;
const ANY: u8 = 1;
const ALLOW: u8 = 3;

/// The few requests that no client library here has.
struct Wire(TcpStream);

impl Wire {
    /// Logged in as the super user.
    fn open(port: u16) -> io::Result<Wire> {
        let mut wire = Wire(TcpStream::connect(("127.0.0.1", port))?);
        wire.ask(SASL_HANDSHAKE, 1, Bytes::default().text("PLAIN"))?;
        let secret = format!("\0{ADMIN}\0{ADMIN}");
        let mut body = Bytes::default();
        body.count(secret.len()).0.extend(secret.as_bytes());
        wire.ask(SASL_AUTHENTICATE, 0, &body)?;
        Ok(wire)
    }

    /// How many rights the broker knows of `user`.
    fn known(&mut self, user: &str) -> io::Result<usize> {
        let mut body = Bytes::default();
        // Any resource of any name and pattern, any host, operation and permission.
        body.byte(ANY).nothing().byte(ANY).text(&format!("User:{user}")).nothing().byte(ANY).byte(ANY);
        let answer = self.ask(DESCRIBE_ACLS, 1, &body)?;
        let needle = format!("User:{user}");
        Ok(answer.windows(needle.len()).filter(|window| *window == needle.as_bytes()).count())
    }

    /// The answer's body.
    fn ask(&mut self, api: i16, version: i16, body: &Bytes) -> io::Result<Vec<u8>> {
        let mut request = Bytes::default();
        request.0.extend(api.to_be_bytes());
        request.0.extend(version.to_be_bytes());
        request.0.extend(7_i32.to_be_bytes());
        request.text("test");
        let mut framed = Bytes::default();
        framed.count(request.0.len() + body.0.len());
        self.0.write_all(&[framed.0, request.0, body.0.clone()].concat())?;
        let mut length = [0; 4];
        self.0.read_exact(&mut length)?;
        let mut answer = vec![0; u32::from_be_bytes(length) as usize];
        self.0.read_exact(&mut answer)?;
        Ok(answer.split_off(4))
    }
}

/// A request's body in Kafka's older encoding.
#[derive(Default)]
struct Bytes(Vec<u8>);

impl Bytes {
    fn byte(&mut self, byte: u8) -> &mut Self {
        self.0.push(byte);
        self
    }

    fn count(&mut self, count: usize) -> &mut Self {
        self.0.extend(u32::try_from(count).expect("few").to_be_bytes());
        self
    }

    fn text(&mut self, text: &str) -> &mut Self {
        self.0.extend(u16::try_from(text.len()).expect("short").to_be_bytes());
        self.0.extend(text.as_bytes());
        self
    }

    /// A text that is absent.
    fn nothing(&mut self) -> &mut Self {
        self.0.extend([0xff, 0xff]);
        self
    }

    fn pattern(&mut self, right: &Right) -> &mut Self {
        let pattern = if right.is_prefix { PREFIXED } else { LITERAL };
        self.byte(right.resource as u8).text(&right.name).byte(pattern)
    }
}
