//! hooklog
mod send;

/// Stripe webhooks into an exactly-once, replayable log.
#[derive(clap::Parser)]
#[command(name = "hooklog", version)]
enum Command {
    /// Post signed webhooks, made up or your own
    Send(send::Args),
}

fn main() -> anyhow::Result<std::process::ExitCode> {
    match <Command as clap::Parser>::parse() {
        Command::Send(args) => send::run(args),
    }
}
