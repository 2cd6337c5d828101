use std::collections::BTreeMap;

use clap::Parser as _;
use hooklog_ingest::signature::{sign, verify};

use super::*;
use crate::datadir::DataDir;
use crate::process::Identity;
use crate::send::tests::Command;
use crate::settings::{self, Flags};

/// A machine with a home of its own.
struct Machine(tempfile::TempDir);

impl Machine {
    fn new() -> Machine {
        Machine(tempfile::tempdir().expect("a temporary directory"))
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().expect("it has one")).expect("it is ours");
        fs::write(&path, text).expect("it is ours");
        path.to_str().expect("UTF-8").to_owned()
    }

    /// As the secret that `up` keeps.
    fn keep(&self, text: &str) {
        self.write(".local/share/hooklog/secrets/stripe", text);
    }

    fn resolved(&self, flags: &[&str], variables: &[(&str, &str)]) -> Result<Target, String> {
        let Command { common, args } = Command::parse_from([&["send"], flags].concat());
        let mut environment = BTreeMap::from([("HOME".to_owned(), self.0.path().to_str().expect("UTF-8").to_owned())]);
        environment.extend(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let resolved = settings::resolve(&Flags::of(&common), &environment, &|path| fs::read_to_string(path));
        resolve(&args, &resolved.settings.map_err(|invalid| invalid.to_string())?)
    }

    /// The URL and the secret.
    #[track_caller]
    fn check(&self, flags: &[&str], variables: &[(&str, &str)], url: &str, secret: &str) {
        let target = self.resolved(flags, variables).unwrap_or_else(|complaint| panic!("{complaint}"));
        assert_eq!(target.uri.to_string(), url);
        assert!(signs_with(&target, secret), "{target:?} has another secret than {secret}");
    }

    /// What is wrong; never the secret.
    #[track_caller]
    fn complaint(&self, flags: &[&str], variables: &[(&str, &str)]) -> String {
        let complaint = self.resolved(flags, variables).expect_err("it cannot work");
        assert!(!complaint.contains("canary"), "{complaint}");
        complaint
    }
}

fn signs_with(target: &Target, secret: &str) -> bool {
    let header = sign(&target.secret, 7, b"{}");
    verify(header.as_bytes(), b"{}", &[Secret::new(secret.to_owned()).expect("a secret")], 7).is_ok()
}

const SECRET: &str = "HOOKLOG_STRIPE_SECRET";

#[test]
fn a_running_up_is_found_through_its_data_directory() {
    let machine = Machine::new();
    let place = machine.0.path().join("d");
    let flag = place.to_str().expect("UTF-8");
    let data = DataDir::open(&place).expect("it is free");
    data.keep_secret("stripe", SecretString::from("whsec_made")).expect("it is ours");
    let run = RunFile::of(Identity::own().expect("a process"));
    data.publish(&RunFile { ingest: Some("http://127.0.0.1:4711".to_owned()), ..run }).expect("it is ours");
    let url = "http://127.0.0.1:4711/webhooks/stripe";
    machine.check(&["--data-dir", flag], &[], url, "whsec_made");
    machine.check(&[], &[("HOOKLOG_DATA_DIR", flag)], url, "whsec_made");
    machine.check(&["--data-dir", flag], &[("HOOKLOG_INGEST_ADDR", "127.0.0.1:1")], url, "whsec_made");
    let toml = machine.write("h.toml", "data_dir = \"d\"\n[sources.shop]\nsecrets = [\"whsec_shop\"]");
    machine.check(&["--config", &toml], &[], "http://127.0.0.1:4711/webhooks/shop", "whsec_shop");
    data.unpublish().expect("it is ours");
    machine.check(&["--data-dir", flag], &[], "http://127.0.0.1:8080/webhooks/stripe", "whsec_made");
}

#[test]
fn a_run_file_that_a_crash_left_points_nowhere() {
    let machine = Machine::new();
    machine.keep("whsec_made\n");
    machine.write(
        ".local/share/hooklog/run.json",
        r#"{"pid":1,"start_time":0,"boot_id":"none","ingest":"http://127.0.0.1:4711"}"#,
    );
    machine.check(&[], &[], "http://127.0.0.1:8080/webhooks/stripe", "whsec_made");
}

