//! What a run has done and found: rewritten after each cycle, so that a run can be gone on with, and printed at the end.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::failure::Finding;
use crate::load::Figures;
use crate::logs::Judgement;
use crate::options::Options;
use crate::schedule::{Cycle, Disk, Fault, Victim};

/// How a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// Under way, or killed: it can be gone on with.
    Unfinished,
    /// All cycles are done and nothing was found.
    Passed,
    /// Something was found.
    Failed,
}

/// A run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Its version of this format.
    pub format: u32,
    /// How it stands.
    pub standing: Standing,
    /// What it was told: with these it can be repeated.
    pub options: Options,
    /// The program under test, as it names itself.
    pub hooklog: String,
    /// UTC.
    pub began: String,
    /// Those that are done.
    pub cycles: Vec<Row>,
    /// How often the log was checked.
    pub checks: u64,
    /// Times to ready in ms, by what was done.
    pub restarts: BTreeMap<String, Quantiles>,
    /// How many of each kind.
    pub failures: BTreeMap<String, u64>,
    /// Each with all that is known of it.
    pub findings: Vec<Finding>,
    /// By installation, what was posted and how it was answered.
    pub load: BTreeMap<u64, Posted>,
    /// By installation, what the logs of its broker said when they were last read.
    pub logs: BTreeMap<u64, LogFigures>,
}

/// A cycle and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// What was done.
    #[serde(flatten)]
    pub cycle: Cycle,
    /// To which installation, from 1.
    pub installation: u64,
    /// How long it took until all was ready again; `None` where something was found.
    pub ready_ms: Option<u64>,
    /// Of a full disk or a silent broker: whether at its end webhooks were not acknowledged, or not taken in.
    pub felt: Option<bool>,
}

/// Of times in ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quantiles {
    /// How many.
    pub count: u64,
    /// The median.
    pub p50_ms: u64,
    /// The longest.
    pub max_ms: u64,
}

/// A load.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Posted {
    /// Different events that were acknowledged.
    pub acknowledged: u64,
    /// Attempts by their answer.
    pub answers: BTreeMap<String, u64>,
}

/// The logs of one broker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogFigures {
    /// Whether each transaction has all its markers.
    #[serde(flatten)]
    pub judgement: Judgement,
    /// How often the broker said that a partition had no leader.
    pub no_leader: u64,
}

impl Report {
    pub(crate) fn new(options: Options, hooklog: String) -> Self {
        Self {
            format: 1,
            standing: Standing::Unfinished,
            options,
            hooklog,
            began: now(),
            cycles: Vec::new(),
            checks: 0,
            restarts: BTreeMap::new(),
            failures: BTreeMap::new(),
            findings: Vec::new(),
            load: BTreeMap::new(),
            logs: BTreeMap::new(),
        }
    }

    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let report: Self = serde_json::from_slice(&text).with_context(|| format!("{} is no report", path.display()))?;
        anyhow::ensure!(report.format == 1, "{} is a report of another version", path.display());
        Ok(report)
    }

    /// As a whole or not at all, since a run may be killed meanwhile.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let unfinished = path.with_extension("unfinished");
        let written = fs::write(&unfinished, serde_json::to_vec_pretty(self)?);
        written.and_then(|()| fs::rename(&unfinished, path)).with_context(|| format!("cannot write {}", path.display()))
    }

    pub(crate) fn add_cycle(&mut self, row: Row) {
        self.cycles.push(row);
        self.restarts = restarts(&self.cycles);
    }

    pub(crate) fn add_finding(&mut self, finding: Finding) {
        *self.failures.entry(finding.failure.kind().to_owned()).or_default() += 1;
        self.findings.push(finding);
    }

    /// `earlier` is what an installation had before a run was gone on with.
    pub(crate) fn set_load(&mut self, installation: u64, figures: Figures, earlier: &Posted) {
        let mut answers = earlier.answers.clone();
        for (answer, count) in figures.answers {
            *answers.entry(answer).or_default() += count;
        }
        self.load.insert(installation, Posted { acknowledged: figures.acknowledged, answers });
    }
}

