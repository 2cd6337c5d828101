//! `hooklog send` as a process: what stops it, what it says, and what it never says. No broker is needed.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use hooklog_test_support::{DEADLINE, Process, wait_until};
use rustix::process::Signal;
use serde_json::Value;

const HOOKLOG: &str = env!("CARGO_BIN_EXE_hooklog");
const PATIENCE: Duration = Duration::from_secs(30);

/// Takes every post, one a connection, and tells of it.
struct Server {
    address: SocketAddr,
    posts: mpsc::Receiver<String>,
}

impl Server {
    fn start(status: &'static str) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (taken, posts) = mpsc::channel();
        thread::spawn(move || {
            for stream in listener.incoming() {
                if taken.send(take(stream.unwrap(), status)).is_err() {
                    return;
                }
            }
        });
        Server { address, posts }
    }

    fn url(&self) -> String {
        format!("http://{}/webhooks/stripe", self.address)
    }

    fn next(&self) -> String {
        self.posts.recv_timeout(PATIENCE).expect("a post comes")
    }
}

fn take(mut stream: TcpStream, status: &str) -> String {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut length = 0;
    for line in reader.by_ref().lines().map(Result::unwrap).take_while(|line| !line.is_empty()) {
        if let Some(value) = line.to_lowercase().strip_prefix("content-length: ") {
            length = value.parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    write!(stream, "HTTP/1.1 {status}\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{{}}").unwrap();
    String::from_utf8(body).unwrap()
}

fn send(flags: &[&str]) -> Command {
    let mut command = Command::new(HOOKLOG);
    command.arg("send").args(flags).args(["--data-dir", "/nonexistent/hooklog"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// What a process said, once it has ended.
struct Ended {
    code: Option<i32>,
    out: String,
    errors: String,
}

fn interrupt(child: &Child) {
    Process::of(i32::try_from(child.id()).unwrap()).expect("it runs").signal(Signal::INT);
}

/// Ends the test instead of waiting for ever for a process that does not hear.
fn end_in_time(child: Child) -> Ended {
    let process = Process::of(i32::try_from(child.id()).unwrap());
    let (ended, end) = mpsc::channel();
    thread::spawn(move || ended.send(child.wait_with_output()));
    let output = end.recv_timeout(DEADLINE).unwrap_or_else(|_| {
        process.inspect(Process::kill);
        panic!("it does not end")
    });
    let (output, text) = (output.unwrap(), |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned());
    Ended { code: output.status.code(), out: text(&output.stdout), errors: text(&output.stderr) }
}

#[test]
fn ctrl_c_is_heard_while_standard_input_keeps_it_waiting() {
    let server = Server::start("200 OK");
    let mut child = send(&["--file", "-", "--json", "--url", &server.url(), "--secret", "whsec_x"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    // As many as are read at once.
    let bodies: BTreeSet<String> = (0..64).map(|n| format!(r#"{{"id":"evt_{n}"}}"#)).collect();
    bodies.iter().for_each(|body| writeln!(input, "{body}").unwrap());
    assert_eq!((0..64).map(|_| server.next()).collect::<BTreeSet<_>>(), bodies);
    interrupt(&child);
    let ended = end_in_time(child);
    assert_eq!(ended.code, Some(1), "{}", ended.errors);
    assert!(ended.errors.contains("stopped before the end"), "{}", ended.errors);
    let report: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!((&report["posts"], &report["acked"]), (&64.into(), &64.into()));
    drop(input);
}

#[test]
fn ctrl_c_ends_a_retry_and_what_is_not_acknowledged_is_counted() {
    let server = Server::start("503 Service Unavailable");
    let flags = ["--events", "3", "--retry", "--concurrency", "1", "--json", "--secret", "whsec_x", "--url"];
    let url = server.url();
    let child = send(&[&flags[..], &[url.as_str()]].concat()).spawn().unwrap();
    let first = server.next();
    assert_eq!(server.next(), first, "the first one is tried again");
    interrupt(&child);
    let ended = end_in_time(child);
    assert_eq!(ended.code, Some(1), "{}", ended.errors);
    let report: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!((&report["posts"], &report["acked"], &report["not_acked"]), (&1.into(), &0.into(), &1.into()));
}

#[test]
fn where_standard_error_is_no_terminal_there_is_no_bar_and_the_report_is_one_object() {
    let server = Server::start("200 OK");
    let acks = tempfile::NamedTempFile::new().unwrap();
    let path = acks.path().to_str().unwrap();
    let flags = ["--events", "30", "--json", "--acks", path, "--secret", "whsec_x", "--url"];
    let url = server.url();
    let ended = end_in_time(send(&[&flags[..], &[url.as_str()]].concat()).spawn().unwrap());
    assert_eq!((ended.code, ended.errors.as_str()), (Some(0), ""));
    assert_eq!(ended.out.lines().count(), 1);
    let report: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!((&report["acked"], &report["not_acked"]), (&30.into(), &0.into()));
    assert_eq!(std::fs::read_to_string(path).unwrap().lines().count(), 30);
}

#[test]
fn at_trace_no_secret_shows_wherever_it_comes_from() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("secret");
    std::fs::write(&file, "whsec_canary\n").unwrap();
    let config = place.path().join("h.toml");
    std::fs::write(&config, "[sources.stripe]\nsecrets = [\"whsec_canary\"]\n").unwrap();
    let (file, config) = (file.to_str().unwrap(), config.to_str().unwrap());
    for (status, flags, variable) in [
        ("200 OK", &["--secret", "whsec_canary"][..], None),
        ("503 Service Unavailable", &["--secret-file", file], None),
        ("400 Bad Request", &["--config", config], None),
        ("200 OK", &[], Some(("HOOKLOG_STRIPE_SECRET", "whsec_canary"))),
        ("200 OK", &["--secret", "whsec_canary"], Some(("HOOKLOG_STRIPE_SECRET", "whsec_canary2"))),
        ("200 OK", &[], Some(("HOOKLOG_STRIPE_SECRET_FILE", "whsec_canary"))),
        ("200 OK", &["--secret", "whsec_canary with blanks"], None),
    ] {
        let server = Server::start(status);
        let url = server.url();
        let mut command = send(&[&["--events", "2", "--url", url.as_str()][..], flags].concat());
        let ended = end_in_time(command.env("HOOKLOG_LOG", "trace").envs(variable).spawn().unwrap());
        let said = ended.out + &ended.errors;
        assert!(!said.contains("canary"), "{flags:?} {variable:?}: {said}");
        assert!(ended.code == Some(2) || said.contains("TRACE"), "the net is out: {said}");
    }
}

/// A cluster that is not there: everything is set up, tried and told, again and again until Ctrl-C.
#[test]
fn at_trace_no_property_of_kafkas_that_is_secret_shows() {
    let place = tempfile::tempdir().unwrap();
    let config = place.path().join("h.toml");
    let text = "brokers = \"127.0.0.1:1\"\n[kafka]\ndebug = \"all\"\nsecurity.protocol = \"SASL_PLAINTEXT\"\n\
        sasl.mechanism = \"SCRAM-SHA-512\"\nsasl.username = \"me\"\nsasl.password = \"canary1\"\nssl.key.password = \"canary2\"\n\
        ssl.keystore.password = \"canary4\"\n\
        [sources.stripe]\nsecrets = [\"whsec_canary5\"]\n";
    std::fs::write(&config, text).unwrap();
    for (arguments, net) in [
        (&["ingest", "--ingest-addr", "127.0.0.1:0"][..], "TRACE rdkafka"),
        (&["config", "check", "--json"], "sasl.password"),
    ] {
        let (mut command, log) = (Command::new(HOOKLOG), place.path().join("log"));
        command.args(arguments).arg("--config").arg(&config).arg("--data-dir").arg(place.path().join("data"));
        command.env("HOOKLOG_LOG", "trace").stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.stderr(std::fs::File::create(&log).unwrap()).spawn().unwrap();
        let logged = || String::from_utf8_lossy(&std::fs::read(&log).unwrap()).into_owned();
        wait_until("it waits for Kafka, or has ended", || {
            (logged().contains(net) || child.try_wait().unwrap().is_some()).then_some(())
        });
        if child.try_wait().unwrap().is_none() {
            interrupt(&child);
        }
        let ended = end_in_time(child);
        let said = ended.out + &logged();
        assert!(said.contains(net) && ended.code == Some(0), "the net is out: {:?} {said}", ended.code);
        let shown: Vec<_> = said.lines().filter(|line| line.contains("canary")).collect();
        assert!(shown.is_empty(), "{arguments:?}: {shown:#?}");
    }
}
