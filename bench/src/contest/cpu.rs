//! CPU time of a process as the kernel accounts it.

use anyhow::{Context, Result};

/// Clock ticks a second in /proc, fixed by the kernel's user interface on every architecture we run on.
const TICKS: f64 = 100.0;

/// What the kernel says of a process.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Usage {
    /// User and system seconds of all its threads, and of its children that have ended and were waited for.
    pub(crate) seconds: f64,
    /// It has ended, and nobody has waited for it yet.
    pub(crate) ended: bool,
}

/// Readable until the process is waited for, so the last figure can be taken after its end.
pub(crate) fn usage(pid: u32) -> Result<Usage> {
    let path = format!("/proc/{pid}/stat");
    let stat = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    parse(&stat).with_context(|| format!("{path} is not as proc(5) says"))
}

/// Field 3 and fields 14 to 17 of proc(5). The name in field 2 may hold blanks and brackets: counting starts after it.
fn parse(stat: &str) -> Option<Usage> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    let ended = fields.next()? == "Z";
    let ticks: Vec<u64> = fields.skip(10).take(4).filter_map(|field| field.parse().ok()).collect();
    (ticks.len() == 4).then(|| Usage { seconds: ticks.iter().sum::<u64>() as f64 / TICKS, ended })
}

#[cfg(test)]
mod tests {
    use super::{Usage, parse, usage};

    #[test]
    fn the_four_times_are_added_even_where_the_name_holds_brackets_and_blanks() {
        let stat = "42 (a b) c) S 1 42 42 0 -1 4194304 100 0 0 0 1000 200 30 4 20 0 1 0 5 0 0";
        assert_eq!(parse(stat), Some(Usage { seconds: 12.34, ended: false }));
    }

    #[test]
    fn a_process_that_nobody_waited_for_yet_is_seen_as_ended_and_keeps_its_times() {
        let stat = "42 (x) Z 1 42 42 0 -1 4194304 100 0 0 0 1000 200 30 4 20 0 1 0 5 0 0";
        assert_eq!(parse(stat), Some(Usage { seconds: 12.34, ended: true }));
    }

    #[test]
    fn a_line_that_is_cut_off_gives_nothing_instead_of_too_little() {
        assert_eq!(parse("42 (x) S 1 42 42 0 -1 4194304 100 0 0 0 1000 200"), None);
    }

    #[test]
    fn our_own_process_can_be_read_and_has_not_ended() {
        assert!(!usage(std::process::id()).expect("proc is mounted").ended);
    }
}
