//! The serving side.

use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::Context;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use serde_json::json;
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;

use crate::listen;
use crate::up::ServiceStatus;

const UPKEEP: Duration = Duration::from_secs(5);

/// Binds the socket, in place of one that an earlier process left, and gives the future that serves it.
pub(crate) fn serve(
    data_dir: &Path,
    standing: ServiceStatus,
    stop: CancellationToken,
) -> anyhow::Result<impl Future<Output = anyhow::Result<()>> + use<>> {
    let path = super::socket(data_dir);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(error).with_context(|| path.display().to_string());
        }
        _ => {}
    }
    let directory = fs::File::open(data_dir)?;
    let listener = UnixListener::bind(super::short(&directory));
    let listener = listener.with_context(|| format!("{} cannot be listened on", path.display()))?;
    fs::set_permissions(&path, Permissions::from_mode(0o600))?;
    let app = App { standing, stop: stop.clone() };
    let router = Router::new().route("/status", get(status)).route("/rebuild", post(rebuild)).with_state(app);
    Ok(async move {
        listen::serve(listener, router, stop).await;
        // A socket that nobody serves would be taken for one that somebody does.
        fs::remove_file(&path).with_context(|| path.display().to_string())
    })
}

#[derive(Clone)]
struct App {
    standing: ServiceStatus,
    stop: CancellationToken,
}

async fn status(State(app): State<App>) -> Response {
    match app.standing.report() {
        Ok(report) => Json(report).into_response(),
        Err(error) => refused(StatusCode::INTERNAL_SERVER_ERROR, &error),
    }
}

async fn rebuild(State(app): State<App>) -> Response {
    let Some(projector) = app.standing.projector else {
        return (StatusCode::NOT_FOUND, Json(json!({ "error": "no views are kept here" }))).into_response();
    };
    // Not bound to this connection: a client that goes away does not stop a build.
    match tokio::task::spawn_blocking(move || projector.rebuild(&app.stop)).await {
        Ok(Ok(rebuilt)) => Json(rebuilt).into_response(),
        Ok(Err(error @ hooklog_projector::Error::Rules { .. })) => refused(StatusCode::UNPROCESSABLE_ENTITY, &error),
        Ok(Err(error)) => refused(StatusCode::CONFLICT, &error),
        Err(died) => refused(StatusCode::INTERNAL_SERVER_ERROR, &died),
    }
}

fn refused(status: StatusCode, error: &dyn std::error::Error) -> Response {
    let causes = std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string);
    (status, Json(json!({ "error": causes.collect::<Vec<_>>().join(": ") }))).into_response()
}

/// `/metrics`, in Prometheus' text format. The recorder is the process's: set up once.
pub(crate) fn metrics() -> anyhow::Result<Router> {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    if HANDLE.get().is_none() {
        let handle = PrometheusBuilder::new().install_recorder().context("the metrics cannot be recorded")?;
        let upkeep = handle.clone();
        // Samples of histograms would pile up where nobody asks for `/metrics`.
        let forever = move || {
            loop {
                std::thread::sleep(UPKEEP);
                upkeep.run_upkeep();
            }
        };
        std::thread::Builder::new().name("metrics".to_owned()).spawn(forever)?;
        // Set by another thread meanwhile: the first one counts.
        let _ = HANDLE.set(handle);
    }
    let render = || async { HANDLE.get().map(PrometheusHandle::render).unwrap_or_default() };
    Ok(Router::new().route("/metrics", get(render)))
}
