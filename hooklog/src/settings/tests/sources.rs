//! Sources and their secrets.

use super::*;

#[test]
fn a_secret_alone_in_the_environment_makes_the_source_stripe() {
    for machine in [
        Machine::new().variable("HOOKLOG_STRIPE_SECRET", CANARY),
        Machine::new().variable("HOOKLOG_STRIPE_SECRET_FILE", "/run/s").file("/run/s", "whsec_canary\n"),
        Machine::new().variable("HOOKLOG_STRIPE_SECRET_FILE", "/run/s").file("/run/s", "whsec_canary\r\nwhsec_old\r\n"),
        Machine::new().variable("HOOKLOG_STRIPE_SECRET", "whsec_canary,whsec_old"),
        Machine::new().toml("[sources.stripe]").variable("HOOKLOG_STRIPE_SECRET", CANARY),
        Machine::new().toml("[sources.stripe]").variable("HOOKLOG_SOURCES_STRIPE_SECRETS", CANARY),
        Machine::new().variable("HOOKLOG_SOURCES_STRIPE_SECRETS", CANARY),
        Machine::new().variable("HOOKLOG_SOURCES_STRIPE_SECRETS_FILE", "/run/s").file("/run/s", "whsec_canary\n"),
    ] {
        let settings = machine.settings();
        assert_eq!(settings.sources.len(), 1);
        assert_eq!((settings.sources[0].name(), settings.sources[0].namespace().as_str()), ("stripe", "stripe"));
        assert!(!format!("{settings:?} {:?}", machine.resolve()).contains("canary"));
    }
}

#[test]
fn sources_of_the_toml_have_names_namespaces_and_several_secrets() {
    let text = "[sources.shop-eu]\nsecrets = [\"whsec_canary\", \"whsec_old\"]\n[sources.b]\nnamespace = \"other\"\nsecret_files = [\"s\"]";
    let machine = Machine::new().toml(text).file("s", "whsec_b\n");
    let sources = machine.settings().sources;
    let named: Vec<_> = sources.iter().map(|source| (source.name(), source.namespace().as_str())).collect();
    assert_eq!(named, [("b", "other"), ("shop-eu", "stripe")]);
    let row = machine.row("sources.shop-eu.secrets");
    assert_eq!((row.value.as_str(), row.from.to_string().as_str()), ("2 (redacted)", "hooklog.toml:2"));
    let renamed = machine.variable("HOOKLOG_SOURCES_SHOP_EU_NAMESPACE", "eu");
    assert_eq!(renamed.settings().sources[1].namespace().as_str(), "eu");
}

#[test]
fn one_secret_given_in_two_ways_is_refused() {
    let variable = Machine::new().variable("HOOKLOG_STRIPE_SECRET", CANARY);
    let toml = "[sources.stripe]\nsecrets = [\"whsec_canary\"]";
    variable.clone().variable("HOOKLOG_STRIPE_SECRET_FILE", "/s").file("/s", CANARY).one_wrong(&[
        "two ways",
        "HOOKLOG_STRIPE_SECRET_FILE",
        "HOOKLOG_STRIPE_SECRET",
    ]);
    variable.clone().toml(toml).one_wrong(&["two ways", "hooklog.toml:2", "HOOKLOG_STRIPE_SECRET"]);
    Machine::new().toml(toml).variable("HOOKLOG_SOURCES_STRIPE_SECRETS", CANARY).one_wrong(&["two ways"]);
    variable.variable("HOOKLOG_SOURCES_STRIPE_SECRETS", CANARY).toml("[sources.stripe]").one_wrong(&["two ways"]);
    let twice = "[sources.stripe]\nsecrets = [\"whsec_canary\"]\nsecret_files = [\"s\"]";
    Machine::new().toml(twice).file("s", "whsec_canary").one_wrong(&["sources.stripe", "twice"]);
    let kafka =
        Machine::new().toml("[kafka]\nsasl.password = \"canary\"").variable("HOOKLOG_KAFKA_SASL_PASSWORD", "canary");
    kafka.one_wrong(&["kafka.sasl.password", "two ways"]);
}

