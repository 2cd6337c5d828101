//! The pure step of a task. No Kafka, no store, no clock.
//!
//! A fold says for each record which keys it wants to see ([`Fold::reads`]), so that a batch's look-ups are made at once,
//! and then what comes of it ([`Fold::fold`]). It sees its own earlier writes whether they are applied or not, so where a
//! batch ends makes no difference: `fold(a ++ b)` is `fold(a)` and then `fold(b)`.

use std::borrow::Cow;

use hooklog_schemas::ids::Span;
use hooklog_schemas::{Millis, Offset, Partition};
use hooklog_store::{Error as StoreError, Family, Keys, Layout, Store};

use crate::input::Input;
use crate::overlay::Overlay;

/// A pure, deterministic, total step.
pub trait Fold: Send + Sync + 'static {
    /// Goes up whenever the same record could lead to other writes: an old store is then not gone on with.
    fn version(&self) -> u32;
    /// The families of the fold's store.
    fn layout(&self) -> Layout;
    /// For how long, in stream time, a record matters to later ones; for ever where there is nothing.
    fn window(&self) -> Option<Span> {
        None
    }
    /// Asks for the keys that folding `input` will look at, always the same ones for the same record.
    fn reads(&self, input: &Input<'_>, keys: &mut Keys);
    /// Folds one record: `view.get(n)` is the value of the `n`th key that it asked for.
    fn fold<'a>(&self, input: &Input<'a>, view: &mut View<'_>, effects: &mut Effects<'a>);
    /// What `input` emits, if it is one that emits: a function of the record alone, so that an output which Kafka lost can be
    /// made again. A fold without outputs has nothing to say.
    fn outputs<'a>(&self, input: &Input<'a>) -> Vec<Record<'a>> {
        let _ = input;
        Vec::new()
    }
}

/// A record to produce.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its partition of the output topic.
    pub partition: Partition,
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: &'a [u8],
    /// Its time.
    pub time: Millis,
    /// Its headers in order.
    pub headers: Vec<(&'a str, Cow<'a, [u8]>)>,
}

/// A record that may contradict an earlier one of its partition. Only both of them together can tell, so a fold, which sees
/// one record, says no more than this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suspect {
    /// The earlier one.
    pub first: Offset,
    /// The one that was folded.
    pub again: Offset,
}

/// What a fold asks for beside its writes, which go through the [`View`].
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Effects<'a> {
    /// Records to produce, in order.
    pub produce: Vec<Record<'a>>,
    /// The input's offset of each of them; noted by the engine.
    pub(crate) origins: Vec<Offset>,
    /// Records to be looked at by somebody else, once what was folded is committed.
    pub suspects: Vec<Suspect>,
}

/// What a fold sees of its store: the values that it asked for, under what it has written since.
pub struct View<'v> {
    overlay: &'v mut Overlay,
    keys: &'v Keys,
    values: &'v [Option<Vec<u8>>],
    first: usize,
}

impl View<'_> {
    /// The value of the `n`th key that this record asked for.
    ///
    /// # Panics
    /// Where the record did not ask for so many: a fold that is not pure.
    pub fn get(&self, n: usize) -> Option<&[u8]> {
        let (family, key) = self.keys.get(self.first + n);
        match self.overlay.get(family, key) {
            Some(written) => written,
            None => self.values[self.first + n].as_deref(),
        }
    }

    /// The `n`th key that this record asked for.
    ///
    /// # Panics
    /// As [`View::get`].
    pub fn key(&self, n: usize) -> &[u8] {
        self.keys.get(self.first + n).1
    }

    /// Sets `key` to `value`; in a family with buckets `at` chooses the bucket and `value` begins with it.
    pub fn put(&mut self, family: Family, at: Millis, key: &[u8], value: &[u8]) {
        self.overlay.put(family, at, key, value);
    }

    /// Deletes `key` from a plain family.
    pub fn delete(&mut self, family: Family, key: &[u8]) {
        self.overlay.delete(family, key);
    }
}

/// Folds `batch`, records of one partition in order, over `store` and what `overlay` holds already.
pub(crate) fn step<'a, F: Fold>(
    fold: &F,
    store: &Store,
    overlay: &mut Overlay,
    batch: &[Input<'a>],
) -> Result<Effects<'a>, StoreError> {
    let mut keys = Keys::default();
    let mut firsts = Vec::with_capacity(batch.len());
    for input in batch {
        firsts.push(keys.len());
        fold.reads(input, &mut keys);
    }
    let values = store.multi_get(&keys)?;
    let mut effects = Effects::default();
    for (input, first) in batch.iter().zip(firsts) {
        let mut view = View { overlay: &mut *overlay, keys: &keys, values: &values, first };
        fold.fold(input, &mut view, &mut effects);
        effects.origins.resize(effects.produce.len(), input.offset);
    }
    Ok(effects)
}

/// Folds without a broker, for the tests of folds: the same step over a real store, applied after each batch.
pub mod testing {
    use super::{Effects, Fold, Input, Overlay, Store, StoreError, step};

    /// Folds `batch` over `store`, applies its writes, and returns what it would produce.
    ///
    /// # Errors
    /// As the store's.
    pub fn fold_and_apply<'a, F: Fold>(
        fold: &F,
        store: &Store,
        batch: &[Input<'a>],
    ) -> Result<Effects<'a>, StoreError> {
        let mut overlay = Overlay::default();
        let effects = step(fold, store, &mut overlay, batch)?;
        store.apply(overlay.writes(), &[])?;
        Ok(effects)
    }
}
