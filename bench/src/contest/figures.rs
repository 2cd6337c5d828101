//! From samples of a run to its figures: the same arithmetic for every contestant.

use serde::Serialize;

/// What was seen from outside at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Sample {
    /// Seconds since the program was started.
    pub(crate) at: f64,
    /// Records of raw that the group's committed offsets cover.
    pub(crate) committed: i64,
    /// CPU-seconds the program has used since it was started.
    pub(crate) cpu: f64,
}

/// The figures of one run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Figures {
    /// Records committed between the clock's start and its end.
    pub(crate) records: i64,
    /// From the first commit that was seen to the one that covers the last record.
    pub(crate) seconds: f64,
    pub(crate) records_per_second: f64,
    /// The same over the second half of the records, when a JVM has compiled what is hot.
    pub(crate) second_half_per_second: f64,
    /// CPU over the same span, for a million records.
    pub(crate) cpu_per_million: f64,
    /// CPU from the program's start on, over all records: with start, compiling, joining the group.
    pub(crate) cpu_per_million_from_start: f64,
    /// From the program's start to the first commit.
    pub(crate) seconds_to_first_commit: f64,
}

/// The figures of a run whose raw holds `total` records; none where the samples do not span it.
pub(crate) fn figures(samples: &[Sample], total: i64) -> Option<Figures> {
    let first = samples.iter().find(|sample| sample.committed > 0)?;
    let last = samples.iter().find(|sample| sample.committed >= total)?;
    let half = samples.iter().find(|sample| sample.committed - first.committed >= (total - first.committed) / 2)?;
    let (records, seconds) = (last.committed - first.committed, last.at - first.at);
    (records > 0 && seconds > 0.0).then(|| Figures {
        records,
        seconds,
        records_per_second: records as f64 / seconds,
        second_half_per_second: rate(half, last).unwrap_or(records as f64 / seconds),
        cpu_per_million: (last.cpu - first.cpu) * 1e6 / records as f64,
        cpu_per_million_from_start: last.cpu * 1e6 / last.committed as f64,
        seconds_to_first_commit: first.at,
    })
}

fn rate(from: &Sample, to: &Sample) -> Option<f64> {
    (to.at > from.at).then(|| (to.committed - from.committed) as f64 / (to.at - from.at))
}

/// The middle value; of an even number of values the mean of the two in the middle.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = *sorted.get(sorted.len() / 2)?;
    let lower = *sorted.get((sorted.len() - 1) / 2)?;
    Some((lower + upper) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::{Sample, figures, median};

    fn sample(at: f64, committed: i64, cpu: f64) -> Sample {
        Sample { at, committed, cpu }
    }

    #[test]
    fn start_and_joining_are_left_out_and_what_the_first_commit_held_is_not_counted() {
        let run = [sample(1.0, 0, 0.5), sample(2.0, 100, 1.0), sample(3.0, 400, 2.0), sample(4.0, 1_100, 3.0)];
        let got = figures(&run, 1_100).expect("the samples span the run");
        assert_eq!((got.records, got.seconds, got.records_per_second), (1_000, 2.0, 500.0));
        assert_eq!((got.cpu_per_million, got.seconds_to_first_commit), (2_000.0, 2.0));
    }

    #[test]
    fn the_second_half_is_counted_from_the_sample_that_reaches_the_middle() {
        let run = [sample(1.0, 100, 0.0), sample(3.0, 600, 0.0), sample(4.0, 1_100, 0.0)];
        assert_eq!(figures(&run, 1_100).expect("spanned").second_half_per_second, 500.0);
    }

    #[test]
    fn samples_after_the_end_do_not_stretch_the_clock() {
        let run = [sample(1.0, 100, 0.0), sample(2.0, 200, 0.0), sample(9.0, 200, 5.0)];
        assert_eq!(figures(&run, 200).expect("spanned").seconds, 1.0);
    }

    #[test]
    fn a_run_that_was_not_finished_or_fits_into_one_commit_has_no_figures() {
        assert_eq!(figures(&[sample(1.0, 100, 0.0), sample(2.0, 150, 0.0)], 200), None);
        assert_eq!(figures(&[sample(1.0, 0, 0.0), sample(2.0, 200, 0.0)], 200), None);
    }

    #[test]
    fn the_median_of_two_is_their_mean_and_of_none_is_none() {
        assert_eq!(median(&[3.0, 1.0]), Some(2.0));
        assert_eq!(median(&[9.0, 1.0, 3.0]), Some(3.0));
        assert_eq!(median(&[]), None);
    }
}
