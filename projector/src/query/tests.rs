use axum::body::{Body as HttpBody, to_bytes};
use axum::http::Request;
use hooklog_log::provision::Pinned;
use hooklog_log::{Connection, TopicId, partition_for};
use hooklog_schemas::{Millis, Offset, Partition};
use hooklog_store::{Applied, Registry};
use hooklog_task::Input;
use serde_json::Value;
use tower::ServiceExt;

use super::*;
use crate::fold::bodies::Body;
use crate::generations::Generation;
use crate::projector::{Config, Projector};
use crate::rules::DEFAULT;

/// Views that are fed by hand.
struct Fed {
    projector: Projector,
    parts: Arc<Parts>,
    offsets: std::cell::Cell<i64>,
    _dir: tempfile::TempDir,
}

impl Fed {
    fn new(rules: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("rules.toml");
        std::fs::write(&file, rules).unwrap();
        let events = Pinned { name: "hooklog.events".into(), partitions: 4, id: TopicId("topicid".into()) };
        let registry = Registry::with_memory(32 << 20);
        let connection = Connection::to("127.0.0.1:1");
        let config = Config { connection, events, dir: dir.path().join("views"), registry, rules: Some(file) };
        let projector = Projector::open(config).unwrap();
        let parts = projector.parts();
        Self { projector, parts, offsets: std::cell::Cell::new(0), _dir: dir }
    }

    fn restored(rules: &str) -> Self {
        let fed = Self::new(rules);
        (0..4).for_each(|partition| fed.parts.generations.live().note_restored(Partition(partition)));
        fed
    }

    fn feed(&self, scope: &str, subject: &str, body: &Body) {
        let offset = self.offsets.get();
        take_at(&self.parts.generations.live(), &format!("{scope}/{subject}"), body, offset);
        self.offsets.set(offset + 1);
    }

    fn live(&self, body: &Body) {
        self.feed("stripe/live", "cus_1", body);
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        let request = Request::get(path).body(HttpBody::empty()).unwrap();
        let response = self.projector.router().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let kind = response.headers()["content-type"].to_str().unwrap().to_owned();
        let bytes = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        assert_eq!(kind.contains("problem"), status >= 400 && path != "/readyz", "{path} {status} {kind}");
        (status, serde_json::from_slice(&bytes).unwrap())
    }
}

/// The record at `offset` of the partition of `key`.
fn take_at(live: &Generation, key: &str, body: &Body, offset: i64) {
    let (value, offset, time) = (body.0.to_string(), Offset(offset), Millis(0));
    let (key, partition) = (Some(key.as_bytes()), partition_for(key.as_bytes(), 4));
    let input = Input { partition, offset, time, key, value: value.as_bytes(), headers: Vec::new() };
    crate::advance::take(live, &input, Applied { next: offset.next(), stream_time: time, last: None }).unwrap();
}

fn sub(id: &str, second: i64, status: &str) -> Body {
    Body::subscription(id, "updated", second, status)
}

fn place(subject: &str) -> String {
    format!("events/{}", partition_for(format!("stripe/live/{subject}").as_bytes(), 4))
}

#[tokio::test]
async fn a_subscription_is_answered_with_reason_events_and_position() {
    let fed = Fed::restored(DEFAULT);
    fed.live(&Body::subscription("evt_0", "created", 5, "incomplete"));
    fed.live(&sub("evt_1", 5, "active").before(json!({"status": "incomplete"})).with("trial_end", json!(86_400)));
    let (status, body) = fed.get("/v1/subscriptions/sub_1").await;
    let expected = json!({"id": "sub_1", "customer": "cus_1", "livemode": true, "account": null, "status": "active",
        "access": true, "reason": "active", "until": null, "because": ["evt_0", "evt_1"], "current_period_start": null,
        "current_period_end": null, "trial_end": "1970-01-02T00:00:00Z", "cancel_at": null, "cancel_at_period_end": false,
        "ended_at": null, "pause_collection": false, "position": {place("cus_1"): 2}});
    assert_eq!((status, body), (200, expected));
}

