//! Sorting more rows than fit into memory: sorted runs on disk, merged when they are read.
//!
//! Rows are byte strings of one length that sort as bytes. A run's file is unlinked as soon as it is open, so nothing is left
//! behind, however the process ends.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, ErrorKind, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Takes rows in any order.
pub(super) struct Sorter<const N: usize> {
    directory: PathBuf,
    /// How many rows are sorted in memory at once.
    at_once: usize,
    rows: Vec<[u8; N]>,
    runs: Vec<File>,
}

/// Gives them back in order.
pub(super) struct Sorted<const N: usize> {
    memory: std::vec::IntoIter<[u8; N]>,
    runs: Vec<BufReader<File>>,
    /// The first row of each run that is left; the rows still in memory count as one more run.
    heads: BinaryHeap<Reverse<([u8; N], usize)>>,
}

impl<const N: usize> Sorter<N> {
    /// Sorts in about `memory` bytes, with its files in `directory`, which must exist.
    pub(super) fn new(directory: &Path, memory: usize) -> Self {
        Self { directory: directory.to_owned(), at_once: (memory / N).max(1), rows: Vec::new(), runs: Vec::new() }
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
        let runs = self.runs.into_iter().map(|run| BufReader::with_capacity(1 << 17, run)).collect();
        let mut sorted = Sorted { memory: self.rows.into_iter(), runs, heads: BinaryHeap::new() };
        (0..=sorted.runs.len()).try_for_each(|run| sorted.advance(run))?;
        Ok(sorted)
    }

    fn spill(&mut self) -> io::Result<()> {
        self.rows.sort_unstable();
        let mut out = BufWriter::with_capacity(1 << 20, nameless(&self.directory)?);
        self.rows.iter().try_for_each(|row| out.write_all(row))?;
        let mut run = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        run.rewind()?;
        self.runs.push(run);
        self.rows.clear();
        Ok(())
    }
}

impl<const N: usize> Sorted<N> {
    fn advance(&mut self, run: usize) -> io::Result<()> {
        let row = match self.runs.get_mut(run) {
            Some(file) => row_of(file)?,
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

/// A run holds whole rows, so an end within one cannot be.
fn row_of<const N: usize>(file: &mut BufReader<File>) -> io::Result<Option<[u8; N]>> {
    let mut row = [0; N];
    match file.read_exact(&mut row) {
        Ok(()) => Ok(Some(row)),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
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
        let mut sorter = Sorter::<4>::new(directory.path(), at_once * 4);
        rows.iter().for_each(|row| sorter.push(row.to_be_bytes()).unwrap());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0, "a run must have no name");
        sorter.sorted().unwrap().map(|row| u32::from_be_bytes(row.unwrap())).collect()
    }

    #[test]
    fn nothing_comes_of_nothing() {
        assert_eq!(sorted(&[], 3), Vec::<u32>::new());
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
