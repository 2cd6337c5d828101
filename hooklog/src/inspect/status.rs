//! `hooklog status`: positions, lag and rates of every partition.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;
use comfy_table::{CellAlignment, Table, presets};
use hooklog_log::connection::Isolation;
use hooklog_log::{committed, watermarks};
use hooklog_schemas::Partition;
use hooklog_task::resume::{self, Facts, Trust};
use serde::Serialize;
use serde_json::{Value, json};

use super::ignore_broken_pipe;
use crate::admin;
use crate::cluster::Cluster;
use crate::settings::Common;

/// How long the processor's offsets may be held by a transaction before the rest is shown without them.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Over how many seconds rates are measured
    #[arg(long, default_value_t = 1.0, value_name = "SECONDS", value_parser = seconds)]
    over: f64,
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.1..=60.0).contains(&seconds) => Ok(seconds),
        _ => Err("rates are measured over 0.1 to 60 seconds".to_owned()),
    }
}

/// One partition's figures; what is not known is absent.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Line {
    partition: Partition,
    /// The end of `raw`.
    raw: i64,
    raw_per_second: f64,
    /// N, where the processor's group has committed it.
    processor: Option<i64>,
    /// Records of `raw` at N and behind it.
    processor_lag: Option<i64>,
    processor_per_second: Option<f64>,
    /// Whether N carries the stamp of this processor on this log.
    stamped: bool,
    /// Whether `up` is bringing the processor's store up to N.
    restoring: Option<bool>,
    /// Why the processor of `up` has stopped this partition, if it has.
    stopped: Option<String>,
    /// The end of `events`, for a reader that sees what is committed.
    events: Option<i64>,
    /// Up to where the view of the running `up` holds `events`.
    view: Option<i64>,
    view_lag: Option<i64>,
    view_per_second: Option<f64>,
}

/// Everything at one moment.
struct Sample {
    at: Instant,
    raw: Vec<i64>,
    events: Vec<i64>,
    committed: BTreeMap<Partition, (i64, bool)>,
    admin: Value,
}

/// Runs the command to its end.
pub(crate) fn status(args: &Args, common: &Common) -> Result<ExitCode> {
    let cluster = Cluster::find(common)?;
    let first = sample(&cluster)?;
    std::thread::sleep(Duration::from_secs_f64(args.over).saturating_sub(first.at.elapsed()));
    let second = sample(&cluster)?;
    let lines = lines(&first, &second);
    let written = match common.json {
        true => writeln!(anstream::stdout().lock(), "{}", as_json(&cluster, &second, &lines)),
        false => writeln!(anstream::stdout().lock(), "{}", as_text(&cluster, &second, &lines)),
    };
    ignore_broken_pipe(written)
}

fn sample(cluster: &Cluster) -> Result<Sample> {
    let processor = cluster.processor(cluster.topics()?);
    let (task, stamp) = (processor.task(), processor.task().stamp(&processor.fold()));
    let partitions: Vec<Partition> = (0..task.input.partitions.cast_signed()).map(Partition).collect();
    let stable = committed::stable(&task.connection, &task.group, &task.input.name, &partitions, PATIENCE);
    // Whoever asks what is wrong gets the rest; where Kafka does not answer at all, the next question fails.
    let stable = stable.unwrap_or_else(|error| {
        tracing::warn!(%error, "the processor's offsets are not shown: a transaction may hold them; see `hooklog audit`");
        Vec::new()
    });
    let at = Instant::now();
    let raw = watermarks::all(&task.connection, &task.input.name, task.input.partitions, Isolation::Uncommitted)?;
    let events = watermarks::all(&task.connection, &task.output.name, task.output.partitions, Isolation::Committed)?;
    let trusted = |committed: committed::Committed, input| {
        let (partition, next, stamp) = (committed.partition, committed.next, stamp.clone());
        let facts = Facts { partition, applied: next, committed: Some(committed), stamp, input };
        (partition, (next.0, resume::trust(&facts) != Trust::Unknown))
    };
    let committed = stable.into_iter().map(|one| trusted(one, raw[0])).collect();
    let end = |ends: Vec<watermarks::Watermarks>| ends.into_iter().map(|ends| ends.end.0).collect();
    Ok(Sample { at, raw: end(raw), events: end(events), committed, admin: told(cluster) })
}

/// What the running `up`, or a projector alone, says of itself; nothing where none runs or it does not say.
pub(super) fn told(cluster: &Cluster) -> Value {
    let told = admin::home(&cluster.settings.data_dir).and_then(|home| Ok(admin::status(&home)?.accepted()?));
    told.unwrap_or_else(|error| {
        tracing::debug!("no running hooklog tells its status: {error:#}");
        Value::Null
    })
}