#[test]
fn a_secret_that_is_empty_or_has_white_space_or_cannot_be_read_keeps_it_from_starting() {
    let variable = |text: &str| Machine::new().variable("HOOKLOG_STRIPE_SECRET", text);
    variable("").one_wrong(&["sources.stripe", "empty"]);
    variable("whsec_canary ").one_wrong(&["white space"]);
    variable("whsec_canary,").one_wrong(&["empty"]);
    variable("whsec_canary, whsec_old").one_wrong(&["white space"]);
    let file = Machine::new().variable("HOOKLOG_STRIPE_SECRET_FILE", "/s");
    file.clone().file("/s", "").one_wrong(&["empty"]);
    file.clone().file("/s", "whsec_canary\n\n").one_wrong(&["empty"]);
    file.one_wrong(&["/s", "cannot be read"]);
    Machine::new().toml("[sources.stripe]").one_wrong(&["sources.stripe", "no signing secret"]);
    Machine::new().toml("[sources.stripe]\nsecrets = []").one_wrong(&["no signing secret"]);
    Machine::new().toml("[sources.stripe]\nsecret_files = [\"none\"]").one_wrong(&["none", "cannot be read"]);
}

#[test]
fn a_secret_in_the_place_of_its_files_name_is_not_shown() {
    for (variable, text) in [
        ("HOOKLOG_STRIPE_SECRET_FILE", "whsec_canary"),
        ("HOOKLOG_STRIPE_SECRET_FILE", "canary"),
        ("HOOKLOG_SOURCES_STRIPE_SECRETS_FILE", "canary"),
        ("HOOKLOG_KAFKA_SASL_PASSWORD_FILE", "canary"),
    ] {
        Machine::new().variable(variable, text).one_wrong(&[variable, "name of a file", "secret itself"]);
    }
    let toml = "[sources.stripe]\nsecret_files = [\"whsec_canary\"]";
    Machine::new().toml(toml).one_wrong(&["sources.stripe.secret_files", "name of a file"]);
    let elsewhere = Machine::new().variable("HOOKLOG_CONFIG", "/etc/h.toml").file("/etc/h.toml", toml);
    elsewhere.one_wrong(&["sources.stripe.secret_files", "name of a file"]);
}

#[test]
fn secrets_of_a_source_that_is_not_there_are_not_passed_over() {
    let shop = Machine::new().toml("[sources.shop]\nsecrets = [\"whsec_canary\"]");
    for variable in ["HOOKLOG_SOURCES_SHPO_SECRETS", "HOOKLOG_SOURCES_SHPO_SECRETS_FILE"] {
        let what = [variable, "not configured", "[sources.<name>]"];
        Machine::new().variable(variable, CANARY).one_wrong(&what);
        shop.clone().variable(variable, CANARY).one_wrong(&what);
    }
    shop.variable("HOOKLOG_SOURCES_STRIPE_SECRETS", CANARY).one_wrong(&["HOOKLOG_SOURCES_STRIPE_SECRETS", "unset it"]);
}

#[test]
fn a_secret_is_never_two_in_one_text_nor_led_by_what_nobody_sees() {
    let toml = "[sources.stripe]\nsecrets = \"whsec_canary,whsec_canary2\"";
    Machine::new().toml(toml).one_wrong(&["sources.stripe.secrets", "comma"]);
    let file = Machine::new().variable("HOOKLOG_STRIPE_SECRET_FILE", "/s");
    file.file("/s", "\u{feff}whsec_canary\n").one_wrong(&["invisible", "byte order mark"]);
}

#[test]
fn sources_that_cannot_be_are_refused() {
    let secrets = "secrets = [\"whsec_canary\"]";
    Machine::new().toml(&format!("[sources.\"a/b\"]\n{secrets}")).one_wrong(&["a/b"]);
    Machine::new()
        .toml(&format!("[sources.a]\nnamespace = \"acct_1\"\n{secrets}"))
        .one_wrong(&["sources.a.namespace", "acct_"]);
    Machine::new().toml(&format!("[sources.a-b]\n{secrets}\n[sources.a_b]\n{secrets}")).one_wrong(&["rename one"]);
    let other = Machine::new().toml(&format!("[sources.a]\n{secrets}")).variable("HOOKLOG_STRIPE_SECRET", CANARY);
    other.one_wrong(&["HOOKLOG_STRIPE_SECRET", "[sources.stripe]"]);
}