#[test]
fn sources_secrets_and_the_address_come_from_the_configuration() {
    let machine = Machine::new();
    machine.write("secret", "whsec_file\r\n");
    let one =
        machine.write("one.toml", "ingest_addr = \"127.0.0.1:7001\"\n[sources.shop]\nsecret_files = [\"secret\"]");
    let shop = "http://127.0.0.1:7001/webhooks/shop";
    machine.check(&["--config", &one], &[], shop, "whsec_file");
    machine.check(&[], &[("HOOKLOG_CONFIG", &one)], shop, "whsec_file");
    machine.check(
        &["--config", &one],
        &[("HOOKLOG_INGEST_ADDR", "0.0.0.0:7002")],
        "http://127.0.0.1:7002/webhooks/shop",
        "whsec_file",
    );
    let anywhere = [("HOOKLOG_INGEST_ADDR", "[::]:7003"), (SECRET, "whsec_new,whsec_old")];
    machine.check(&[], &anywhere, "http://[::1]:7003/webhooks/stripe", "whsec_new");
    let lines = machine.write("lines", "whsec_new\nwhsec_old\n");
    machine.check(&[], &[("HOOKLOG_STRIPE_SECRET_FILE", &lines)], "http://127.0.0.1:8080/webhooks/stripe", "whsec_new");
    let two = machine.write("two.toml", "[sources.a]\nsecrets = [\"whsec_a\"]\n[sources.b]\nsecrets = [\"whsec_b\"]");
    assert!(machine.complaint(&["--config", &two], &[]).contains("a, b"));
    let url = "http://h:1/webhooks/b";
    machine.check(&["--config", &two, "--url", url], &[], url, "whsec_b");
    let with_stripe =
        machine.write("three.toml", "[sources.a]\nsecrets = [\"whsec_a\"]\n[sources.stripe]\nsecrets = [\"whsec_b\"]");
    machine.check(&["--config", &with_stripe, "--url", "http://h:1"], &[], "http://h:1/webhooks/stripe", "whsec_b");
}

#[test]
fn flags_win_over_what_is_configured_elsewhere() {
    let machine = Machine::new();
    machine.keep("whsec_made");
    let toml =
        machine.write("h.toml", "ingest_addr = \"127.0.0.1:7001\"\n[sources.stripe]\nsecrets = [\"whsec_toml\"]");
    let url = "http://h:1/webhooks/other";
    machine.check(&["--config", &toml, "--url", url, "--secret", "whsec_flag"], &[], url, "whsec_flag");
    machine.check(&["--secret", "whsec_flag"], &[], "http://127.0.0.1:8080/webhooks/stripe", "whsec_flag");
}

#[test]
fn a_secret_given_twice_is_refused() {
    let machine = Machine::new();
    let toml = machine.write("h.toml", "[sources.stripe]\nsecrets = [\"whsec_canary\"]");
    let file = machine.write("s", "whsec_canary");
    for (flags, variables) in [
        (&["--secret", "whsec_canary"][..], &[(SECRET, "whsec_canary2")][..]),
        (&["--secret", "whsec_canary", "--secret-file", file.as_str()][..], &[][..]),
        (&["--secret-file", file.as_str(), "--config", toml.as_str()][..], &[][..]),
        (&["--config", toml.as_str()][..], &[(SECRET, "whsec_canary2")][..]),
    ] {
        let complaint = machine.complaint(flags, variables);
        assert!(complaint.contains("twice") || complaint.contains("two ways"), "{complaint}");
    }
}

#[test]
fn what_cannot_work_is_said_before_anything_is_sent() {
    let machine = Machine::new();
    assert!(machine.complaint(&["--url", "https://x/", "--secret", "s"], &[]).contains("plain http"));
    assert!(machine.complaint(&["--url", "x", "--secret", "s"], &[]).contains("whole URL"));
    assert!(machine.complaint(&[], &[]).contains("--secret-file"));
    assert!(machine.complaint(&["--secret", "two canaries"], &[]).contains("white space"));
    assert!(machine.complaint(&["--secret-file", "whsec_canary"], &[]).contains("file"));
    assert!(machine.complaint(&["--secret-file", "/none"], &[]).contains("/none"));
    assert!(machine.complaint(&[], &[(SECRET, "")]).contains("empty"));
    assert!(machine.complaint(&["--secret", "s"], &[("HOOKLOG_INGEST_ADDR", "127.0.0.1:0")]).contains("--url"));
    assert!(machine.complaint(&["--config", "/none.toml"], &[]).contains("/none.toml"));
    let broken = machine.write("broken.toml", "ingest_adr = \"127.0.0.1:1\"");
    assert!(machine.complaint(&["--config", &broken, "--secret", "s"], &[]).contains("ingest_addr"));
    machine.keep("");
    assert!(machine.complaint(&[], &[]).contains("empty"));
}
