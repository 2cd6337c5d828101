//! What is done about data that are bad. A view is a cache of the log: a damaged generation is discarded and built anew under
//! the rules that it had. Until then its partitions are restoring, so questions get 503 and never half an answer.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::error::Error;
use crate::generations::Generation;
use crate::metric_names;
use crate::projector::Parts;

/// So often in the life of a process; after that it is not chance.
const AT_MOST: u32 = 3;

/// How often it was done.
#[derive(Debug, Default)]
pub(crate) struct Discarded(AtomicU32);

impl Parts {
    /// Takes note of what went wrong while `generation` was read: if its data are bad, the reader is told to replace it.
    pub(crate) fn suspect(&self, generation: &Generation, error: &Error) {
        if error.is_damage() && generation.note_damage(&error.to_string()) {
            tracing::error!(generation = generation.number, %error, "the views are damaged");
            self.gate.interrupt();
        }
    }

    /// Replaces the live generation, if it is still that one.
    pub(crate) fn discard_damaged(&self, number: u64, error: &Error) -> Result<(), Error> {
        let times = self.discarded.0.fetch_add(1, Ordering::Relaxed) + 1;
        if times > AT_MOST {
            return Err(Error::Failing { times, last: error.to_string() });
        }
        metrics::counter!(metric_names::DAMAGED).increment(1);
        tracing::error!(generation = number, %error, "the views are damaged; they are built anew from the log, under the rules that they had, and answer 503 until then");
        self.generations.renew(number)
    }
}
