//! `hooklog rebuild`: the views anew from the log under the rules that are on disk now, beside those that answer; then a
//! switch. The running `hooklog up` does it; this command asks for it and shows how far it is.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use hyper::Method;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use crate::admin::{ask, home};
use crate::inspect::ignore_broken_pipe;
use crate::settings::{self, Common};

/// Between two looks at how far it is.
const LOOK: Duration = Duration::from_millis(150);

/// Runs the command. Makes its own runtime.
pub(crate) fn run(common: &Common) -> anyhow::Result<ExitCode> {
    let home = home(&settings::settings(common)?.data_dir)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = runtime.block_on(rebuild(&home))?;
    let text = if common.json { format!("{outcome}\n") } else { told(&outcome) };
    ignore_broken_pipe(anstream::stdout().lock().write_all(text.as_bytes()))
}

async fn rebuild(home: &Path) -> anyhow::Result<Value> {
    let bar = bar();
    let built = ask(home, Method::POST, "/rebuild");
    tokio::pin!(built);
    let reply = loop {
        tokio::select! {
            reply = &mut built => break reply?,
            () = tokio::time::sleep(LOOK) => show(&bar, home).await,
        }
    };
    bar.finish_and_clear();
    Ok(reply.accepted()?)
}

/// Drawn on a terminal only; a build that is over before the first look has none.
fn bar() -> ProgressBar {
    let bar = ProgressBar::new(0);
    let template =
        "{spinner} building the views anew [{bar:30}] {human_pos} of {human_len} events, {per_sec}, {eta} left";
    bar.set_style(ProgressStyle::with_template(template).expect("a template of known parts").progress_chars("=> "));
    bar
}

async fn show(bar: &ProgressBar, home: &Path) {
    // The bar is a courtesy: an answer that does not come stops nothing.
    let Ok(reply) = ask(home, Method::GET, "/status").await else { return };
    let status = reply.json();
    let sum = |field: &str| {
        let rows = status["building"]["partitions"].as_array();
        rows.map(|rows| rows.iter().filter_map(|row| row[field].as_u64()).sum::<u64>())
    };
    if let (Some(done), Some(total)) = (sum("done"), sum("total")) {
        bar.set_length(total);
        bar.set_position(done.min(total));
    }
}

fn told(outcome: &Value) -> String {
    let text = |field: &str| outcome[field].as_str().unwrap_or("?").chars().take(12).collect::<String>();
    let same = outcome["same"].as_bool() == Some(true);
    let verdict = if same { "the same as before, byte for byte" } else { "different from before" };
    let lacks = outcome["incomplete"].as_array().is_some_and(|lacking| !lacking.is_empty());
    let lacks =
        if lacks { "  They lack the beginning of events, which was deleted: see `hooklog status`.\n" } else { "" };
    format!(
        "Generation {} answers now, in place of {}, which is kept.\n  rules    {}  (before: {})\n  content  {}  (before: {}): {verdict}\n{lacks}",
        outcome["generation"],
        outcome["previous"],
        text("rules"),
        text("previous_rules"),
        text("content"),
        text("previous_content"),
    )
}
