//! What must never be seen outside: secrets, signatures, bodies.

use std::io::{self, Write};
use std::sync::Mutex;

use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt;
use metrics_exporter_prometheus::PrometheusBuilder;
use tower::ServiceExt;
use tracing_subscriber::fmt::MakeWriter;

use super::*;
use crate::metric_names;
use crate::writer::Rejected;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Lines;

    fn make_writer(&'a self) -> Lines {
        self.clone()
    }
}

/// A line of the log that another test's thread reaches first would be switched off for everybody, since nobody listens
/// there. So somebody listens everywhere.
fn listen_everywhere() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let everywhere = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(io::sink);
        tracing::subscriber::set_global_default(everywhere.finish()).expect("no other test does");
    });
}

/// What is said from `level` on, until the guard is dropped.
fn listen(level: tracing::Level) -> (Lines, tracing::subscriber::DefaultGuard) {
    listen_everywhere();
    let lines = Lines::default();
    let log = tracing_subscriber::fmt().with_max_level(level).with_ansi(false).with_writer(lines.clone());
    (lines, tracing::subscriber::set_default(log.finish()))
}

/// Runs requests through every kind of outcome at TRACE; gives the log, the metrics and all answers.
async fn everything(body: &str) -> (String, String, String) {
    let (lines, _log) = listen(tracing::Level::TRACE);
    let recorder = PrometheusBuilder::new().build_recorder();
    let _metrics = metrics::set_default_local_recorder(&recorder);
    metric_names::describe();
    let mut answers = String::new();
    for answer in [at(0, 0), Err(Rejected::Full)] {
        let stage = stage(limits());
        let _records = answering(stage.appends, answer);
        for (path, header) in [
            ("/webhooks/shop", signature(body.as_bytes())),
            ("/webhooks/shop", signed("whsec_canary0forged", now(), body.as_bytes())),
            ("/webhooks/none", signature(body.as_bytes())),
        ] {
            let request =
                Request::post(path).header("stripe-signature", header).body(Body::from(body.to_owned())).unwrap();
            let response = stage.router.clone().oneshot(request).await.unwrap();
            answers += &String::from_utf8_lossy(&response.into_body().collect().await.unwrap().to_bytes());
        }
    }
    let log = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    (log, recorder.handle().render(), answers)
}

#[tokio::test]
async fn no_secret_signature_or_body_shows_in_logs_metrics_or_answers() {
    for body in [
        r#"{"id":"evt_1","email":"body0canary"}"#,
        r#""body0canary""#,
        r#"{"id":7,"email":"body0canary"}"#,
        "body0canary",
        r#"{"id":["body0canary"]}"#,
    ] {
        let (log, metrics, answers) = everything(body).await;
        assert!(
            log.contains("refused") && metrics.contains(metric_names::REQUESTS),
            "the nets are out:\n{log}\n{metrics}"
        );
        let v1 = signature(body.as_bytes()).split_once("v1=").unwrap().1.to_owned();
        for canary in ["canary0", "body0canary", &v1] {
            assert!(!(log.clone() + &metrics + &answers).contains(canary), "{canary} in\n{log}\n{metrics}\n{answers}");
        }
    }
}

#[tokio::test]
async fn the_log_and_the_metrics_name_what_the_sender_is_not_told() {
    let (log, metrics, answers) = everything(r#"{"id":"evt_1"}"#).await;
    assert!(log.contains("no_match") && metrics.contains(r#"reason="no_match""#), "{log}\n{metrics}");
    assert!(metrics.contains(r#"source="(unknown)""#) && !metrics.contains("none"), "{metrics}");
    assert!(metrics.contains(r#"hooklog_ingest_requests_total{source="shop",outcome="acked"} 1"#), "{metrics}");
    assert!(!answers.contains("no_match"));
}

#[tokio::test]
async fn what_is_unusable_is_an_error_in_the_log_with_its_digest() {
    let (log, metrics, _) = everything("body0canary").await;
    let line = log.lines().find(|line| line.contains("ERROR")).unwrap();
    let digest = "f00d4cc253e964872310d08d0308d193807fa53e64e5cfc4955677b7228f5990";
    assert!(line.contains("size=11") && line.contains("shop"), "{line}");
    assert!(line.contains(digest), "{line}");
    assert!(metrics.contains(r#"outcome="unusable""#));
}

#[tokio::test]
async fn hundreds_of_503_for_one_reason_are_one_line_of_the_log_and_each_is_counted_by_the_metrics() {
    let (lines, _log) = listen(tracing::Level::INFO);
    let recorder = PrometheusBuilder::new().build_recorder();
    let _metrics = metrics::set_default_local_recorder(&recorder);
    let stage = stage(limits());
    let _records = answering(stage.appends, Err(Rejected::NotOpen));
    let body = r#"{"id":"evt_1"}"#;
    for _ in 0..300 {
        let request = Request::post("/webhooks/shop").header("stripe-signature", signature(body.as_bytes()));
        let response = stage.router.clone().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
        assert_eq!(response.status(), 503);
    }
    let told = |level: &str| {
        let log = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        log.lines().filter(|line| line.contains(level) && line.contains("not_open")).count()
    };
    assert_eq!((told("WARN"), told("INFO")), (1, 0));
    let metrics = recorder.handle().render();
    let counted = r#"hooklog_ingest_refusals_total{source="shop",reason="not_open"} 300"#;
    assert!(metrics.contains(counted), "{metrics}");
    drop((stage.router, stage.app));
    assert_eq!((told("WARN"), told("INFO")), (1, 1), "that it is over");
}
