//! Brings a store exactly to a position, so that two generations can be compared at the same one.

use hooklog_log::Connection;
use hooklog_log::connection::Isolation;
use hooklog_log::reader::{OffsetRange, Reader};
use hooklog_schemas::{NextOffset, Partition};
use hooklog_store::layout::Family;
use hooklog_store::{Applied, Keys, Writes};
use hooklog_task::Input;

use crate::error::Error;
use crate::generations::Generation;
use crate::views::fold::{LookUp, fold, reads};
use crate::views::task::record;

/// Records are applied one by one here: two readers that were stopped together differ by little.
///
/// # Errors
/// [`Error::Log`], [`Error::Store`], [`Error::Unreadable`].
pub(crate) fn to(
    generation: &Generation,
    connection: &Connection,
    partition: Partition,
    goal: NextOffset,
) -> Result<(), Error> {
    let mut at = generation.applied(partition)?;
    if at.next >= goal {
        return Ok(());
    }
    let span = OffsetRange { topic: generation.source(partition).topic, partition, from: at.next, to: goal };
    let mut reader = Reader::open(connection, Isolation::Committed, span)?;
    while let Some(message) = reader.next()? {
        let input = Input::read(&message, at.stream_time);
        at = input.reached();
        take(generation, &input, at)?;
    }
    // Markers of transactions are given to nobody: the end of what there was to read is the goal.
    let reached = Applied { next: goal, ..at };
    Ok(generation.store.apply(&Writes::default(), &[(generation.source(partition), reached)])?)
}

/// Folds one record and applies it with its position.
pub(crate) fn take(generation: &Generation, input: &Input<'_>, at: Applied) -> Result<(), Error> {
    let batch = [record(input)];
    let mut keys = Keys::default();
    reads(&batch, &mut keys);
    let stored = Stored { values: generation.store.multi_get(&keys)?, keys };
    let mut writes = Writes::default();
    fold(&batch, &stored, &mut writes)?;
    Ok(generation.store.apply(&writes, &[(generation.source(input.partition), at)])?)
}

struct Stored {
    keys: Keys,
    values: Vec<Option<Vec<u8>>>,
}

impl LookUp for Stored {
    fn value(&self, family: Family, key: &[u8]) -> Option<&[u8]> {
        let at = (0..self.keys.len()).find(|n| self.keys.get(*n) == (family, key))?;
        self.values[at].as_deref()
    }
}
