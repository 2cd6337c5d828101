mod sources;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use super::common::Flags;
use super::layers::Origin;
use super::resolve::{Resolved, Row, resolve};
use super::{Settings, check};

const CANARY: &str = "whsec_canary";

/// A made-up machine: what is in its environment, its files and on the command line.
#[derive(Clone, Default)]
struct Machine {
    environment: BTreeMap<String, String>,
    files: BTreeMap<String, String>,
    flags: Flags,
}

impl Machine {
    fn new() -> Machine {
        Machine::default().variable("HOME", "/home/me")
    }

    fn variable(mut self, name: &str, value: &str) -> Machine {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    fn file(mut self, path: &str, text: &str) -> Machine {
        self.files.insert(path.to_owned(), text.to_owned());
        self
    }

    fn toml(self, text: &str) -> Machine {
        self.file("hooklog.toml", text)
    }

    fn flag(mut self, key: &'static str, value: &str) -> Machine {
        self.flags = self.flags.with(key, Some(value));
        self
    }

    fn resolve(&self) -> Resolved {
        let read = |path: &Path| {
            let text = path.to_str().and_then(|path| self.files.get(path)).cloned();
            text.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
        };
        resolve(&self.flags, &self.environment, &read)
    }

    #[track_caller]
    fn settings(&self) -> Settings {
        self.resolve().settings.unwrap_or_else(|invalid| panic!("{invalid}"))
    }

    fn row(&self, key: &str) -> Row {
        self.resolve().rows.into_iter().find(|row| row.key == key).unwrap()
    }

    /// Everything that is wrong; nothing that is shown may hold a secret.
    #[track_caller]
    fn wrong(&self) -> Vec<String> {
        let resolved = self.resolve();
        let shown = format!("{resolved:?}");
        assert!(!shown.contains("canary"), "{shown}");
        let invalid = resolved.settings.expect_err("something is wrong");
        invalid.0.iter().map(|problem| problem.to_string()).collect()
    }

    /// The one thing that is wrong has all of `parts` in its text.
    #[track_caller]
    fn one_wrong(&self, parts: &[&str]) {
        let wrong = self.wrong();
        assert!(wrong.len() == 1 && parts.iter().all(|part| wrong[0].contains(part)), "{wrong:#?}");
    }
}

#[test]
fn without_anything_said_the_defaults_hold() {
    let settings = Machine::new().settings();
    assert_eq!(settings.brokers, None);
    assert_eq!(settings.prefix, "hooklog.");
    assert_eq!(settings.ingest_addr.to_string(), "127.0.0.1:8080");
    assert_eq!(settings.query_addr.to_string(), "127.0.0.1:8081");
    assert_eq!((settings.kafka_port, settings.partitions, settings.rules), (9092, None, None));
    assert_eq!(settings.replication, None);
    assert_eq!((settings.dedup_window_days, settings.signature_tolerance), (35, 300));
    assert_eq!(settings.data_dir, Path::new("/home/me/.local/share/hooklog"));
    assert!(settings.sources.is_empty());
    let xdg = Machine::new().variable("XDG_DATA_HOME", "/data").settings();
    assert_eq!(xdg.data_dir, Path::new("/data/hooklog"));
}

#[test]
fn a_flag_beats_a_file_variable_beats_a_variable_beats_the_toml_beats_the_default() {
    let machine = Machine::new();
    let prefix = |machine: &Machine| (machine.settings().prefix, machine.row("prefix").from);
    assert_eq!(prefix(&machine), ("hooklog.".to_owned(), Origin::Default));
    let machine = machine.toml("# one\nprefix = \"toml.\"\n");
    assert_eq!(prefix(&machine), ("toml.".to_owned(), Origin::Toml { path: "hooklog.toml".into(), line: 2 }));
    let machine = machine.variable("HOOKLOG_PREFIX", "variable.");
    assert_eq!(prefix(&machine), ("variable.".to_owned(), Origin::Variable("HOOKLOG_PREFIX".to_owned())));
    let machine = machine.variable("HOOKLOG_PREFIX_FILE", "/run/prefix").file("/run/prefix", "file.\n");
    let from = Origin::FileOf { variable: "HOOKLOG_PREFIX_FILE".to_owned(), path: "/run/prefix".into() };
    assert_eq!(prefix(&machine), ("file.".to_owned(), from));
    let machine = machine.flag("prefix", "flag.");
    assert_eq!(prefix(&machine), ("flag.".to_owned(), Origin::Flag("--prefix".to_owned())));
}

#[test]
fn its_own_broker_has_a_port_of_its_own() {
    for (key, address) in
        [("ingest_addr", "127.0.0.1:9092"), ("ingest_addr", "0.0.0.0:9092"), ("query_addr", "127.0.0.1:9092")]
    {
        Machine::new().flag(key, address).one_wrong(&["kafka_port", key]);
        Machine::new().flag(key, address).flag("brokers", "a:1").settings();
    }
    Machine::new().flag("ingest_addr", "127.0.0.1:0").flag("kafka_port", "0").settings();
}

#[test]
fn every_single_setting_can_come_from_each_layer() {
    for (key, text) in [
        ("brokers", "a:1,b:2"),
        ("prefix", "x."),
        ("data_dir", "/d"),
        ("ingest_addr", "0.0.0.0:1"),
        ("query_addr", "[::1]:2"),
        ("kafka_port", "3"),
        ("partitions", "4"),
        ("replication", "3"),
        ("rules", "/r"),
        ("dedup_window_days", "40"),
        ("signature_tolerance", "300"),
    ] {
        let variable = format!("HOOKLOG_{}", key.to_uppercase());
        let machine = Machine::new().file("/r", "");
        for said in [
            machine.clone().toml(&format!("{key} = \"{text}\"")),
            machine.clone().variable(&variable, text),
            machine.clone().flag(key, text),
        ] {
            said.settings();
            let row = said.row(key);
            assert!(row.value == text && row.from != Origin::Default, "{row:?}");
        }
    }
}

#[test]
fn numbers_and_lists_of_the_toml_are_taken_as_they_are_meant() {
    let settings =
        Machine::new().toml("partitions = 8\nbrokers = [\"a:1\", \"b:2\"]\ndedup_window_days = 31").settings();
    assert_eq!(
        (settings.partitions, settings.brokers.as_deref(), settings.dedup_window_days),
        (Some(8), Some("a:1,b:2"), 31)
    );
}

#[test]
fn a_named_configuration_file_must_be_there_and_the_default_one_may_be_absent() {
    Machine::new().settings();
    Machine::new().variable("HOOKLOG_CONFIG", "/etc/h.toml").one_wrong(&["/etc/h.toml", "cannot be read"]);
    let mut machine = Machine::new().variable("HOOKLOG_CONFIG", "/none").file("/etc/h.toml", "prefix = \"h.\"");
    machine.flags.config = Some("/etc/h.toml".into());
    assert_eq!(machine.settings().prefix, "h.");
}

#[test]
fn paths_in_the_toml_start_from_its_folder() {
    let machine = Machine::new().variable("HOOKLOG_CONFIG", "/etc/h/h.toml").file("/etc/h/my.toml", "");
    let machine = machine.file("/etc/h/h.toml", "rules = \"my.toml\"\ndata_dir = \"d\"");
    let settings = machine.settings();
    assert_eq!(settings.rules.as_deref(), Some(Path::new("/etc/h/my.toml")));
    assert_eq!(settings.data_dir, Path::new("/etc/h/d"));
}

#[test]
fn an_unknown_key_is_refused_with_its_line_and_the_nearest_known_one() {
    for (text, line, hint) in [
        ("brokrs = \"a:1\"", ":1", "did you mean brokers?"),
        ("\n\nquery-addr = \"x\"", ":3", "did you mean query_addr?"),
        ("[source.stripe]\nsecrets = []", ":1", "did you mean sources?"),
        ("zzzzzz = 1", ":1", "known are brokers"),
    ] {
        Machine::new().toml(text).one_wrong(&["there is no setting", line, hint]);
    }
    let wrong = Machine::new().toml("[sources.stripe]\nsecret = \"whsec_canary\"").wrong();
    assert!(wrong[0].contains("hooklog.toml:2") && wrong[0].contains("did you mean secrets?"), "{wrong:?}");
}

#[test]
fn a_toml_that_cannot_be_read_is_told_by_line_and_never_quoted() {
    Machine::new().toml("prefix = \"a\"\n[sources.stripe]\nsecrets = [\"whsec_canary\n").one_wrong(&["hooklog.toml:3"]);
    Machine::new().toml("prefix = [[1]]").one_wrong(&["prefix must be a text"]);
    Machine::new().toml("kafka = 1").one_wrong(&["kafka is a table"]);
    Machine::new().toml("sources.stripe = 1").one_wrong(&["[sources.stripe]"]);
}

#[test]
fn values_that_cannot_be_are_refused_each_with_what_to_do() {
    for (key, text, hint) in [
        ("brokers", "localhost", "host:port"),
        ("brokers", "a:1,,b:2", "host:port"),
        ("brokers", "http://a:1", "host:port"),
        ("brokers", "a:0", "host:port"),
        ("prefix", "a b", "topic"),
        ("ingest_addr", "8080", "with a port"),
        ("ingest_addr", "localhost:8080", "with a port"),
        ("query_addr", "0.0.0.0:8081", "until there are tokens"),
        ("query_addr", "192.168.0.1:8081", "127.0.0.1"),
        ("query_addr", "[::]:8081", "127.0.0.1"),
        ("kafka_port", "65536", "port"),
        ("partitions", "0", "1 to 1000"),
        ("partitions", "-1", "1 to 1000"),
        ("replication", "0", "1 to 9"),
        ("replication", "three", "1 to 9"),
        ("dedup_window_days", "30", "too short"),
        ("dedup_window_days", "0", "too short"),
        ("dedup_window_days", "367", "31 to 366"),
        ("dedup_window_days", "a month", "31 to 366"),
        ("signature_tolerance", "0", "fixed at 300"),
        ("signature_tolerance", "600", "fixed at 300"),
        ("rules", "/none", "cannot be read"),
    ] {
        Machine::new().flag(key, text).one_wrong(&[key, hint]);
    }
    Machine::new().flag("dedup_window_days", "31").settings();
    Machine::new().flag("query_addr", "127.9.9.9:0").settings();
}

#[test]
fn an_empty_value_is_not_taken_for_the_default() {
    Machine::new().variable("HOOKLOG_PREFIX", "").one_wrong(&["prefix", "HOOKLOG_PREFIX", "empty"]);
    Machine::new().flag("brokers", " ").one_wrong(&["brokers", "--brokers"]);
}

#[test]
fn two_services_cannot_share_an_address_unless_the_system_chooses() {
    let both = |port: &str| Machine::new().flag("ingest_addr", port).flag("query_addr", port);
    both("127.0.0.1:7000").one_wrong(&["query_addr", "own port"]);
    both("127.0.0.1:0").settings();
}

#[test]
fn a_path_has_no_file_variable_and_without_a_home_the_data_need_a_place() {
    Machine::new().variable("HOOKLOG_RULES_FILE", "/r").one_wrong(&["HOOKLOG_RULES_FILE", "HOOKLOG_RULES"]);
    Machine::default().one_wrong(&["data_dir", "--data-dir"]);
    Machine::default().flag("data_dir", "/d").settings();
    Machine::new().variable("HOOKLOG_PREFIX_FILE", "/none").one_wrong(&[
        "HOOKLOG_PREFIX_FILE",
        "/none",
        "cannot be read",
    ]);
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let machine =
        Machine::new().toml("brokrs = 1\npartitions = 0\n[sources.\"Bad Name\"]\nsecrets = [\"whsec_canary\"]");
    let machine = machine.flag("query_addr", "0.0.0.0:1").variable("HOOKLOG_KAFKA_ACKS", "0");
    assert_eq!(machine.wrong().len(), 5, "{:#?}", machine.wrong());
}

#[test]
fn properties_for_kafka_come_from_the_toml_dotted_or_quoted_and_from_the_environment() {
    let text = "[kafka]\nsecurity.protocol = \"SASL_SSL\"\n\"sasl.mechanism\" = \"SCRAM-SHA-512\"\nsocket.keepalive.enable = true";
    let machine = Machine::new().toml(text).variable("HOOKLOG_KAFKA_SASL_USERNAME", "me");
    let machine = machine.variable("HOOKLOG_KAFKA_SASL_PASSWORD_FILE", "/p").file("/p", "canary\n");
    let machine = machine.variable("HOOKLOG_KAFKA_PORT", "9999");
    let settings = machine.settings();
    let all: Vec<_> = settings.kafka.all().iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(
        all,
        [
            "sasl.mechanism=SCRAM-SHA-512",
            "sasl.password=canary",
            "sasl.username=me",
            "security.protocol=SASL_SSL",
            "socket.keepalive.enable=true"
        ]
    );
    assert_eq!(settings.kafka_port, 9999);
    assert_eq!(settings.connection_to("a:1").properties.len(), 5);
    assert!(!format!("{:?}", machine.resolve()).contains("canary"));
}

#[test]
fn properties_that_hooklog_decides_or_librdkafka_refuses_are_refused() {
    for (line, part) in [
        ("acks = 1", "Hooklog decides"),
        ("isolation.level = \"read_uncommitted\"", "Hooklog decides"),
        ("bootstrap.servers = \"a:1\"", "use brokers"),
        ("delivery.report.only.error = true", "every success"),
        ("security.protokol = \"SSL\"", "No such configuration property"),
        ("security.protocol = \"TLS\"", "kafka.security.protocol"),
        ("ssl.key.passwort = \"canary\"", "No such configuration property"),
    ] {
        Machine::new().toml(&format!("[kafka]\n{line}")).one_wrong(&["hooklog.toml:2", part]);
    }
}

#[test]
fn a_variable_that_nobody_reads_is_a_warning() {
    let resolved =
        Machine::new().variable("HOOKLOG_BROKER", "a:1").variable("HOOKLOG_SERVICE_HOST", "10.0.0.1").resolve();
    assert!(resolved.settings.is_ok());
    assert_eq!(resolved.warnings.len(), 2, "{:?}", resolved.warnings);
    assert!(resolved.warnings[0].contains("HOOKLOG_BROKERS?"), "{:?}", resolved.warnings);
    assert!(Machine::new().variable("HOOKLOG_LOG", "debug").resolve().warnings.is_empty());
}

#[test]
fn the_check_shows_every_setting_and_every_problem_and_no_secret() {
    let machine =
        Machine::new().variable("HOOKLOG_STRIPE_SECRET", CANARY).variable("HOOKLOG_KAFKA_SASL_PASSWORD", "canary");
    for (machine, ok) in [(machine.clone(), true), (machine.flag("partitions", "0").flag("kafka_port", "x"), false)] {
        let resolved = machine.resolve();
        let (mut table, mut json) = (Vec::new(), Vec::new());
        let codes =
            [check::run(&resolved, false, &mut table).unwrap(), check::run(&resolved, true, &mut json).unwrap()];
        let code = if ok { "ExitCode(unix_exit_status(0))" } else { "ExitCode(unix_exit_status(2))" };
        assert_eq!(codes.map(|code| format!("{code:?}")), [code, code]);
        let (table, json) = (String::from_utf8(table).unwrap(), String::from_utf8(json).unwrap());
        assert!(!table.contains("canary") && !json.contains("canary"), "{table}\n{json}");
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!((json["ok"] == ok, json["problems"].as_array().unwrap().len()), (true, if ok { 0 } else { 2 }));
        assert_eq!(json["settings"].as_array().unwrap().len(), 14);
        for row in &resolved.rows {
            assert!(table.contains(&row.key), "{} in {table}", row.key);
        }
        assert_eq!(table.contains("2 wrong:"), !ok, "{table}");
    }
}