#[tokio::test]
async fn a_customers_access_is_answered_with_its_subscriptions() {
    let fed = Fed::restored(&DEFAULT.replace("# grace_days", "grace_days"));
    fed.live(&sub("evt_1", 0, "past_due").before(json!({"status": "active"})));
    fed.live(&sub("evt_2", 5, "canceled").with("id", json!("sub_2")));
    let (status, body) = fed.get("/v1/customers/cus_1/access?at=1970-01-07T23:59:59Z").await;
    assert_eq!(
        (status, &body["customer"], &body["access"], &body["reason"]),
        (200, &json!("cus_1"), &json!(true), &json!("past_due"))
    );
    assert_eq!((&body["until"], &body["because"]), (&json!("1970-01-08T00:00:00Z"), &json!(["evt_1"])));
    assert_eq!(
        (&body["livemode"], &body["account"], &body["position"]),
        (&json!(true), &json!(null), &json!({place("cus_1"): 2}))
    );
    let listed: Vec<_> = body["subscriptions"].as_array().unwrap().iter().map(|s| (&s["id"], &s["access"])).collect();
    assert_eq!(listed, [(&json!("sub_1"), &json!(true)), (&json!("sub_2"), &json!(false))]);
    let over = fed.get("/v1/customers/cus_1/access?at=604800").await.1;
    assert_eq!(
        (&over["access"], &over["until"], &over["subscriptions"][0]["reason"]),
        (&json!(false), &json!(null), &json!("grace_over"))
    );
}

#[tokio::test]
async fn a_flagged_row_says_that_it_is_ambiguous_and_others_say_nothing() {
    let fed = Fed::restored(DEFAULT);
    fed.live(&sub("evt_1", 5, "active"));
    assert_eq!(fed.get("/v1/subscriptions/sub_1").await.1.get("ambiguous"), None);
    fed.live(&sub("evt_2", 5, "past_due"));
    assert_eq!(fed.get("/v1/subscriptions/sub_1").await.1["ambiguous"], json!(true));
}

#[tokio::test]
async fn live_comes_first_and_mode_and_account_narrow() {
    let fed = Fed::restored(DEFAULT);
    let test = sub("evt_2", 5, "unpaid").event("livemode", json!(false));
    fed.feed("stripe/test", "cus_1", &test);
    assert_eq!(fed.get("/v1/subscriptions/sub_1").await.1["livemode"], json!(false));
    fed.live(&sub("evt_1", 5, "active"));
    fed.feed("acct_9/live", "cus_1", &sub("evt_3", 5, "paused").event("account", json!("acct_9")));
    for what in ["subscriptions/sub_1", "customers/cus_1/access"] {
        let get = async |query: &str| fed.get(&format!("/v1/{what}{query}")).await;
        let first = get("").await.1;
        assert_eq!(
            (&first["livemode"], &first["account"], &first["access"]),
            (&json!(true), &json!(null), &json!(true))
        );
        assert_eq!(get("?livemode=false").await.1["access"], json!(false));
        assert_eq!(get("?account=acct_9").await.1["account"], json!("acct_9"));
        assert_eq!(get("?account=acct_9&livemode=false").await.0, 404);
    }
}

#[tokio::test]
async fn what_is_unknown_is_404_only_once_everything_is_restored() {
    let fed = Fed::new(DEFAULT);
    fed.live(&sub("evt_1", 5, "active"));
    let own = partition_for(b"stripe/live/cus_1", 4);
    for path in
        ["/v1/subscriptions/sub_1", "/v1/subscriptions/no", "/v1/customers/no/access", "/v1/customers/cus_1/access"]
    {
        assert_eq!(fed.get(path).await.0, 503, "{path}");
    }
    let other = (0..4).map(Partition).find(|partition| *partition != own).unwrap();
    (0..4)
        .map(Partition)
        .filter(|partition| *partition != other)
        .for_each(|p| fed.parts.generations.live().note_restored(p));
    assert_eq!(fed.get("/v1/subscriptions/sub_1").await.0, 200);
    assert_eq!((fed.get("/v1/subscriptions/no").await.0, fed.get("/readyz").await.0), (503, 503));
    fed.parts.generations.live().note_restored(other);
    let (status, problem) = fed.get("/v1/customers/no/access").await;
    assert_eq!((status, &problem["status"], &problem["type"]), (404, &json!(404), &json!("about:blank")));
    assert!(problem["detail"].as_str().unwrap().contains("`no`"));
    assert_eq!((fed.get("/readyz").await.0, fed.get("/healthz").await.0), (200, 200));
}

