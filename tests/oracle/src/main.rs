//! For tests in shell: reads events in their true order (NDJSON, as `hooklog send --print` writes them) and prints a JSON
//! object a line of who has access.
//!
//!     hooklog-oracle [--subscriptions] [--past-due-gives-no-access] < events.ndjson

use std::io::{BufRead, BufWriter, ErrorKind, Write, stdin, stdout};
use std::process::ExitCode;

use hooklog_oracle::Oracle;
use serde_json::json;

const SUBSCRIPTIONS: &str = "--subscriptions";
const NO_ACCESS: &str = "--past-due-gives-no-access";

fn main() -> std::io::Result<ExitCode> {
    match answer() {
        // The reader has seen enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        answered => answered,
    }
}

fn answer() -> std::io::Result<ExitCode> {
    let flags: Vec<String> = std::env::args().skip(1).collect();
    if let Some(unknown) = flags.iter().find(|flag| ![SUBSCRIPTIONS, NO_ACCESS].contains(&flag.as_str())) {
        writeln!(std::io::stderr(), "unknown: {unknown}; there are {SUBSCRIPTIONS} and {NO_ACCESS}")?;
        return Ok(ExitCode::from(2));
    }
    let past_due_gives_access = !flags.iter().any(|flag| flag == NO_ACCESS);
    let mut oracle = Oracle::default();
    for line in stdin().lock().split(b'\n') {
        let line = line?;
        if !line.trim_ascii().is_empty() {
            oracle.tell(&line);
        }
    }
    if flags.iter().any(|flag| flag == SUBSCRIPTIONS) {
        print_subscriptions(&oracle, past_due_gives_access)?;
    } else {
        print_customers(&oracle, past_due_gives_access)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn print_customers(oracle: &Oracle, past_due_gives_access: bool) -> std::io::Result<()> {
    let mut out = BufWriter::new(stdout().lock());
    for (of, access) in oracle.customers(past_due_gives_access) {
        writeln!(out, "{}", json!({"customer": of.id, "access": access}))?;
    }
    out.flush()
}

fn print_subscriptions(oracle: &Oracle, past_due_gives_access: bool) -> std::io::Result<()> {
    let mut out = BufWriter::new(stdout().lock());
    for (of, standing) in oracle.subscriptions(past_due_gives_access) {
        let (account, livemode) = (of.account, of.livemode);
        let (status, access) = (standing.status, standing.access);
        let line = json!({"id": of.id, "customer": standing.customer, "livemode": livemode, "account": account,
                          "status": status, "access": access});
        writeln!(out, "{line}")?;
    }
    out.flush()
}
