//! The query API as others rest on it: its shapes, its refusals, and answers that are right however the events came.

use std::collections::BTreeSet;

use hooklog_oracle::{Of, Oracle, Standing};
use hooklog_test_support::{Broker, Site, Up, narrowed, records::records, wait_until};
use serde_json::{Value, json};

const HOOKLOG: &str = env!("CARGO_BIN_EXE_hooklog");
const SENT: [&str; 7] = ["--events", "1200", "--customers", "60", "--seed", "11", "--same-second"];

/// `up` with views that hold all that was sent, twice and out of order.
struct Installation {
    site: Site,
    up: Up,
    oracle: Oracle,
}

impl Installation {
    fn open() -> Installation {
        let site = Site::on(Broker::shared(HOOKLOG), HOOKLOG);
        let (up, oracle) = site.filled(&[], &SENT, &["--shuffle", "--duplicates", "0.2", "--concurrency", "96"]);
        Installation { site, up, oracle }
    }

    fn answer(&self, path: &str) -> Value {
        let answer = self.up.get(path);
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (200, Some("application/json")),
            "{path} {answer:?}"
        );
        answer.json()
    }

    fn problem(&self, path: &str) -> (u16, String) {
        let answer = self.up.get(path);
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{path} {answer:?}");
        let body = answer.json();
        assert_eq!(body["status"], answer.status, "{path} {answer:?}");
        assert!(body["type"].is_string() && body["title"].is_string(), "{path} {answer:?}");
        (answer.status, body["detail"].as_str().unwrap_or_default().to_owned())
    }

    fn subscription_is_right(&self, of: &Of, standing: &Standing, known: &BTreeSet<String>) {
        let found = self.answer(&format!("/v1/subscriptions/{}?{}", of.id, narrowed(of)));
        let expected = json!({"id": of.id, "customer": standing.customer, "livemode": of.livemode,
            "account": of.account, "status": standing.status, "access": standing.access, "until": null});
        for (field, value) in expected.as_object().unwrap() {
            assert_eq!(&found[field], value, "{field} of {found}");
        }
        assert!(!found["reason"].as_str().unwrap().is_empty(), "{found}");
        let because: Vec<_> = found["because"].as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();
        assert!(!because.is_empty() && because.iter().all(|id| known.contains(*id)), "{found}");
        is_a_position(&found["position"]);
    }

    /// The scope that an answer without a mode and an account is about: ids do not repeat between them.
    fn found_without_its_scope(&self, of: &Of) {
        let found = self.answer(&format!("/v1/customers/{}/access", of.id));
        assert_eq!((&found["livemode"], &found["account"]), (&json!(of.livemode), &json!(of.account)), "{found}");
    }

    fn unknown_in_the_other_mode(&self, of: &Of) {
        let (status, _) = self.problem(&format!("/v1/customers/{}/access?livemode={}", of.id, !of.livemode));
        assert_eq!(status, 404, "{of:?}");
        let (status, _) = self.problem(&format!("/v1/customers/{}/access?account=acct_nobody", of.id));
        assert_eq!(status, 404, "{of:?}");
    }
}

/// `{"events/0": 17}`
fn is_a_position(position: &Value) -> (i32, i64) {
    let position = position.as_object().unwrap_or_else(|| panic!("no position: {position}"));
    assert_eq!(position.len(), 1, "{position:?}");
    let (partition, next) = position.iter().next().unwrap();
    let partition = partition.strip_prefix("events/").and_then(|number| number.parse().ok()).expect(partition);
    assert!((0..4).contains(&partition), "{partition}");
    (partition, next.as_i64().filter(|next| *next > 0).expect("a next offset"))
}

#[test]
fn every_subscription_and_customer_is_as_the_oracle_says_after_a_disordered_send_within_single_seconds() {
    let installation = Installation::open();
    let events = records(installation.up.brokers(), &installation.site.topics().events());
    let known: BTreeSet<String> = events.iter().map(|event| event.header("ce_id").unwrap().to_owned()).collect();
    let subscriptions = installation.oracle.subscriptions(true);
    assert!(subscriptions.len() > 20, "too few to say anything: {}", subscriptions.len());
    for (of, standing) in &subscriptions {
        installation.subscription_is_right(of, standing, &known);
    }
    let customers = installation.oracle.customers(true);
    assert!(customers.values().any(|access| *access) && customers.values().any(|access| !access));
    installation.up.equals(&installation.oracle, true);
    for of in customers.keys().take(20) {
        installation.found_without_its_scope(of);
        installation.unknown_in_the_other_mode(of);
    }
    the_position_is_the_end_of_what_is_known_of_a_customer(&installation, &events);
    shapes_are_those_of_the_contract(&installation);
    status_and_metrics_show_no_lag(&installation);
    refusals_say_what_to_write(&installation);
}

