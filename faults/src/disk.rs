//! Small disks that can be full: file systems in memory, and a file that takes all their room.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

/// What others free is taken again so soon.
const AGAIN: Duration = Duration::from_millis(50);
const CHUNK: usize = 1 << 20;
const FILLER: &str = "filler";

/// A mounted tmpfs; unmounted with this value.
#[derive(Debug)]
pub(crate) struct Disk {
    place: PathBuf,
}

impl Disk {
    /// Of `mib` MiB, at a directory that is made for it.
    pub(crate) fn mount(place: &Path, mib: u64) -> Result<Self> {
        ensure!(rustix::process::geteuid().is_root(), "disk-full mounts file systems in memory: run it as root");
        fs::create_dir_all(place).with_context(|| format!("cannot create {}", place.display()))?;
        let options = format!("size={mib}m,mode=0700");
        run(Command::new("mount").args(["-t", "tmpfs", "-o", &options, "hooklog-faults"]).arg(place))?;
        Ok(Self { place: place.to_owned() })
    }

    /// Makes it so large that `mib` MiB are free beside what its files hold. Room that is only reserved for a file counts as
    /// free: who reserves it gives it back when the file is closed.
    pub(crate) fn leave_free(&self, mib: u64) -> Result<()> {
        let stat = rustix::fs::statvfs(&self.place).context("cannot see how full a disk is")?;
        let used = (stat.f_blocks - stat.f_bfree) * stat.f_frsize;
        let wanted = held(&self.place)? + (mib << 20);
        let options = format!("remount,size={}", wanted.max(used));
        run(Command::new("mount").args(["-o", &options]).arg(&self.place))
    }

    /// Takes all its room until the value is dropped.
    pub(crate) fn fill(&self) -> Filler {
        let (path, stop) = (self.place.join(FILLER), Arc::new(AtomicBool::new(false)));
        let (file, stopped) = (path.clone(), Arc::clone(&stop));
        let thread = thread::spawn(move || fill(&file, &stopped));
        Filler { path, stop, thread: Some(thread) }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a process that is being ended may still have a file open there.
        let _ = run(Command::new("umount").arg("--lazy").arg(&self.place));
    }
}

/// The file that takes the room.
#[derive(Debug)]
pub(crate) struct Filler {
    path: PathBuf,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Filler {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        let _ = fs::remove_file(&self.path);
    }
}

/// Bytes in all files below `place`. What vanishes meanwhile counts as empty.
fn held(place: &Path) -> Result<u64> {
    let entries = fs::read_dir(place).with_context(|| format!("cannot read {}", place.display()))?;
    let mut sum = 0;
    for entry in entries.filter_map(Result::ok) {
        let Ok(metadata) = entry.metadata() else { continue };
        sum += if metadata.is_dir() { held(&entry.path()).unwrap_or_default() } else { metadata.len() };
    }
    Ok(sum)
}

fn fill(path: &Path, stop: &AtomicBool) {
    let Ok(mut file) = File::create(path) else { return };
    let chunk = vec![0; CHUNK];
    let mut size = CHUNK;
    while !stop.load(Ordering::Relaxed) {
        match file.write(&chunk[..size]) {
            Ok(_) => {}
            // Down to the last bytes, then what others free.
            Err(error) if error.kind() == ErrorKind::StorageFull && size > 1 => size /= 2,
            Err(_) => {
                thread::sleep(AGAIN);
                size = CHUNK;
            }
        }
    }
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot run {command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}
