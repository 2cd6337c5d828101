//! The last lines of a log, which may be long.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

const LINES: usize = 40;
/// Of the file's end, what is looked at.
const BYTES: u64 = 64 << 10;

/// Of a file; none where it cannot be read.
pub(crate) fn tail(path: &Path) -> Vec<String> {
    last_lines(&end_of(path).unwrap_or_default())
}

pub(crate) fn last_lines(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].iter().map(|line| (*line).to_owned()).collect()
}

fn end_of(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(BYTES)))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_of_a_long_file_are_shown_and_none_of_one_that_is_not_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let text: String = (0..20_000).map(|n| format!("line {n}\n")).collect();
        std::fs::write(&path, text).unwrap();
        let lines = tail(&path);
        assert_eq!((lines.len(), lines[0].as_str(), lines[39].as_str()), (40, "line 19960", "line 19999"));
        assert_eq!(tail(&dir.path().join("none")), Vec::<String>::new());
    }
}
