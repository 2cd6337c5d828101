//! `hooklog send`: posts signed webhooks, made up or one's own.
//!
//! `generator` makes events in their true order, `own` reads them from a file; `delivery` adds disorder and duplicates;
//! `conflicts` looks for bodies of a file that say different things under one id, `known` for those that the log holds otherwise;
//! `run` posts them through `client`, `retry` decides what becomes of each, `tally` counts.

mod acks;
mod ahead;
mod args;
mod client;
mod conflicts;
mod delivery;
mod generator;
mod known;
mod own;
mod progress;
mod retry;
mod run;
mod tally;
mod target;
#[cfg(test)]
mod tests;

use std::io::{BufWriter, ErrorKind, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::settings::{self, Common};
use crate::signals;

pub(crate) use args::Args;

use acks::Acks;
use client::Poster;
use conflicts::{Conflict, Conflicts, Found};
use delivery::{Deliveries, Disorder, Post};
use generator::{Generator, Plan};
use known::Known;
use progress::Progress;
use retry::Patience;
use run::{Outcome, Setup};
use tally::Report;

type Posts = Box<dyn Iterator<Item = Result<Post>> + Send>;

const NOT_ALL_ACKED: u8 = 1;
const WRONG_USE: u8 = 2;
const NOBODY_THERE: u8 = 3;

/// Customers live through about so many events each where nobody says how many there are.
const EVENTS_OF_A_CUSTOMER: u64 = 25;

/// Runs the command to its end. Makes its own runtime: not to be called from within one.
pub(crate) fn run(args: &Args, common: &Common) -> Result<ExitCode> {
    // Not locked: the log and the progress bar write to standard error from other threads while this one waits for them.
    let (mut out, mut errors) = (anstream::stdout(), anstream::stderr());
    if args.print {
        let mut out = BufWriter::with_capacity(1 << 18, std::io::stdout().lock());
        return execute(args, common, &mut out, &mut errors).map(ExitCode::from);
    }
    execute(args, common, &mut out, &mut errors).map(ExitCode::from)
}

/// The command with its outputs given; returns its exit code.
fn execute(args: &Args, common: &Common, out: &mut dyn Write, errors: &mut dyn Write) -> Result<u8> {
    let conflicts = Conflicts::default();
    let posts = match posts(args, &conflicts) {
        Ok(posts) => posts,
        Err(error) => return refuse(errors, &format!("{error:#}")),
    };
    if args.print {
        return print(posts, out, errors);
    }
    let (setup, target) = match setup(args, common, posts) {
        Ok(ready) => ready,
        Err(complaint) => return refuse(errors, &format!("{complaint:#}")),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let outcome = runtime.block_on(async {
        let stop = signals::cancel_on_signals().context("signals cannot be heard")?;
        anyhow::Ok(run::run(setup, stop.cancelled_owned()).await)
    })?;
    let known = target.home.and_then(|home| outcome.places.as_ref()?.known(&home));
    let conflicts = InFile { found: conflicts.found(), known };
    tell(&outcome, &conflicts, &target.url, common.json, out, errors)
}

/// What a file holds twice, and what the log holds otherwise; the latter where somebody could tell.
struct InFile {
    found: Found,
    known: Option<Vec<Known>>,
}

/// Where the posts go, and the data directory of who answers there, where that is known.
struct Endpoint {
    url: String,
    home: Option<std::path::PathBuf>,
}

fn setup(args: &Args, common: &Common, posts: Posts) -> Result<(Setup, Endpoint)> {
    let settings = settings::settings(common)?;
    let target = target::resolve(args, &settings).map_err(anyhow::Error::msg)?;
    let home = (args.file.is_some() && args.url.is_none()).then(|| settings.data_dir.clone());
    let endpoint = Endpoint { url: target.uri.to_string(), home };
    let setup = Setup {
        posts,
        poster: Poster::new(target, usize::from(args.concurrency)),
        concurrency: args.concurrency,
        rate: args.rate,
        patience: Patience { retry: args.retry, at_most: args.retry_for.map(Duration::from_secs) },
        acks: args.acks.as_deref().map(Acks::append_to).transpose()?,
        places: endpoint.home.is_some(),
        progress: Progress::of(args.file.is_none().then(|| count(args))),
        seed: args.seed,
    };
    Ok((setup, endpoint))
}

/// The posts that `args` mean, in the order of their arrival.
fn posts(args: &Args, conflicts: &Conflicts) -> Result<Posts> {
    let window = if args.shuffle { args.shuffle_window } else { 0 };
    let disorder = Disorder { seed: args.seed, duplicates: args.duplicates, window };
    if let Some(path) = &args.file {
        let bodies = conflicts.clone().watch(own::Bodies::new(own::open(path)?));
        return Ok(Box::new(Deliveries::new(bodies, disorder)));
    }
    let plan = Plan {
        seed: args.seed,
        events: args.events,
        customers: args.customers.unwrap_or_else(|| args.events.div_ceil(EVENTS_OF_A_CUSTOMER)),
        same_second: args.same_second,
        size: args.size.map(|size| usize::try_from(size).unwrap_or(usize::MAX)),
    };
    Ok(Box::new(Deliveries::new(Generator::new(plan).map(Ok), disorder)))
}

fn count(args: &Args) -> u64 {
    args.events + (args.events as f64 * args.duplicates).round() as u64
}

fn print(posts: Posts, out: &mut dyn Write, errors: &mut dyn Write) -> Result<u8> {
    for post in posts {
        let post = match post {
            Ok(post) => post,
            Err(error) => return refuse(errors, &format!("{error:#}")),
        };
        let written = out.write_all(&post.body).and_then(|()| out.write_all(b"\n"));
        if !is_wanted(written)? {
            return Ok(0);
        }
    }
    is_wanted(out.flush()).map(|_| 0)
}

/// False where the reader has gone: `head` has seen enough.
fn is_wanted(written: std::io::Result<()>) -> Result<bool> {
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        written => written.map(|()| true).context("standard output cannot be written"),
    }
}

/// Says how it went: the report on standard output, what went wrong on standard error.
fn tell(
    outcome: &Outcome,
    conflicts: &InFile,
    url: &str,
    json: bool,
    out: &mut dyn Write,
    errors: &mut dyn Write,
) -> Result<u8> {
    let InFile { found: conflicts, known } = conflicts;
    let in_log = known.as_ref().map(|known| known.len() as u64);
    let report = &Report { conflicts: conflicts.count, conflicts_in_log: in_log, ..outcome.report.clone() };
    let text = if json { serde_json::to_string(report)? } else { report.table() };
    writeln!(out, "{text}")?;
    for conflict in &conflicts.named {
        let Conflict { id, first, again } = conflict;
        writeln!(errors, "{id}: event {again} of the file says something else than event {first}; one of them stays")?;
    }
    if conflicts.count > 0 {
        let count = conflicts.count;
        writeln!(errors, "{count} events have an id of another one: of each id the first to arrive becomes an event")?;
    }
    for line in known::lines(known.as_deref().unwrap_or_default()) {
        writeln!(errors, "{line}")?;
    }
    for (complaint, given) in &outcome.complaints {
        writeln!(errors, "{} not acknowledged ({} first), {complaint}", given.count, given.first)?;
    }
    if let Some(failure) = &outcome.failure {
        return refuse(errors, &format!("{failure:#}"));
    }
    if report.posts > 0 && !outcome.was_answered {
        writeln!(errors, "nothing answers at {url}: start it with `hooklog up`, or name another with --url")?;
        return Ok(NOBODY_THERE);
    }
    if outcome.was_stopped {
        writeln!(errors, "stopped before the end")?;
        return Ok(NOT_ALL_ACKED);
    }
    Ok(if report.not_acked == 0 { 0 } else { NOT_ALL_ACKED })
}

fn refuse(errors: &mut dyn Write, complaint: &str) -> Result<u8> {
    writeln!(errors, "error: {complaint}")?;
    Ok(WRONG_USE)
}
