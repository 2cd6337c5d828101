//! Sorting more rows than fit into memory: sorted runs on disk, merged when they are read.
//!
//! Rows are byte strings of one length that sort as bytes. Many runs share one file, and are merged in passes, so that neither
//! open files nor memory grow with the log. A file is unlinked as soon as it is open, so nothing is left behind, however
//! the process ends.

use std::cell::OnceCell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Seek, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How many runs are merged at once.
const FAN_IN: usize = 256;
/// How much of each of them is read at once.
const READ: usize = 1 << 16;

/// A file for the runs of any number of sorters; made when the first row is written.
#[derive(Clone)]
pub(super) struct Scratch(Rc<(PathBuf, OnceCell<File>)>);

impl Scratch {
    /// In `directory`, which must exist.
    pub(super) fn below(directory: &Path) -> Scratch {
        Scratch(Rc::new((directory.to_owned(), OnceCell::new())))
    }

    fn file(&self) -> io::Result<&File> {
        let (directory, file) = &*self.0;
        match file.get() {
            Some(file) => Ok(file),
            None => {
                let new = nameless(directory)?;
                Ok(file.get_or_init(|| new))
            }
        }
    }

    /// Another one beside it.
    fn another(&self) -> Scratch {
        Scratch::below(&self.0.0)
    }

    /// Appends rows that are in order.
    fn write<const N: usize>(&self, rows: impl Iterator<Item = io::Result<[u8; N]>>) -> io::Result<Run> {
        let mut file = self.file()?;
        let from = file.seek(io::SeekFrom::End(0))?;
        let mut out = BufWriter::with_capacity(1 << 20, file);
        let mut until = from;
        for row in rows {
            out.write_all(&row?)?;
            until += N as u64;
        }
        out.flush()?;
        Ok(Run { from, until })
    }
}

/// The bytes of a file that hold rows in order.
#[derive(Clone, Copy)]
struct Run {
    from: u64,
    until: u64,
}

/// Takes rows in any order.
pub(super) struct Sorter<const N: usize> {
    scratch: Scratch,
    /// How many rows are sorted in memory at once.
    at_once: usize,
    rows: Vec<[u8; N]>,
    runs: Vec<Run>,
}

/// Gives them back in order.
pub(super) struct Sorted<const N: usize> {
    memory: std::vec::IntoIter<[u8; N]>,
    runs: Vec<Reading>,
    /// The first row of each run that is left; the rows still in memory count as one more run.
    heads: BinaryHeap<Reverse<([u8; N], usize)>>,
}

impl<const N: usize> Sorter<N> {
    /// Sorts in about `memory` bytes, with its runs in `scratch`.
    pub(super) fn new(scratch: &Scratch, memory: usize) -> Self {
        Self { scratch: scratch.clone(), at_once: (memory / N).max(1), rows: Vec::new(), runs: Vec::new() }
    }

    pub(super) fn push(&mut self, row: [u8; N]) -> io::Result<()> {
        if self.rows.len() == self.at_once {
            self.spill()?;
        }
        self.rows.push(row);
        Ok(())
    }

    pub(super) fn sorted(mut self) -> io::Result<Sorted<N>> {
        self.rows.sort_unstable();
        while self.runs.len() > FAN_IN {
            self.merge_once()?;
        }
        Sorted::of(&self.scratch, &self.runs, self.rows)
    }

    /// A pass over all runs, after which there are fewer.
    fn merge_once(&mut self) -> io::Result<()> {
        let to = self.scratch.another();
        let merged = self.runs.chunks(FAN_IN).map(|runs| to.write(Sorted::<N>::of(&self.scratch, runs, Vec::new())?));
        self.runs = merged.collect::<io::Result<_>>()?;
        self.scratch = to;
        Ok(())
    }

    fn spill(&mut self) -> io::Result<()> {
        self.rows.sort_unstable();
        self.runs.push(self.scratch.write(self.rows.iter().map(|row| Ok(*row)))?);
        self.rows.clear();
        Ok(())
    }
}

impl<const N: usize> Sorted<N> {
    fn of(scratch: &Scratch, runs: &[Run], memory: Vec<[u8; N]>) -> io::Result<Self> {
        let runs = runs.iter().map(|run| Reading::of(scratch, *run, N)).collect();
        let mut sorted = Sorted { memory: memory.into_iter(), runs, heads: BinaryHeap::new() };
        (0..=sorted.runs.len()).try_for_each(|run| sorted.advance(run))?;
        Ok(sorted)
    }