/// By what was done; cycles in which something was found have no time.
fn restarts(rows: &[Row]) -> BTreeMap<String, Quantiles> {
    let mut times: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for row in rows {
        if let Some(ready) = row.ready_ms {
            times.entry("all".to_owned()).or_default().push(ready);
            times.entry(words(&row.cycle.fault).to_owned()).or_default().push(ready);
        }
    }
    times.into_iter().filter_map(|(what, times)| Some((what, quantiles(times)?))).collect()
}

fn quantiles(mut times: Vec<u64>) -> Option<Quantiles> {
    times.sort_unstable();
    let p50_ms = *times.get(times.len().checked_sub(1)? / 2)?;
    Some(Quantiles { count: times.len() as u64, p50_ms, max_ms: *times.last()? })
}

/// What was done, in short.
pub(crate) fn words(fault: &Fault) -> &'static str {
    match fault {
        Fault::Kill { victim: Victim::Hooklog, pause_ms: 0 } => "a kill of hooklog",
        Fault::Kill { victim: Victim::Hooklog, .. } => "a kill of hooklog and a pause",
        Fault::Kill { victim: Victim::Broker, .. } => "a kill of the broker",
        Fault::Kill { victim: Victim::Both, pause_ms: 0 } => "a kill of both",
        Fault::Kill { victim: Victim::Both, .. } => "a kill of both and a pause",
        Fault::Fill { disk: Disk::Broker, .. } => "a full disk of the broker",
        Fault::Fill { disk: Disk::Store, .. } => "a full disk of the stores",
        Fault::Fill { disk: Disk::Both, .. } => "both disks full",
        Fault::Silence { .. } => "a silent broker",
    }
}

/// UTC.
#[expect(clippy::disallowed_methods, reason = "a report is held against logs with the wall clock's times")]
pub(crate) fn now() -> String {
    jiff::Timestamp::now().to_string()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::failure::Failure;
    use crate::options::Scenario;

    fn row(number: u64, victim: Victim, ready_ms: Option<u64>) -> Row {
        let fault = Fault::Kill { victim, pause_ms: 0 };
        Row { cycle: Cycle { number, wait_ms: 5, fault }, installation: 1, ready_ms, felt: None }
    }

    pub(crate) fn report() -> Report {
        let mut report = Report::new(Options::of(Scenario::Crash), "hooklog 1".to_owned());
        for (number, ready) in [(1, Some(30)), (2, Some(10)), (3, None), (4, Some(20))] {
            report.add_cycle(row(number, Victim::Both, ready));
        }
        report.add_cycle(row(5, Victim::Broker, Some(99)));
        report.add_finding(Finding {
            failure: Failure::Ended { code: Some(3), what: "words".to_owned() },
            cycle: 3,
            at: now(),
            installation: 1,
            kept: "somewhere".into(),
            logs: Some(Judgement::default()),
            hooklog: vec!["a line".to_owned()],
            kafka: Vec::new(),
        });
        report.set_load(1, Figures { acknowledged: 7, answers: [("200".to_owned(), 8)].into() }, &Posted::default());
        report.logs.insert(1, LogFigures { judgement: Judgement::default(), no_leader: 2 });
        report
    }

    #[test]
    fn times_to_ready_are_counted_by_what_was_done_and_without_failures() {
        let restarts = report().restarts;
        assert_eq!(restarts["a kill of both"], Quantiles { count: 3, p50_ms: 20, max_ms: 30 });
        assert_eq!(restarts["a kill of the broker"], Quantiles { count: 1, p50_ms: 99, max_ms: 99 });
        assert_eq!(restarts["all"], Quantiles { count: 4, p50_ms: 20, max_ms: 99 });
    }

    #[test]
    fn a_report_is_read_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let (path, report) = (dir.path().join("report.json"), report());
        report.write(&path).unwrap();
        assert_eq!(Report::read(&path).unwrap(), report);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn the_answers_of_a_run_that_was_gone_on_with_are_added_up() {
        let mut report = report();
        let earlier = report.load[&1].clone();
        let figures = Figures { acknowledged: 9, answers: [("200".to_owned(), 2), ("503".to_owned(), 1)].into() };
        report.set_load(1, figures, &earlier);
        assert_eq!(report.load[&1].answers, [("200".to_owned(), 10), ("503".to_owned(), 1)].into());
    }
}