/// Each partition in turn is the only one that is not there yet.
#[tokio::test]
async fn a_subject_whose_own_partition_is_restoring_is_503_in_every_question_and_others_are_answered() {
    let customers: Vec<String> = (0..16).map(|n| format!("cus_{n}")).collect();
    let partition_of = |customer: &str| partition_for(format!("stripe/live/{customer}").as_bytes(), 4);
    for restoring in (0..4).map(Partition) {
        let fed = Fed::new(DEFAULT);
        for (n, customer) in customers.iter().enumerate() {
            let body = sub(&format!("evt_{n}"), 5, "active").with("id", json!(format!("sub_{n}")));
            fed.feed("stripe/live", customer, &body.with("customer", json!(customer)));
        }
        let restored = (0..4).map(Partition).filter(|partition| *partition != restoring);
        restored.for_each(|partition| fed.parts.generations.live().note_restored(partition));
        let mut met = 0;
        for (n, customer) in customers.iter().enumerate() {
            let expected = if partition_of(customer) == restoring { 503 } else { 200 };
            met += usize::from(expected == 503);
            for path in [
                format!("/v1/subscriptions/sub_{n}"),
                format!("/v1/customers/{customer}/access"),
                format!("/v1/customers/{customer}/subscriptions"),
            ] {
                assert_eq!(fed.get(&path).await.0, expected, "{path} while {restoring} is restoring");
            }
        }
        assert!(met > 0, "nobody is in {restoring}");
        // Whether it is unknown is not known: it may be in what is not read yet.
        for path in ["/v1/subscriptions/no", "/v1/customers/no/access", "/v1/customers/no/subscriptions"] {
            assert_eq!(fed.get(path).await.0, 503, "{path} while {restoring} is restoring");
        }
    }
}

/// Every record of one partition says something else of one subscription, while it is asked for: the event that an answer
/// rests on is the last one before the position that it names.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_holds_exactly_the_records_before_the_position_that_it_names() {
    const RECORDS: i64 = 3_000;
    let fed = Fed::restored(DEFAULT);
    let status = |n: i64| if n % 2 == 0 { "active" } else { "unpaid" };
    let event = move |n: i64| sub(&format!("evt_{n}"), 5 + n, status(n));
    fed.live(&event(0));
    let live = fed.parts.generations.live();
    let feeding = std::thread::spawn(move || {
        for n in 1..RECORDS {
            take_at(&live, "stripe/live/cus_1", &event(n), n);
        }
    });
    let (own, mut seen) = (place("cus_1"), std::collections::BTreeSet::new());
    while !feeding.is_finished() || seen.is_empty() {
        for path in ["/v1/subscriptions/sub_1", "/v1/customers/cus_1/access", "/v1/customers/cus_1/subscriptions"] {
            let answer = fed.get(path).await.1;
            let position = answer["position"][&own].as_i64().unwrap_or_else(|| panic!("no {own} in {answer}"));
            let row = if path.ends_with("/sub_1") { &answer } else { &answer["subscriptions"][0] };
            let last = row["because"].as_array().and_then(|events| events.last()).unwrap();
            let expected = (json!(format!("evt_{}", position - 1)), json!(status(position - 1)));
            assert_eq!((last.clone(), row["status"].clone()), expected, "{path} at {position}");
            seen.insert(position);
        }
    }
    feeding.join().unwrap();
    assert!(seen.len() > 10, "it was asked while nothing happened: {seen:?}");
    assert_eq!(fed.get("/v1/subscriptions/sub_1").await.1["position"][&own], json!(RECORDS));
}

