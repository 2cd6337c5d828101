//! The views as a fold of the task engine.

use hooklog_store::layout::Family;
use hooklog_store::{Keys, Layout, Writes};
use hooklog_task::{Effects, Fold, Input, View};

use super::family::{TALLIES, layout};
use super::fold::{LookUp, VERSION, fold, reads};
use super::record::Record;

/// Subscriptions, customers and what was skipped.
#[derive(Clone, Copy, Debug, Default)]
pub struct Views;

impl Fold for Views {
    fn version(&self) -> u32 {
        VERSION
    }

    fn layout(&self) -> Layout {
        layout()
    }

    fn reads(&self, input: &Input<'_>, keys: &mut Keys) {
        reads(&[record(input)], keys);
    }

    /// # Panics
    /// Where the store is damaged: the engine's folds cannot fail, and going on would lose a record silently. Nothing of the
    /// batch is applied then; [`crate::Projector`] turns the panic into an error.
    fn fold<'a>(&self, input: &Input<'a>, view: &mut View<'_>, _: &mut Effects<'a>) {
        let mut writes = Writes::default();
        if let Err(unreadable) = fold(&[record(input)], &Asked(view), &mut writes) {
            std::panic::panic_any(unreadable);
        }
        for write in writes.iter() {
            match write.value {
                Some(value) => view.put(write.family, write.at, write.key, value),
                None => view.delete(write.family, write.key),
            }
        }
    }
}

/// A record as the views see it.
pub(crate) fn record<'a>(input: &Input<'a>) -> Record<'a> {
    let key = input.key.unwrap_or_default();
    Record { partition: input.partition, offset: input.offset, key, value: input.value }
}

/// For one record [`reads`] asks for its partition's tally first and then for at most one state.
struct Asked<'a, 'v>(&'a View<'v>);

impl LookUp for Asked<'_, '_> {
    fn value(&self, family: Family, _: &[u8]) -> Option<&[u8]> {
        self.0.get(usize::from(family != TALLIES))
    }
}
