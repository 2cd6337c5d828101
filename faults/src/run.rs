//! A run: cycles of faults under load, a look at the log between them, and what is done where something is found.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::failure::Failure;
use crate::installation::{Installation, ms};
use crate::load::{Book, Events, Load};
use crate::options::{Options, Scenario};
use crate::progress::Progress;
use crate::reader::Follower;
use crate::report::{Posted, Report, Row, Standing, words};
use crate::schedule::{Cycle, cycles};
use crate::stop::Stop;

const POLL: Duration = Duration::from_millis(50);
/// The very first start formats the log and may prepare Java's archive; none of that is measured.
const FIRST_START: Duration = Duration::from_secs(300);
const REPORT: &str = "report.json";

/// Why a cycle did not end well.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The installation is wrong.
    Found(Failure),
    /// A signal came.
    Interrupted,
    /// The harness itself cannot go on.
    Broken(anyhow::Error),
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Found(failure)
    }
}

impl From<anyhow::Error> for Trouble {
    fn from(error: anyhow::Error) -> Self {
        Self::Broken(error)
    }
}

/// Where a run takes place, and with what.
#[derive(Clone, Debug)]
pub struct Place {
    /// The program under test.
    pub hooklog: PathBuf,
    /// Installations, acknowledged ids and the report.
    pub directory: PathBuf,
    /// Where the report goes, too.
    pub report: Option<PathBuf>,
}

/// A new run.
///
/// # Errors
/// The harness itself cannot go on: what it needs is not there.
pub fn run(options: Options, place: Place, stop: &Stop) -> Result<Report> {
    fs::create_dir_all(&place.directory).with_context(|| format!("cannot create {}", place.directory.display()))?;
    let report = Report::new(options, version(&place.hooklog)?);
    go(report, 1, place, stop)
}

/// Goes on with a run that was ended, in its directory.
///
/// # Errors
/// As [`run`]; or there is no such run.
pub fn resume(place: Place, stop: &Stop) -> Result<Report> {
    let mut report = Report::read(&place.directory.join(REPORT))?;
    if report.standing != Standing::Unfinished {
        return Ok(report);
    }
    report.hooklog = version(&place.hooklog)?;
    let last = report.load.keys().max().copied().unwrap_or(0);
    // Disks in memory are gone with the run that had them; so is an installation in which something was found.
    let is_used_up = report.options.scenario == Scenario::DiskFull
        || report.findings.iter().any(|finding| finding.installation == last);
    let number = if is_used_up { last + 1 } else { last.max(1) };
    go(report, number, place, stop)
}

fn go(report: Report, installation: u64, place: Place, stop: &Stop) -> Result<Report> {
    let mut run = Run::prepare(report, installation, place, stop)?;
    let went = run.all_cycles();
    let written = run.write();
    let Run { report, mut tested, .. } = run;
    tested.end();
    let directory = tested.installation.directory().to_owned();
    // Its disks go with it.
    drop(tested);
    if report.standing == Standing::Passed {
        // The log of hundreds of cycles is large, and nobody needs it where all is well.
        fs::remove_dir_all(&directory).with_context(|| format!("cannot remove {}", directory.display()))?;
    }
    match went {
        Ok(()) | Err(Trouble::Interrupted | Trouble::Found(_)) => written.map(|()| report),
        Err(Trouble::Broken(error)) => Err(error),
    }
}

fn version(hooklog: &Path) -> Result<String> {
    let output = std::process::Command::new(hooklog).arg("--version").output();
    let output = output.with_context(|| format!("cannot run {}: `make build` makes it", hooklog.display()))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// An installation, its load and what was read of its log.
pub(crate) struct Tested {
    pub(crate) number: u64,
    pub(crate) installation: Installation,
    pub(crate) book: Arc<Book>,
    pub(crate) load: Option<Load>,
    pub(crate) follower: Follower,
    /// What was counted before the run was gone on with.
    earlier: Posted,
}

impl Tested {
    fn end(&mut self) {
        self.load = None;
        // A run that ends has said what it has to say.
        let _ = self.installation.stop();
    }
}

pub(crate) struct Run<'a> {
    pub(crate) options: Options,
    pub(crate) report: Report,
    pub(crate) tested: Tested,
    pub(crate) progress: Progress,
    felt: Option<bool>,
    place: Place,
    stop: &'a Stop,
}

impl<'a> Run<'a> {
    fn prepare(report: Report, number: u64, place: Place, stop: &'a Stop) -> Result<Self> {
        let options = report.options.clone();
        let hooklog = place.hooklog.canonicalize().with_context(|| format!("no {}", place.hooklog.display()))?;
        let place = Place { hooklog, directory: place.directory.canonicalize()?, ..place };
        let tested = tested(&options, &place, number, report.load.get(&number).cloned().unwrap_or_default())?;
        let progress = Progress::of(name(options.scenario), report.cycles.len() as u64, options.cycles);
        progress.say(&format!("seed {}, in {}", options.seed, place.directory.display()));
        Ok(Self { options, place, report, tested, stop, progress, felt: None })
    }

