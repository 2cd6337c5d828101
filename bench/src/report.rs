//! The outcome of `all`: figures of every run, ratios by round with their median, and what was aimed at.

use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use crate::contest::Run;
use crate::contest::entrants::Entrant;
use crate::contest::figures::median;
use crate::latency::Latency;

/// Hop and view, measured one after the other against the same broker.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Waits {
    pub(crate) hop: Latency,
    pub(crate) visible: Latency,
}

/// One comparison: a value for every round, and their median.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Ratio {
    pub(crate) name: &'static str,
    pub(crate) rounds: Vec<f64>,
    pub(crate) median: f64,
    pub(crate) aim: Option<Aim>,
}

/// What is aimed at.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Aim {
    AtLeast(f64),
    AtMost(f64),
}

impl Aim {
    pub(crate) fn is_met_by(self, value: f64) -> bool {
        match self {
            Self::AtLeast(bound) => value >= bound,
            Self::AtMost(bound) => value <= bound,
        }
    }
}

/// Everything that `all` measured.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Report {
    pub(crate) records: u64,
    /// Load average of the machine over the minute before; of an idle one it is near 0.
    pub(crate) load_before: f64,
    pub(crate) runs: Vec<Vec<Run>>,
    pub(crate) waits: Vec<Waits>,
    pub(crate) ratios: Vec<Ratio>,
}

impl Report {
    pub(crate) fn new(records: u64, load_before: f64, runs: Vec<Vec<Run>>, waits: Vec<Waits>) -> Self {
        let ratios = races(&runs).into_iter().chain(of_waits(&waits)).collect();
        Self { records, load_before, runs, waits, ratios }
    }

    /// Tables for people.
    pub(crate) fn text(&self) -> String {
        let tables = [self.runs_table(), self.waits_table(), self.ratios_table()];
        tables.into_iter().flatten().map(|table| format!("{table}\n")).collect::<Vec<_>>().join("\n")
    }

    fn runs_table(&self) -> Option<Table> {
        let header = ["round", "entrant", "records/s", "2nd half/s", "CPU-s/10^6", "from start", "first commit s"];
        let rows = (1..).zip(&self.runs).flat_map(|(round, runs)| runs.iter().map(move |run| run_row(round, run)));
        table(&header, rows)
    }

    fn waits_table(&self) -> Option<Table> {
        let rows = (1..).zip(&self.waits).flat_map(|(round, waits)| {
            [("hop", waits.hop), ("visible", waits.visible)].map(|(name, wait)| wait_row(round, name, wait))
        });
        table(&["round", "from produce or POST", "events", "p50 ms", "p99 ms", "max ms"], rows)
    }

    fn ratios_table(&self) -> Option<Table> {
        table(&["ratio", "by round", "median", "aim", "met"], self.ratios.iter().map(ratio_row))
    }
}

