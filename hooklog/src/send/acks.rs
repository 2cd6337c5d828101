//! The file of acknowledged ids. Each line is one write, so that a kill loses no ack that was seen.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

pub(super) struct Acks {
    file: File,
    path: PathBuf,
}

impl Acks {
    pub(super) fn append_to(path: &Path) -> Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path);
        let file = file.with_context(|| format!("--acks {} cannot be written", path.display()))?;
        Ok(Self { file, path: path.to_owned() })
    }

    pub(super) fn write(&mut self, id: &[u8]) -> Result<()> {
        let line = [id, b"\n"].concat();
        self.file.write_all(&line).with_context(|| format!("--acks {} cannot be written any more", self.path.display()))
    }
}