fn lines(first: &Sample, second: &Sample) -> Vec<Line> {
    let elapsed = second.at.duration_since(first.at).as_secs_f64().max(0.001);
    let count = second.raw.len().max(second.events.len());
    (0..count).map(|n| line(n, first, second, elapsed)).collect()
}

fn line(n: usize, first: &Sample, second: &Sample, elapsed: f64) -> Line {
    let partition = Partition(i32::try_from(n).unwrap_or(i32::MAX));
    let rate =
        |earlier: Option<i64>, later: Option<i64>| Some(((later? - earlier?) as f64 / elapsed * 10.0).round() / 10.0);
    let next = |sample: &Sample| sample.committed.get(&partition).map(|(next, _)| *next);
    let view = |sample: &Sample| sample.admin["view"][partition.to_string()]["next"].as_i64();
    let (raw, events) = (second.raw.get(n).copied(), second.events.get(n).copied());
    let lag = |end: Option<i64>, next: Option<i64>| Some((end? - next?).max(0));
    Line {
        partition,
        raw: raw.unwrap_or(0),
        raw_per_second: rate(first.raw.get(n).copied(), raw).unwrap_or(0.0),
        processor: next(second),
        processor_lag: lag(raw, next(second)),
        processor_per_second: rate(next(first), next(second)),
        stamped: second.committed.get(&partition).is_some_and(|(_, stamped)| *stamped),
        restoring: second.admin["processor"][partition.to_string()]["restoring"].as_bool(),
        stopped: second.admin["processor"][partition.to_string()]["stopped"].as_str().map(str::to_owned),
        events,
        view: view(second),
        view_lag: lag(events, view(second)),
        view_per_second: rate(view(first), view(second)),
    }
}

fn as_json(cluster: &Cluster, sample: &Sample, lines: &[Line]) -> Value {
    json!({
        "brokers": cluster.connection.brokers, "pid": cluster.run.as_ref().map(|run| run.process.pid),
        "generation": sample.admin["generation"], "rules": sample.admin["rules"],
        "building": sample.admin["building"], "incomplete": sample.admin["incomplete"],
        "conflicts": sample.admin["conflicts"], "partitions": lines,
    })
}

fn as_text(cluster: &Cluster, sample: &Sample, lines: &[Line]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header([
        "partition",
        "raw",
        "/s",
        "processor",
        "lag",
        "/s",
        "events",
        "view",
        "lag",
        "/s",
        "",
    ]);
    lines.iter().for_each(|line| _ = table.add_row(cells(line)));
    for column in table.column_iter_mut().take(10) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let mut text = format!("Kafka at {}", cluster.connection.brokers);
    if let Some(run) = &cluster.run {
        text += &format!(", hooklog with pid {}", run.process.pid);
    }
    if let Some(generation) = sample.admin["generation"].as_u64() {
        text += &format!(", view of generation {generation}");
    }
    if sample.admin["rules"]["changed"] == true {
        text += "\nThe rules have changed and do nothing until `hooklog rebuild`.";
    }
    text += &building(&sample.admin).unwrap_or_default();
    incomplete(&sample.admin).for_each(|line| text += &line);
    text += &conflicts(&sample.admin["conflicts"]).unwrap_or_default();
    text += &format!("\n\n{table}");
    for why in lines.iter().filter_map(|line| line.stopped.as_ref()) {
        text += &format!("\n\nSTOPPED: {why}");
    }
    text
}

/// How far a rebuild is, if one is going on.
fn building(admin: &Value) -> Option<String> {
    let (generation, rows) = (admin["building"]["generation"].as_u64()?, admin["building"]["partitions"].as_array()?);
    let sum = |field: &str| rows.iter().filter_map(|row| row[field].as_i64()).sum::<i64>();
    Some(format!("\nGeneration {generation} is being built: {} of {} offsets.", sum("done"), sum("total")))
}

/// What the views lack of each partition whose beginning was deleted.
fn incomplete(admin: &Value) -> impl Iterator<Item = String> {
    let line = |lacking: &Value| {
        let (partition, before) = (&lacking["partition"], &lacking["missing_before"]);
        let from = lacking["true_from"].as_str().map(|from| format!(", so they are true from {from} on"));
        format!(
            "\nThe views lack events/{partition} before offset {before}, which was deleted{}.",
            from.unwrap_or_default()
        )
    };
    admin["incomplete"].as_array().into_iter().flatten().map(line)
}

/// What came again with another content since that process started, if anything did.
fn conflicts(told: &Value) -> Option<String> {
    let (found, unchecked) = (told["found"].as_u64()?, told["unchecked"].as_u64()?);
    let mut text = String::new();
    if found > 0 {
        let last = told["last"].as_array()?.last()?;
        let (first, again) = (last["first"].as_str()?, last["again"].as_str()?);
        text = format!(
            "\n{found} conflicts: events that came again with another content, the last at {again} (the first one, at {first}, stays)."
        );
    }
    if unchecked > 0 {
        text +=
            &format!("\n{unchecked} events came again with other bytes and were not compared: see `hooklog audit`.");
    }
    Some(text)
}

