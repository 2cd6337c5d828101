//! A report for people.

use std::collections::BTreeMap;

use comfy_table::{Table, presets};

use crate::options::Options;
use crate::report::{LogFigures, Quantiles, Report};

impl Report {
    /// For people.
    pub fn table(&self) -> String {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        for (name, value) in self.rows() {
            table.add_row([name, value]);
        }
        let lines: Vec<_> = table.lines().map(|line| line.trim_end().to_owned()).collect();
        lines.join("\n")
    }

    fn rows(&self) -> Vec<(String, String)> {
        let Options { scenario, seed, cycles, .. } = &self.options;
        let mut rows = vec![
            ("scenario".to_owned(), format!("{scenario:?}, seed {seed}, {}", self.hooklog)),
            ("cycles".to_owned(), format!("{} of {cycles}, log checked {} times", self.cycles.len(), self.checks)),
        ];
        for (what, times) in &self.restarts {
            let Quantiles { count, p50_ms, max_ms } = times;
            rows.push((format!("ready after {what}"), format!("{count}: p50 {p50_ms} ms, max {max_ms} ms")));
        }
        let felt: Vec<_> = self.cycles.iter().filter_map(|row| row.felt).collect();
        if !felt.is_empty() {
            let count = felt.iter().filter(|felt| **felt).count();
            rows.push(("faults that were felt".to_owned(), format!("{count} of {}", felt.len())));
        }
        let acknowledged: u64 = self.load.values().map(|load| load.acknowledged).sum();
        rows.push(("events acknowledged".to_owned(), acknowledged.to_string()));
        rows.push(("attempts by answer".to_owned(), self.answers()));
        if !self.logs.is_empty() {
            rows.push(("transactions in the logs".to_owned(), self.transactions()));
        }
        let failures: Vec<_> = self.failures.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        rows.push(("failures".to_owned(), if failures.is_empty() { "none".to_owned() } else { failures.join(", ") }));
        for finding in &self.findings {
            let place = format!("  cycle {}, {}", finding.cycle, finding.at);
            rows.push((place, format!("{} ({})", finding.failure, finding.kept.display())));
        }
        rows
    }

    fn answers(&self) -> String {
        let mut all: BTreeMap<&str, u64> = BTreeMap::new();
        for (answer, count) in self.load.values().flat_map(|load| &load.answers) {
            *all.entry(answer).or_default() += count;
        }
        all.iter().map(|(answer, count)| format!("{answer}: {count}")).collect::<Vec<_>>().join(", ")
    }

    fn transactions(&self) -> String {
        let sum = |of: fn(&LogFigures) -> u64| self.logs.values().map(of).sum::<u64>();
        let (all, aborted) = (sum(|log| log.judgement.transactions), sum(|log| log.judgement.aborted));
        let (markers, skipped) = (sum(|log| log.judgement.markers), sum(|log| log.judgement.skipped.len() as u64));
        let (unended, open) =
            (sum(|log| log.judgement.unended.len() as u64), sum(|log| log.judgement.open.len() as u64));
        let (unjudged, no_leader) = (sum(|log| log.judgement.unjudged), sum(|log| log.no_leader));
        format!(
            "{all} ({aborted} aborted), markers: {markers}, skipped: {skipped}, not judged: {unjudged}, \
             left without an end: {unended}, open: {open}, \"no leader\" in server.log: {no_leader}"
        )
    }
}

#[cfg(test)]
mod tests {
    use crate::report::tests::report;

    #[test]
    fn the_table_names_what_was_found_and_where_it_is_kept() {
        let table = report().table();
        for words in ["1 ended by itself", "somewhere", "p50 20 ms, max 30 ms", "200: 8"] {
            assert!(table.contains(words), "no {words}: {table}");
        }
    }
}