    fn advance(&mut self, run: usize) -> io::Result<()> {
        let row = match self.runs.get_mut(run) {
            Some(run) => run.row()?,
            None => self.memory.next(),
        };
        self.heads.extend(row.map(|row| Reverse((row, run))));
        Ok(())
    }
}

impl<const N: usize> Iterator for Sorted<N> {
    type Item = io::Result<[u8; N]>;

    fn next(&mut self) -> Option<Self::Item> {
        let Reverse((row, run)) = self.heads.pop()?;
        Some(self.advance(run).map(|()| row))
    }
}

/// A run that is being read, whole rows at a time.
struct Reading {
    scratch: Scratch,
    left: Run,
    /// How much is read at once.
    at_once: u64,
    buffer: Vec<u8>,
    taken: usize,
}

impl Reading {
    fn of(scratch: &Scratch, run: Run, row: usize) -> Reading {
        let at_once = (READ / row).max(1) * row;
        Reading { scratch: scratch.clone(), left: run, at_once: at_once as u64, buffer: Vec::new(), taken: 0 }
    }

    fn row<const N: usize>(&mut self) -> io::Result<Option<[u8; N]>> {
        if self.taken == self.buffer.len() {
            self.fill()?;
        }
        let row = self.buffer[self.taken..].first_chunk().copied();
        self.taken += row.map_or(0, |row: [u8; N]| row.len());
        Ok(row)
    }

    fn fill(&mut self) -> io::Result<()> {
        let Run { from, until } = self.left;
        let size = self.at_once.min(until - from);
        self.buffer.resize(usize::try_from(size).expect("at most what is read at once"), 0);
        self.scratch.file()?.read_exact_at(&mut self.buffer, from)?;
        (self.left.from, self.taken) = (from + size, 0);
        Ok(())
    }
}

fn nameless(directory: &Path) -> io::Result<File> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let name = format!("audit-{}-{}.run", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let path = directory.join(name);
    let told = |error: io::Error| {
        io::Error::new(error.kind(), format!("{}: {error}; audit sorts its rows in files there", path.display()))
    };
    let mut options = OpenOptions::new();
    // One of that name was left by an earlier process of our pid.
    options.read(true).write(true).create(true).truncate(true).mode(0o600);
    let file = options.open(&path).map_err(told)?;
    fs::remove_file(&path).map_err(told)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sorted(rows: &[u32], at_once: usize) -> Vec<u32> {
        let directory = tempfile::tempdir().unwrap();
        let mut sorter = Sorter::<4>::new(&Scratch::below(directory.path()), at_once * 4);
        rows.iter().for_each(|row| sorter.push(row.to_be_bytes()).unwrap());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0, "a file of runs must have no name");
        sorter.sorted().unwrap().map(|row| u32::from_be_bytes(row.unwrap())).collect()
    }

    #[test]
    fn nothing_comes_of_nothing() {
        assert_eq!(sorted(&[], 3), Vec::<u32>::new());
    }

    #[test]
    fn more_runs_than_are_merged_at_once_take_more_passes() {
        // A third pass is needed for more than 256 * 256 runs.
        let rows: Vec<u32> = (0..70_000_u32).map(|n| n.wrapping_mul(2_654_435_761)).collect();
        let mut expected = rows.clone();
        expected.sort_unstable();
        assert_eq!(sorted(&rows, 1), expected);
    }

    #[test]
    fn sorters_that_share_a_file_do_not_mix() {
        let directory = tempfile::tempdir().unwrap();
        let scratch = Scratch::below(directory.path());
        let mut sorters: Vec<_> = (0..3).map(|_| Sorter::<4>::new(&scratch, 8)).collect();
        (0..3000_u32).rev().for_each(|n| sorters[n as usize % 3].push(n.to_be_bytes()).unwrap());
        for (sorter, first) in sorters.into_iter().zip(0..) {
            let rows = sorter.sorted().unwrap().map(|row| u32::from_be_bytes(row.unwrap()));
            assert!(rows.eq((first..3000).step_by(3)), "of the sorter {first}");
        }
    }

    proptest! {
        #[test]
        fn rows_come_back_in_order_however_few_fit_into_memory(rows in proptest::collection::vec(0_u32..50, 0..60), at_once in 1_usize..70) {
            let mut expected = rows.clone();
            expected.sort_unstable();
            prop_assert_eq!(sorted(&rows, at_once), expected);
        }
    }
}