fn cells(line: &Line) -> [String; 11] {
    let number = |value: Option<i64>| value.map_or_else(|| "-".to_owned(), |value| value.to_string());
    let rate = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.1}"));
    let note = match (&line.stopped, line.restoring, line.processor, line.stamped) {
        (Some(_), _, _, _) => "STOPPED, see below",
        (_, Some(true), _, _) => "restoring",
        (_, _, Some(_), false) => "not stamped: see `hooklog offsets repair`",
        _ => "",
    };
    [
        line.partition.to_string(),
        line.raw.to_string(),
        rate(Some(line.raw_per_second)),
        number(line.processor),
        number(line.processor_lag),
        rate(line.processor_per_second),
        number(line.events),
        number(line.view),
        number(line.view_lag),
        rate(line.view_per_second),
        note.to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(at: Instant, raw: i64, committed: Option<(i64, bool)>, events: i64, admin: Value) -> Sample {
        let committed = committed.map(|entry| (Partition(0), entry)).into_iter().collect();
        Sample { at, raw: vec![raw], events: vec![events], committed, admin }
    }

    #[test]
    fn lag_and_rates_come_of_two_looks() {
        let (now, view) = (Instant::now(), |next: i64| json!({ "view": { "0": { "next": next } } }));
        let first = sample(now, 100, Some((80, true)), 60, view(40));
        let second = sample(now + Duration::from_secs(2), 120, Some((110, true)), 90, view(90));
        let line = lines(&first, &second).remove(0);
        assert_eq!((line.raw_per_second, line.processor_lag, line.processor_per_second), (10.0, Some(10), Some(15.0)));
        assert_eq!((line.view_lag, line.view_per_second), (Some(0), Some(25.0)));
    }

    #[test]
    fn what_nobody_tells_is_unknown_and_not_nothing() {
        let now = Instant::now();
        let line = lines(&sample(now, 5, None, 0, Value::Null), &sample(now, 5, None, 0, Value::Null)).remove(0);
        assert_eq!((line.processor, line.processor_lag, line.view, line.restoring), (None, None, None, None));
        assert!(cells(&line).iter().filter(|cell| *cell == "-").count() >= 6);
    }

    #[test]
    fn a_partition_that_stopped_is_pointed_out() {
        let (now, admin) =
            (Instant::now(), json!({ "processor": { "0": { "restoring": false, "stopped": "a gap" } } }));
        let one = || sample(now, 5, Some((5, true)), 0, admin.clone());
        let line = lines(&one(), &one()).remove(0);
        assert!(cells(&line)[10].contains("STOPPED"));
        assert_eq!(line.stopped.as_deref(), Some("a gap"));
    }

    #[test]
    fn a_rebuild_that_is_going_on_is_told_and_none_is_not() {
        let rows = json!([{ "partition": 0, "done": 5, "total": 9 }, { "partition": 1, "done": 2, "total": 4 }]);
        let said = building(&json!({ "building": { "generation": 3, "partitions": rows } }));
        assert_eq!(said.as_deref(), Some("\nGeneration 3 is being built: 7 of 13 offsets."));
        assert_eq!((building(&json!({ "building": null })), building(&Value::Null)), (None, None));
    }

    #[test]
    fn what_the_views_lack_is_told_for_each_partition_and_nothing_where_they_hold_all() {
        let lacking = json!({ "partition": 1, "missing_before": 40, "true_from": "2026-01-01T00:00:00Z" });
        let said: Vec<String> = incomplete(&json!({ "incomplete": [lacking] })).collect();
        assert!(said.len() == 1 && said[0].contains("events/1") && said[0].contains("2026-01-01"), "{said:?}");
        assert_eq!((incomplete(&json!({ "incomplete": [] })).count(), incomplete(&Value::Null).count()), (0, 0));
    }

    #[test]
    fn conflicts_are_told_where_there_are_some() {
        let told = |found: u64| {
            let last = json!([{ "first": "raw/0/1", "again": "raw/0/2" }, { "first": "raw/3/1", "again": "raw/3/9" }]);
            conflicts(&json!({ "found": found, "unchecked": 0, "last": last })).unwrap()
        };
        assert!(told(2).contains("raw/3/9") && told(2).contains("raw/3/1"));
        assert_eq!((told(0).as_str(), conflicts(&Value::Null)), ("", None));
    }

    #[test]
    fn an_offset_that_nobody_stamped_is_pointed_out() {
        let now = Instant::now();
        let one = || sample(now, 5, Some((5, false)), 0, Value::Null);
        assert!(cells(&lines(&one(), &one())[0])[10].contains("offsets repair"));
    }
}
