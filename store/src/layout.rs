//! A store's families of keys.

use hooklog_schemas::ids::Span;

/// A family, by its place in the [`Layout`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Family(pub u8);

/// How one family is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One column family; keys stay until they are deleted.
    Plain,
    /// One column family for each `width` of log time. A key is written to the newest; the newest value counts; a bucket
    /// is dropped whole once nothing in it can matter any more.
    Buckets {
        /// How much log time one bucket covers.
        width: Span,
        /// How long a value matters after the moment it was written for.
        window: Span,
    },
}

/// All families of a kind of store, by name. Names are on disk for ever and may not begin with `meta` or hold a `@`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout(pub Vec<(&'static str, Kind)>);

impl Layout {
    pub(crate) fn kind(&self, family: Family) -> Kind {
        self.0[usize::from(family.0)].1
    }

    pub(crate) fn name(&self, family: Family) -> &'static str {
        self.0[usize::from(family.0)].0
    }

    /// Every family of the layout.
    pub fn families(&self) -> impl Iterator<Item = Family> {
        (0..u8::try_from(self.0.len()).expect("a handful of families")).map(Family)
    }
}