fn the_position_is_the_end_of_what_is_known_of_a_customer(
    installation: &Installation,
    events: &[hooklog_test_support::Record],
) {
    for of in installation.oracle.customers(true).keys().take(20) {
        let found = installation.answer(&format!("/v1/customers/{}/access?{}", of.id, narrowed(of)));
        let (partition, next) = is_a_position(&found["position"]);
        let scope = of.account.clone().unwrap_or_else(|| "stripe".to_owned());
        let key = format!("{scope}/{}/{}", if of.livemode { "live" } else { "test" }, of.id);
        let about: Vec<_> = events.iter().filter(|event| event.key == key).collect();
        assert!(!about.is_empty(), "{key}");
        assert!(about.iter().all(|event| event.partition == partition && event.offset < next), "{key} {found}");
    }
}

fn shapes_are_those_of_the_contract(installation: &Installation) {
    let (of, standing) = installation.oracle.subscriptions(true).into_iter().next().unwrap();
    let access = installation.answer(&format!("/v1/customers/{}/access?{}", standing.customer, narrowed(&of)));
    for field in ["customer", "livemode", "account", "access", "until", "subscriptions", "position"] {
        assert!(access.get(field).is_some(), "no {field}: {access}");
    }
    let page =
        installation.answer(&format!("/v1/customers/{}/subscriptions?{}&limit=1", standing.customer, narrowed(&of)));
    assert_eq!(page["subscriptions"].as_array().map(Vec::len), Some(1), "{page}");
    let listed = |answer: &Value| {
        let ids = answer["subscriptions"].as_array().unwrap().iter();
        ids.map(|subscription| subscription["id"].as_str().unwrap().to_owned()).collect::<BTreeSet<_>>()
    };
    assert!(listed(&access).contains(&of.id) && listed(&page).is_subset(&listed(&access)), "{access} {page}");
    assert_eq!((installation.up.get("/healthz").status, installation.up.get("/readyz").status), (200, 200));
}

/// At rest nothing lags: not by a marker of a transaction either.
fn status_and_metrics_show_no_lag(installation: &Installation) {
    let done = installation.site.run(&["status", "--json"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    let status = done.json();
    for row in status["partitions"].as_array().unwrap() {
        assert_eq!((&row["view_lag"], &row["view"]), (&json!(0), &row["events"]), "{status}");
    }
    let folded = installation.up.get("/readyz").json()["views"]["partitions"][0]["folded"].clone();
    let metrics = wait_until("the metrics tell of all that was folded", || {
        let text = installation.up.get("/metrics").body;
        text.contains(&format!("hooklog_projector_records_total{{partition=\"0\"}} {folded}\n")).then_some(text)
    });
    for line in [
        "# HELP hooklog_projector_lag From that to the end of the log, by partition",
        "hooklog_projector_restoring{partition=\"3\"} 0\n",
        "hooklog_projector_generation 1\n",
        "hooklog_query_answers_total{route=\"/v1/customers/{id}/access\",status=\"200\"}",
        "hooklog_query_seconds_count{route=\"/v1/subscriptions/{id}\"}",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
    wait_until("the lag of every partition is heard of and 0", || {
        let text = installation.up.get("/metrics").body;
        (0..4)
            .all(|partition| text.contains(&format!("hooklog_projector_lag{{partition=\"{partition}\"}} 0\n")))
            .then_some(())
    });
    assert!(!metrics.contains("cus_") && !metrics.contains("sub_"), "an id in {metrics}");
}

fn refusals_say_what_to_write(installation: &Installation) {
    let customer = installation.oracle.customers(true).into_keys().next().unwrap().id;
    for (path, status, says) in [
        ("/v1/customers/cus_nobody/access".to_owned(), 404, "cus_nobody"),
        ("/v1/customers/cus_nobody/subscriptions".to_owned(), 404, "cus_nobody"),
        ("/v1/subscriptions/sub_nobody".to_owned(), 404, "sub_nobody"),
        ("/v1/elsewhere".to_owned(), 404, "/v1/"),
        (format!("/v1/customers/{customer}/access?livemode=yes"), 400, "true or false"),
        (format!("/v1/customers/{customer}/access?livemod=true"), 400, "livemod"),
        (format!("/v1/customers/{customer}/access?account="), 400, "account"),
        (format!("/v1/customers/{customer}/subscriptions?limit=0"), 400, "limit"),
    ] {
        let (found, detail) = installation.problem(&path);
        assert_eq!(found, status, "{path} {detail}");
        assert!(detail.contains(says), "{path}: {detail}");
    }
}