#[tokio::test]
async fn a_customer_that_was_heard_of_has_no_access_without_subscriptions() {
    let fed = Fed::restored(DEFAULT);
    fed.live(&Body::customer("evt_1", "created", 5));
    let (status, body) = fed.get("/v1/customers/cus_1/access").await;
    assert_eq!((status, &body["access"], &body["reason"]), (200, &json!(false), &json!("no_subscription")));
    fed.live(&Body::customer("evt_2", "deleted", 6));
    let body = fed.get("/v1/customers/cus_1/access").await.1;
    assert_eq!((&body["reason"], &body["because"]), (&json!("customer_deleted"), &json!(["evt_2"])));
}

#[tokio::test]
async fn a_customers_subscriptions_come_in_pages_by_cursor() {
    let fed = Fed::restored(DEFAULT);
    (0..5).for_each(|n| fed.live(&sub(&format!("evt_{n}"), 5, "active").with("id", json!(format!("sub_{n}")))));
    // Named once under this customer, but another one's now.
    fed.live(&sub("evt_7", 9, "active").with("id", json!("sub_3")).with("customer", json!("cus_2")));
    let (mut seen, mut path) = (Vec::new(), "/v1/customers/cus_1/subscriptions?limit=2".to_owned());
    loop {
        let page = fed.get(&path).await.1;
        seen.extend(page["subscriptions"].as_array().unwrap().iter().map(|s| s["id"].as_str().unwrap().to_owned()));
        assert_eq!(page["has_more"], json!(page["next"] != json!(null)));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/v1/customers/cus_1/subscriptions?limit=2&after={next}");
    }
    assert_eq!(seen, ["sub_0", "sub_1", "sub_2", "sub_4"]);
}

#[tokio::test]
async fn wrong_questions_get_problem_details() {
    let fed = Fed::restored(DEFAULT);
    for path in
        ["/v1/subscriptions/sub_1?livemode=1", "/v1/customers/cus_1/access?limit=5", "/v1/subscriptions/sub_1?at=noon"]
    {
        assert_eq!(fed.get(path).await.0, 400, "{path}");
    }
    for path in ["/v1/subscriptions/%ff", "/v1/customers/%ff%fe/access", "/v1/customers/%ff/subscriptions"] {
        assert_eq!(fed.get(path).await.0, 400, "{path}");
    }
    for path in ["/v2/nothing", "/v1/subscriptions/", "/v1/customers//access", "/v1/customers/cus_1"] {
        assert_eq!(fed.get(path).await.0, 404, "{path}");
    }
    let request = Request::post("/v1/subscriptions/sub_1").body(HttpBody::empty()).unwrap();
    let refused = fed.projector.router().oneshot(request).await.unwrap();
    assert_eq!(
        (refused.status(), refused.headers()["allow"].to_str().unwrap()),
        (StatusCode::METHOD_NOT_ALLOWED, "GET, HEAD")
    );
}

