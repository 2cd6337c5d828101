//! Ctrl-C, SIGTERM and a terminal that goes away.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A token that the first SIGINT, SIGTERM or SIGHUP (a terminal that was closed) cancels. Call it within a runtime.
pub(crate) fn cancel_on_signals() -> io::Result<CancellationToken> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let mut hangup = signal(SignalKind::hangup())?;
    let cancel = CancellationToken::new();
    let token = cancel.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
            }
            match token.is_cancelled() {
                true => tracing::warn!("stopping already, which takes 10 s at most; SIGKILL would lose nothing either"),
                false => token.cancel(),
            }
        }
    });
    Ok(cancel)
}