/// What the rates and the CPU of the runs are to each other, for the pairs that ran.
fn races(runs: &[Vec<Run>]) -> Vec<Ratio> {
    let rate = |run: &Run| run.figures.records_per_second;
    let late_rate = |run: &Run| run.figures.second_half_per_second;
    let cpu = |run: &Run| run.figures.cpu_per_million;
    [
        ratio("rate: processor / limit", Some(Aim::AtLeast(0.85)), pairs(runs, processor, limit, rate)),
        ratio("rate: processor / streams", Some(Aim::AtLeast(1.8)), pairs(runs, processor, streams, rate)),
        ratio("rate, second half: processor / streams", None, pairs(runs, processor, streams, late_rate)),
        ratio("CPU: processor / limit", None, pairs(runs, processor, limit, cpu)),
        ratio("CPU: processor / streams", None, pairs(runs, processor, streams, cpu)),
        ratio("rate: limit / streams", None, pairs(runs, limit, streams, rate)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// One or two threads, whichever was quicker in this round.
fn limit(round: &[Run]) -> Option<&Run> {
    let limits = round.iter().filter(|run| run.entrant.is_limit());
    limits.max_by(|a, b| a.figures.records_per_second.total_cmp(&b.figures.records_per_second))
}

fn processor(round: &[Run]) -> Option<&Run> {
    round.iter().find(|run| run.entrant == Entrant::Processor)
}

fn streams(round: &[Run]) -> Option<&Run> {
    round.iter().find(|run| run.entrant == Entrant::Streams)
}

fn of_waits(waits: &[Waits]) -> Vec<Ratio> {
    let bound = |wait: &Waits| wait.visible.p99_ms / (1.5 * wait.hop.p99_ms + 20.0);
    [
        ratio("p99: visible / (1.5 hop + 20 ms)", Some(Aim::AtMost(1.0)), waits.iter().map(bound).collect()),
        ratio("p99: visible, ms", Some(Aim::AtMost(80.0)), waits.iter().map(|wait| wait.visible.p99_ms).collect()),
    ]
    .into_iter()
    .flatten()
    .collect()
}

type Pick = fn(&[Run]) -> Option<&Run>;

fn pairs(rounds: &[Vec<Run>], over: Pick, under: Pick, figure: impl Fn(&Run) -> f64) -> Vec<f64> {
    rounds.iter().filter_map(|round| Some(figure(over(round)?) / figure(under(round)?))).collect()
}

fn ratio(name: &'static str, aim: Option<Aim>, rounds: Vec<f64>) -> Option<Ratio> {
    let median = median(&rounds)?;
    Some(Ratio { name, rounds, median, aim })
}

fn run_row(round: usize, run: &Run) -> Vec<String> {
    let figures = &run.figures;
    vec![
        round.to_string(),
        run.entrant.name().to_owned(),
        format!("{:.0}", figures.records_per_second),
        format!("{:.0}", figures.second_half_per_second),
        format!("{:.2}", figures.cpu_per_million),
        format!("{:.2}", figures.cpu_per_million_from_start),
        format!("{:.2}", figures.seconds_to_first_commit),
    ]
}

fn wait_row(round: usize, name: &str, wait: Latency) -> Vec<String> {
    let ms = |value: f64| format!("{value:.1}");
    vec![round.to_string(), name.to_owned(), wait.events.to_string(), ms(wait.p50_ms), ms(wait.p99_ms), ms(wait.max_ms)]
}

fn ratio_row(ratio: &Ratio) -> Vec<String> {
    let number = |value: f64| format!("{value:.2}");
    let aim = match ratio.aim {
        Some(Aim::AtLeast(bound)) => format!(">= {bound}"),
        Some(Aim::AtMost(bound)) => format!("<= {bound}"),
        None => String::new(),
    };
    let met = ratio.aim.map_or("", |aim| if aim.is_met_by(ratio.median) { "yes" } else { "NO" });
    let rounds = ratio.rounds.iter().copied().map(number).collect::<Vec<_>>().join(" ");
    vec![ratio.name.to_owned(), rounds, number(ratio.median), aim, met.to_owned()]
}

fn table(header: &[&str], rows: impl Iterator<Item = Vec<String>>) -> Option<Table> {
    let mut table = Table::new();
    table.load_style(presets::ASCII_BORDERS_ONLY_CONDENSED).set_header(header.to_vec()).add_rows(rows);
    table.column_iter_mut().skip(2).for_each(|column| column.set_cell_alignment(CellAlignment::Right));
    (table.row_count() > 0).then_some(table)
}

#[cfg(test)]
mod tests {
    use super::{Aim, Latency, Ratio, Report, Waits};
    use crate::contest::Run;
    use crate::contest::entrants::Entrant;
    use crate::contest::figures::Figures;
    use crate::contest::verdict::Written;

    fn run(entrant: Entrant, rate: f64) -> Run {
        let figures = Figures {
            records: 1,
            seconds: 1.0,
            records_per_second: rate,
            second_half_per_second: rate,
            cpu_per_million: 4.0,
            cpu_per_million_from_start: 4.0,
            seconds_to_first_commit: 0.1,
        };
        Run { entrant, figures, written: Written::default() }
    }

    fn find<'a>(report: &'a Report, name: &str) -> Option<&'a Ratio> {
        report.ratios.iter().find(|ratio| ratio.name == name)
    }

    #[test]
    fn ratios_pair_runs_of_one_round_and_the_median_is_taken_of_the_ratios() {
        let round = |limit, processor| vec![run(Entrant::Limit, limit), run(Entrant::Processor, processor)];
        let report = Report::new(1, 0.0, vec![round(100.0, 90.0), round(50.0, 40.0), round(200.0, 100.0)], Vec::new());
        let ratio = find(&report, "rate: processor / limit").expect("both ran");
        assert_eq!((ratio.rounds.as_slice(), ratio.median), ([0.9, 0.8, 0.5].as_slice(), 0.8));
        assert!(find(&report, "rate: processor / streams").is_none(), "streams did not run");
    }

    #[test]
    fn the_limit_of_a_round_is_the_quicker_of_one_and_two_threads() {
        let round = |one, two| vec![run(Entrant::Limit, one), run(Entrant::Limit2, two), run(Entrant::Processor, 80.0)];
        let report = Report::new(1, 0.0, vec![round(100.0, 160.0), round(80.0, 40.0)], Vec::new());
        assert_eq!(find(&report, "rate: processor / limit").expect("both ran").rounds, [0.5, 1.0]);
    }

    #[test]
    fn what_misses_its_aim_is_marked_and_what_meets_it_is_not() {
        let wait = |p99_ms| Latency { events: 1, p50_ms: 1.0, p99_ms, max_ms: p99_ms };
        let report = Report::new(1, 0.0, Vec::new(), vec![Waits { hop: wait(40.0), visible: wait(81.0) }]);
        let bounds = report.ratios.iter().map(|ratio| ratio.aim.is_some_and(|aim| aim.is_met_by(ratio.median)));
        assert_eq!(bounds.collect::<Vec<_>>(), [false, false]);
        assert!(report.text().contains("NO") && !report.text().contains("yes"));
        assert!(Aim::AtLeast(0.85).is_met_by(0.85) && Aim::AtMost(1.0).is_met_by(1.0));
    }
}