#[tokio::test]
async fn one_id_in_many_accounts_and_both_modes_is_found_in_each() {
    let fed = Fed::restored(DEFAULT);
    for n in 0..100 {
        let account = format!("acct_{n}");
        let body = sub(&format!("evt_{n}"), 5, "active").event("account", json!(account));
        fed.feed(&format!("{account}/live"), "cus_1", &body);
    }
    fed.feed(
        "acct_99/test",
        "cus_1",
        &sub("evt_t", 5, "unpaid").event("account", json!("acct_99")).event("livemode", json!(false)),
    );
    fed.feed("stripe/test", "cus_1", &sub("evt_u", 5, "paused").event("livemode", json!(false)));
    for what in ["subscriptions/sub_1", "customers/cus_1/access"] {
        let get = async |query: &str| fed.get(&format!("/v1/{what}{query}")).await;
        for n in [0, 63, 64, 99] {
            let answer = get(&format!("?account=acct_{n}")).await.1;
            assert_eq!(
                (&answer["account"], &answer["because"]),
                (&json!(format!("acct_{n}")), &json!([format!("evt_{n}")]))
            );
        }
        assert_eq!(get("?account=acct_99&livemode=false").await.1["livemode"], json!(false));
        assert_eq!(get("?account=acct_98&livemode=false").await.0, 404);
        let test = get("?livemode=false").await.1;
        assert_eq!((&test["livemode"], &test["account"]), (&json!(false), &json!(null)), "our own before Connect");
        // Ours is in test mode only: live comes first, so it is a Connect account's.
        let first = get("").await.1;
        assert_eq!((&first["livemode"], first["account"].is_string()), (&json!(true), true));
    }
}

#[tokio::test]
async fn a_subscription_that_moved_to_another_customer_is_answered_under_that_one() {
    let fed = Fed::restored(DEFAULT);
    fed.live(&sub("evt_1", 5, "active"));
    fed.feed(
        "stripe/live",
        "cus_2",
        &sub("evt_2", 9, "active").with("customer", json!({"id": "cus_2", "object": "customer"})),
    );
    let moved = fed.get("/v1/subscriptions/sub_1").await.1;
    assert_eq!((&moved["customer"], moved["position"].get(place("cus_2")).is_some()), (&json!("cus_2"), true));
    let (old, new) = (fed.get("/v1/customers/cus_1/access").await, fed.get("/v1/customers/cus_2/access").await);
    assert_eq!((old.0, &old.1["access"], &old.1["reason"]), (200, &json!(false), &json!("no_subscription")));
    assert_eq!((new.0, &new.1["access"]), (200, &json!(true)));
}

#[tokio::test]
async fn a_subscription_of_nobody_is_answered_by_its_own_id() {
    let fed = Fed::restored(DEFAULT);
    fed.feed("stripe/live", "sub_1", &sub("evt_1", 5, "active").with("customer", json!(null)));
    let (status, body) = fed.get("/v1/subscriptions/sub_1").await;
    assert_eq!((status, &body["customer"], &body["access"]), (200, &json!(null), &json!(true)));
    assert_eq!(body["position"], json!({place("sub_1"): 1}));
}

/// Flips one bit in the middle of every table of the live generation.
fn flip_tables(fed: &Fed) {
    let live = fed.parts.generations.live();
    live.store.flush().unwrap();
    let tables = std::fs::read_dir(live.store.path()).unwrap().map(|entry| entry.unwrap().path());
    for table in tables.filter(|path| path.extension().is_some_and(|extension| extension == "sst")) {
        let mut bytes = std::fs::read(&table).unwrap();
        bytes[10] ^= 4;
        std::fs::write(&table, bytes).unwrap();
    }
}

#[tokio::test]
async fn a_damaged_table_is_answered_with_503_and_its_generation_is_replaced_under_the_same_rules() {
    let grace = DEFAULT.replace("# grace_days", "grace_days");
    let fed = Fed::restored(&grace);
    fed.live(&sub("evt_1", 5, "active"));
    flip_tables(&fed);
    std::fs::write(fed._dir.path().join("rules.toml"), DEFAULT).unwrap();
    assert_eq!(fed.get("/v1/subscriptions/sub_1").await.0, 503);
    let damaged = fed.parts.generations.live().sound().unwrap_err();
    assert!(damaged.to_string().contains("generation-1 are damaged"), "{damaged}");
    assert_eq!(fed.get("/v1/subscriptions/no").await.0, 503, "nothing is known now");
    assert!(fed.parts.status().unwrap_err().is_damage());
    fed.parts.discard_damaged(1, &damaged).unwrap();
    let live = fed.parts.generations.live();
    assert_eq!(
        (live.number, live.rules.of_status("past_due").grace),
        (2, Some(7 * 86_400)),
        "rules on disk do nothing"
    );
    assert_eq!(fed.get("/v1/subscriptions/sub_1").await.0, 503, "an empty generation knows nothing yet");
    fed.live(&sub("evt_1", 5, "active"));
    (0..4).for_each(|partition| live.note_restored(Partition(partition)));
    assert_eq!(fed.get("/v1/subscriptions/sub_1").await.0, 200);
    assert!(!fed._dir.path().join("views/generation-1").exists());
}

