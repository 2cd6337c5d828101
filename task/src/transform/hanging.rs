//! Ends what hangs of this instance's producers, before anything is committed (see [`hooklog_log::hanging`]).

use std::time::Duration;

use hooklog_log::hanging::{Open, Places, open_after};
use tokio_util::sync::CancellationToken;

use super::Config;
use super::session::Session;
use crate::error::Error;
use crate::fault;
use crate::metric_names;
use crate::progress::Progress;

/// How long a transaction may take to end everywhere, once its coordinator calls it complete.
const GRACE: Duration = Duration::from_secs(2);
/// How long one that we aborted may take, and others who are at work.
const AGAIN: Duration = Duration::from_secs(5);

impl Config {
    /// Where its transactions write.
    pub fn places(&self) -> Places<'_> {
        Places { output: &self.output, input: &self.input, group: &self.group }
    }
}

/// Waits until nothing is open that was written before. What hangs of `session`'s producer is aborted; a transaction of
/// somebody else ends with its timeout, or with its own producer. The failure is Kafka's, of the abort.
pub(super) fn end_those_of(
    session: &Session,
    config: &Config,
    progress: &Progress,
    stop: &CancellationToken,
) -> Result<Result<(), hooklog_log::native::Failure>, Error> {
    let mut patience = GRACE;
    loop {
        let open = open_after(&config.connection, config.places(), patience, || !stop.is_cancelled())?;
        if open.is_empty() {
            return Ok(Ok(()));
        }
        if stop.is_cancelled() {
            return Err(Error::Cancelled);
        }
        report(&open, session.id(), patience);
        metric_names::hanging(config.name);
        // Each time: Kafka may have skipped markers of the abort before, too.
        if let Err(failure) = session.abort_everywhere(&config.connection, config.places()) {
            return Ok(Err(failure));
        }
        if patience == AGAIN {
            progress.worker_waits(session.id(), format!("a transaction that is not ours stays open: {open:?}"));
            abort_those_without_owner(config, stop)?;
        }
        patience = AGAIN;
    }
}

/// At a start: nobody else would end what producers without an owner left (see [`abort_those_without_owner`]). A tool that is
/// at work in the task's stead is ended in any case, before the outputs are looked at: else both would emit what is missing.
pub(super) fn end_those_without_owner(config: &Config, stop: &CancellationToken) -> Result<(), Error> {
    for id in &config.stand_ins {
        Session::start(&config.connection, id, &config.output.name, stop)?;
    }
    let is_open = || -> Result<bool, Error> {
        Ok(!open_after(&config.connection, config.places(), GRACE, || !stop.is_cancelled())?.is_empty())
    };
    if until_kafka_answers(stop, is_open)? { abort_those_without_owner(config, stop) } else { Ok(()) }
}

/// Aborts what hangs of producers that no process has any more: the instance may have had more workers once, and a tool that
/// writes in the task's stead has ended. One that fails is tried again, as long as anything keeps a worker waiting.
fn abort_those_without_owner(config: &Config, stop: &CancellationToken) -> Result<(), Error> {
    let former = config.workers.max(1)..usize::try_from(config.input.partitions).unwrap_or(usize::MAX);
    let former = former.map(|worker| config.transactional_id(worker));
    for id in former.chain(config.stand_ins.iter().cloned()) {
        let session = Session::start(&config.connection, &id, &config.output.name, stop)?;
        if let Err(failure) = session.abort_everywhere(&config.connection, config.places()) {
            tracing::warn!(id, %failure, "what a producer without an owner left open was not ended");
        }
    }
    Ok(())
}

fn until_kafka_answers<T>(stop: &CancellationToken, mut ask: impl FnMut() -> Result<T, Error>) -> Result<T, Error> {
    let mut times = 0;
    loop {
        match ask() {
            Err(why) if why.is_passing() && !stop.is_cancelled() => {
                times += 1;
                tracing::warn!("{why}. Waiting for Kafka, then going on");
                fault::rest(fault::pause(times), stop);
            }
            Err(_) if stop.is_cancelled() => return Err(Error::Cancelled),
            answer => return answer,
        }
    }
}

fn report(open: &[Open], id: &str, patience: Duration) {
    if patience == GRACE {
        tracing::warn!(
            ?open,
            id,
            "a transaction is complete for the coordinator, and still open in a partition (KAFKA-20734); aborting this worker's transaction"
        );
    } else {
        tracing::error!(
            ?open,
            id,
            "a transaction that is not ours stays open; it ends with its timeout or its producer's next start. Where it stays, stop all processors and run `hooklog offsets repair --apply`; `kafka-transactions.sh find-hanging` tells whose it is"
        );
    }
}