    fn all_cycles(&mut self) -> Result<(), Trouble> {
        self.begin()?;
        let done = self.report.cycles.len();
        for cycle in cycles(&self.options).into_iter().skip(done) {
            let last = cycle.number == self.options.cycles;
            let mut went = self.one_cycle(&cycle);
            if went.is_ok() && (last || cycle.number.is_multiple_of(self.options.check_every)) {
                went = self.check(last);
            }
            match went {
                Ok(()) => {}
                Err(Trouble::Found(failure)) => self.found(failure, &cycle, last)?,
                Err(other) => return Err(other),
            }
            self.progress.cycle_done();
            self.write()?;
        }
        self.report.standing = if self.report.findings.is_empty() { Standing::Passed } else { Standing::Failed };
        Ok(())
    }

    /// The first start of an installation, which nothing was done to: where that fails, the machine is not fit for a run.
    fn begin(&mut self) -> Result<(), Trouble> {
        self.progress.doing("starting");
        let started = self.tested.installation.start(FIRST_START);
        started.map_err(|failure| anyhow::anyhow!("the installation does not start at all: {failure}"))?;
        self.load()
    }

    pub(crate) fn begin_anew(&mut self) -> Result<(), Trouble> {
        self.tested = tested(&self.options, &self.place, self.tested.number + 1, Posted::default())?;
        self.begin()
    }

    pub(crate) fn load(&mut self) -> Result<(), Trouble> {
        let target = self.tested.installation.target()?;
        let Options { rate, concurrency, .. } = self.options;
        self.tested.load = Some(Load::start(&self.tested.book, &target, rate, concurrency));
        Ok(())
    }

    fn one_cycle(&mut self, cycle: &Cycle) -> Result<(), Trouble> {
        self.progress.doing(words(&cycle.fault));
        self.watch(Duration::from_millis(cycle.wait_ms), &mut |_| Ok(()))?;
        let installation = self.tested.number;
        self.felt = None;
        let done = self.act(&cycle.fault);
        if let Err(Trouble::Interrupted | Trouble::Broken(_)) = done {
            return done.map(drop);
        }
        let ready_ms = done.as_ref().ok().map(|ready| ms(*ready));
        if let Some(ready) = ready_ms {
            self.progress.say(&format!("cycle {}: {}, ready after {ready} ms", cycle.number, words(&cycle.fault)));
        }
        self.report.add_cycle(Row { cycle: *cycle, installation, ready_ms, felt: self.felt });
        done.map(drop)
    }

    /// So long, while `up` lives and `each` says that all is well.
    pub(crate) fn watch(
        &mut self,
        time: Duration,
        each: &mut dyn FnMut(&mut Self) -> Result<(), Trouble>,
    ) -> Result<(), Trouble> {
        let began = Instant::now();
        loop {
            self.go_on()?;
            self.tested.installation.lives()?;
            each(self)?;
            match time.saturating_sub(began.elapsed()) {
                Duration::ZERO => return Ok(()),
                left => thread::sleep(left.min(POLL)),
            }
        }
    }

    /// So long, whatever runs.
    pub(crate) fn pause(&self, time: Duration) -> Result<(), Trouble> {
        let began = Instant::now();
        while began.elapsed() < time {
            self.go_on()?;
            thread::sleep(POLL);
        }
        Ok(())
    }

    /// A fault that nobody feels shows nothing: the report tells how many were.
    pub(crate) fn felt(&mut self, is_felt: bool) {
        self.felt = Some(is_felt);
    }

    fn go_on(&self) -> Result<(), Trouble> {
        if self.stop.is_wanted() { Err(Trouble::Interrupted) } else { Ok(()) }
    }

    pub(crate) fn installation(&mut self) -> &mut Installation {
        &mut self.tested.installation
    }

    pub(crate) fn book(&self) -> Arc<Book> {
        Arc::clone(&self.tested.book)
    }

    pub(crate) fn ready_within(&self) -> Duration {
        Duration::from_secs(self.options.ready_within_s)
    }

    pub(crate) fn write(&mut self) -> Result<()> {
        let Tested { number, book, earlier, .. } = &self.tested;
        self.report.set_load(*number, book.figures(), earlier);
        self.report.write(&self.place.directory.join(REPORT))?;
        self.place.report.as_ref().map_or(Ok(()), |path| self.report.write(path))
    }
}

fn tested(options: &Options, place: &Place, number: u64, earlier: Posted) -> Result<Tested> {
    let directory = place.directory.join(format!("installation-{number}"));
    let mut installation = Installation::in_directory(&place.hooklog, &directory)?;
    if options.scenario == Scenario::DiskFull {
        installation = installation.on_disks(options.disk_mib)?;
    }
    let events = Events::new(options.seed, number);
    let book = Arc::new(Book::open(&installation.directory().join("acknowledged"), events)?);
    Ok(Tested { number, installation, book, load: None, follower: Follower::new(events), earlier })
}

fn name(scenario: Scenario) -> &'static str {
    match scenario {
        Scenario::Crash => "crash",
        Scenario::Kills => "kills",
        Scenario::DiskFull => "disk-full",
        Scenario::Silent => "silent",
    }
}