#[tokio::test]
async fn once_damage_is_noted_nothing_is_answered_from_that_generation_also_where_it_is_whole() {
    let fed = Fed::restored(DEFAULT);
    fed.live(&sub("evt_1", 5, "active"));
    assert!(fed.parts.generations.live().note_damage("a bit"));
    for path in ["/v1/subscriptions/sub_1", "/v1/subscriptions/no", "/v1/customers/cus_1/access", "/readyz"] {
        assert_eq!(fed.get(path).await.0, 503, "{path}");
    }
}

#[test]
fn what_is_damaged_again_and_again_is_the_disks_fault() {
    let fed = Fed::new(DEFAULT);
    let damaged = || crate::Error::Damaged { path: "x".into(), what: "y".to_owned() };
    for number in 1..=3 {
        fed.parts.discard_damaged(number, &damaged()).unwrap();
    }
    let refused = fed.parts.discard_damaged(4, &damaged()).unwrap_err().to_string();
    assert!(refused.contains("4 times") && refused.contains("disk"), "{refused}");
}

#[tokio::test]
async fn metrics_count_answers_by_route_and_status_and_hold_no_ids() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let (handle, _guard) = (recorder.handle(), metrics::set_default_local_recorder(&recorder));
    let fed = Fed::restored(DEFAULT);
    fed.live(&sub("evt_1", 5, "active"));
    fed.feed("stripe/live", "x", &Body(json!({"id": "evt_2", "type": "invoice.paid"})));
    for path in
        ["/v1/subscriptions/sub_1", "/v1/subscriptions/sub_canary", "/v1/customers/cus_canary/access", "/canary"]
    {
        fed.get(path).await;
    }
    crate::metric_names::describe();
    crate::metric_names::Sampler::default().sample(&fed.parts);
    let text = handle.render();
    for line in [
        r#"hooklog_query_answers_total{route="/v1/subscriptions/{id}",status="200"} 1"#,
        r#"hooklog_query_answers_total{route="/v1/subscriptions/{id}",status="404"} 1"#,
        r#"hooklog_query_answers_total{route="/v1/customers/{id}/access",status="404"} 1"#,
        r#"hooklog_query_answers_total{route="(unknown)",status="404"} 1"#,
        r#"hooklog_projector_restoring{partition="0"} 0"#,
        r#"hooklog_projector_skipped_records{reason="not needed"} 1"#,
        "hooklog_projector_generation 1",
        "hooklog_projector_rebuilding 0",
        "# HELP hooklog_query_seconds",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    assert!(!text.contains("canary") && !text.contains("sub_1") && !text.contains("cus_1"), "{text}");
}

#[tokio::test]
async fn the_status_says_what_was_skipped_and_that_the_rules_changed() {
    let fed = Fed::restored(DEFAULT);
    fed.feed("stripe/live", "x", &Body(json!({"id": "evt_1", "type": "invoice.paid"})));
    fed.feed("stripe/test", "x", &Body(json!({"id": "evt_2", "type": "customer.deleted"})));
    let status = fed.get("/readyz").await.1;
    assert_eq!(status["views"]["skipped"], json!({"not needed": 1, "the customer has no id": 1}));
    assert_eq!(status["views"]["rules_on_disk"]["state"], json!("same"));
    std::fs::write(fed._dir.path().join("rules.toml"), "version = 1").unwrap();
    assert_eq!(fed.get("/readyz").await.1["views"]["rules_on_disk"]["state"], json!("invalid"));
}
